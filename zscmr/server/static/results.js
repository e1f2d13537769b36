// What was found, as a grid of thumbnails.

import {element, framed, lastPart} from "./picture.js";

let last = null;  // {found, position} of the picture that was clicked last
let shown = "";   // what the grid shows, as text

// pick(match): called for a click on a picture. enlarge(found, position): called for a second click, even if the grid has
// moved meanwhile, and for the button in the corner. known: whether class names are shown.
export function showResults(grid, answer, known, pick, enlarge) {
  const text = JSON.stringify([known, answer.cutoff, answer.found]);
  if (text === shown && grid.children.length) return;  // as the gallery grows: nothing moves under the pointer
  shown = text;
  const focused = grid.contains(document.activeElement), isNear = match => match.distance <= (answer.cutoff ?? Infinity);
  const present = answer.found.filter(match => !match.gone), gone = answer.found.filter(match => match.gone);
  const found = [...present, ...gone], near = present.filter(isNear).length;
  const cards = found.map((match, position) => {
    const closeness = match.distance ? answer.found[0].distance / match.distance : 1;
    return card(found, position, known, closeness, pick, enlarge);
  });
  cards.slice(near).forEach(one => one.classList.add("far"));
  if (near && near < present.length) cards.splice(near, 0, element("li", "line", "Not very similar"));
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

function card(found, position, known, closeness, pick, enlarge) {
  const match = found[position];
  const item = element("li"), button = element("button"), text = element("span", "text");
  text.append(bar(match, closeness), element("span", "name", lastPart(match.name)));
  if (known) text.append(element("span", "class", match.class));
  button.append(match.gone ? element("span", "gone", "gone") : thumbnail(match), text);
  button.type = "button";
  button.title = `${match.name}: find more like this`;
  button.addEventListener("click", event => {
    if (event.detail > 1 && last) return enlarge(last.found, last.position);
    last = {found, position};
    pick(match);
  });
  item.append(button);
  if (!match.gone) item.append(opener(match, () => enlarge(found, position)));
  return item;
}

// The nearest has a whole bar, one of twice its distance half of one.
function bar(match, closeness) {
  const one = element("span", "bar");
  one.title = `distance ${match.distance.toFixed(3)}`;
  one.append(element("span"));
  one.firstChild.style.width = `${100 * closeness}%`;
  return one;
}

function thumbnail(match) {
  const image = element("img");
  Object.assign(image, {loading: "lazy", decoding: "async", alt: match.name, src: `/thumbnail/${match.id}`});
  return framed(image, match.box);
}

function opener(match, enlarge) {
  const sign = element("button", "open", "⤢");
  Object.assign(sign, {type: "button", title: "Show it large"});
  sign.setAttribute("aria-label", `Show ${match.name} large`);
  sign.addEventListener("click", enlarge);
  return sign;
}
