// What was found, as a grid of thumbnails.

import {element, framed, lastPart} from "./picture.js";

let last = null;  // {found, position} of the picture that was clicked last
let shown = "";   // what the grid shows, as text
let frames = new Map();    // the thumbnails in the grid, by id and box; they move on to the next answer
const opened = new Set();  // ids of pictures whose near duplicates are shown
const REST = 500;          // ms that an answer stands before its thumbnails beyond the screen are loaded
let answers = 0;           // that were shown so far

// view: {known, selection, pick, enlarge}. known: whether class names are shown. selection: a Selection. pick(match):
// called for a click on a picture. enlarge(found, position): called for a second click, even if the grid has moved
// meanwhile, and for the button in the corner.
export function showResults(grid, answer, view) {
  const text = JSON.stringify([view.known, answer.cutoff, answer.found, ...opened]);
  if (text === shown && grid.children.length) return;  // as the gallery grows: nothing moves under the pointer
  shown = text;
  const focused = grid.contains(document.activeElement), groups = grouped(answer.found), found = groups.flat();
  const before = frames, isFar = match => match.distance > (answer.cutoff ?? Infinity);
  frames = new Map();
  const cards = groups.flatMap(group => {
    const [first] = group, items = (opened.has(first.id) ? group : [first]).map(match => {
      const closeness = closenessOf(match.distance, answer);
      const item = card(found, found.indexOf(match), closeness, view, before);
      item.classList.toggle("far", isFar(match) && !match.gone);
      return item;
    });
    if (group.length > 1) items[0].append(unfolder(group, () => unfold(grid, answer, view, first)));
    return items;
  });
  const near = groups.findIndex(([first]) => isFar(first)), line = cards.findIndex(one => one.matches(".far"));
  if (near > 0 && line > 0) cards.splice(line, 0, element("li", "line", "Not very similar"));
  grid.replaceChildren(...cards);
  if (focused) grid.querySelector("button")?.focus();
  loadAhead(grid);
}

// Load the thumbnails beyond the screen one by one: a lazy one is asked for only as it comes near, late for a fast scroll.
async function loadAhead(grid) {
  const own = ++answers;
  await new Promise(done => setTimeout(done, REST));
  for (const image of grid.querySelectorAll("img[loading=lazy]")) {
    if (own !== answers) return;
    if (image.complete) continue;
    await new Promise(done => {
      for (const end of ["load", "error"]) image.addEventListener(end, done, {once: true});
      image.loading = "eager";
    });
  }
}

export const PLURALS = {photo: "photos", sketch: "sketches"};

export function showStatus(status, {found, searched, gallery, milliseconds, how, similar, colours}) {
  const time = Math.max(1, Math.round(milliseconds));
  const nearest = `${similar ? "The" : "Nothing very similar; the"} ${found.length} nearest`;
  status.textContent = searched
    ? `${nearest} of ${searched.toLocaleString()} ${PLURALS[gallery]}, in ${[`${time} ms`, how, colours].filter(Boolean).join(", ")}`
    : `No such ${PLURALS[gallery]} in the gallery.`;
}

// The pictures in groups, each with its near duplicates behind it; pictures that are gone come last.
function grouped(found) {
  const groups = new Map();
  for (const match of [...found.filter(one => !one.gone), ...found.filter(one => one.gone)]) {
    const group = match.gone ? undefined : groups.get(match.repeats);
    if (group) group.push(match);
    else groups.set(match.id, [match]);
  }
  return [...groups.values()];
}

function unfold(grid, answer, view, first) {
  if (!opened.delete(first.id)) opened.add(first.id);
  showResults(grid, answer, view);
  grid.querySelector(`.copies[value="${first.id}"]`).focus();
}

function unfolder(group, toggle) {
  const [first, ...copies] = group, open = opened.has(first.id);
  const sign = element("button", "copies", `${open ? "−" : "+"}${copies.length}`);
  Object.assign(sign, {type: "button", value: first.id, title: `${copies.length} nearly the same`});
  sign.setAttribute("aria-label", `Near duplicates of ${first.name}: ${copies.length}`);
  sign.setAttribute("aria-expanded", open);
  sign.addEventListener("click", toggle);
  return sign;
}

function card(found, position, closeness, {known, selection, pick, enlarge}, before) {
  const match = found[position];
  const item = element("li"), button = element("button", "find"), text = element("span", "text");
  if (!match.gone) text.append(bar(match, closeness));
  text.append(element("span", "name", lastPart(match.name)));
  if (match.taken) text.append(element("time", "", new Date(match.taken).toLocaleDateString()));
  if (known) text.append(element("span", "class", match.class));
  button.append(match.gone ? element("span", "gone", "gone") : thumbnail(match, before), text);
  button.type = "button";
  button.title = `${match.name}: find more like this`;
  button.addEventListener("click", event => {
    if (event.detail > 1 && last) return enlarge(last.found, last.position);
    last = {found, position};
    pick(match);
  });
  item.append(button);
  if (!match.gone) item.append(opener(match, () => enlarge(found, position)), selection.box(match));
  return item;
}

// The cosine, where that is what is compared; else the nearest has 1, one at twice its distance half.
function closenessOf(distance, answer) {
  if (answer.distance === "cosine") return Math.min(Math.max(1 - distance, 0), 1);
  return distance ? answer.found[0].distance / distance : 1;
}

function bar(match, closeness) {
  const one = element("span", "bar");
  one.title = `distance ${match.distance.toFixed(3)}`;
  one.append(element("span"));
  one.firstChild.style.width = `${100 * closeness}%`;
  return one;
}

function thumbnail(match, before) {
  const key = JSON.stringify([match.id, match.box]);
  if (!before.has(key)) {
    const image = element("img");
    Object.assign(image, {loading: "lazy", decoding: "async", alt: match.name, src: `/thumbnail/${match.id}`});
    before.set(key, framed(image, match.box));
  }
  frames.set(key, before.get(key));
  return frames.get(key);
}

function opener(match, enlarge) {
  const sign = element("button", "open", "⤢");
  Object.assign(sign, {type: "button", title: "Show it large"});
  sign.setAttribute("aria-label", `Show ${match.name} large`);
  sign.addEventListener("click", enlarge);
  return sign;
}
