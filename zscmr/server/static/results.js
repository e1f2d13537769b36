// What was found, as a grid of thumbnails.

let last = null;  // the picture that was clicked last

// pick(match): called for a click on a picture; a second click opens it, wherever the grid has moved meanwhile.
export function showResults(grid, answer, pick) {
  const focused = grid.contains(document.activeElement);
  const cards = answer.found.map(match => card(match, pick)), similar = countSimilar(answer);
  cards.slice(similar).forEach(one => one.classList.add("far"));
  if (similar && similar < cards.length) cards.splice(similar, 0, element("li", "line", "Not very similar"));
  grid.replaceChildren(...cards);
  if (focused) grid.querySelector("button")?.focus();
}

export const PLURALS = {photo: "photos", sketch: "sketches"};

export function showStatus(status, {found, searched, gallery, milliseconds, how, similar}) {
  const time = Math.max(1, Math.round(milliseconds));
  const nearest = `${similar ? "The" : "Nothing very similar; the"} ${found.length} nearest`;
  status.textContent = searched
    ? `${nearest} of ${searched.toLocaleString()} ${PLURALS[gallery]}, in ${time} ms${how ? `, ${how}` : ""}`
    : `No such ${PLURALS[gallery]} in the gallery.`;
}

function countSimilar({found, cutoff}) {
  return cutoff === null ? found.length : found.filter(match => match.distance <= cutoff).length;
}

function card(match, pick) {
  const item = element("li"), button = element("button"), text = element("span", "text");
  text.append(element("span", "class", match.class), element("span", "distance", match.distance.toFixed(3)));
  button.append(match.gone ? element("span", "gone", "gone") : thumbnail(match), text);
  button.type = "button";
  button.title = `${match.name}: find more like this`;
  button.addEventListener("click", event => {
    if (event.detail > 1 && last) return open(`/picture/${last}`, "_blank", "noopener");
    last = match.id;
    pick(match);
  });
  item.append(button);
  if (!match.gone) item.append(opener(match));
  return item;
}

function thumbnail(match) {
  const image = element("img");
  Object.assign(image, {loading: "lazy", decoding: "async", alt: match.name, src: `/thumbnail/${match.id}`});
  return image;
}

function opener(match) {
  const link = element("a", "open", "↗");
  Object.assign(link, {href: `/picture/${match.id}`, target: "_blank", rel: "noopener", title: "Open the picture"});
  link.setAttribute("aria-label", `Open ${match.name}`);
  return link;
}

function element(name, kind, text) {
  const made = document.createElement(name);
  if (kind) made.className = kind;
  if (text !== undefined) made.textContent = text;
  return made;
}
