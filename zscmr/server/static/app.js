// The page: what is searched with (a drawing, a picture, a picture of the gallery), where, and what was found.

import {listenToBox, showAdding, showBox} from "./adding.js";
import {get, newest, Unreachable} from "./api.js";
import {Drawing, PENS} from "./drawing.js";
import {folderTree} from "./folders.js";
import {Large} from "./large.js";
import {listenToPhone} from "./phone.js";
import {element, lastPart} from "./picture.js";
import {PLURALS, showResults, showStatus} from "./results.js";
import {save, svgOf} from "./saving.js";
import {Selection} from "./selection.js";

const WAIT = 200;                    // ms that the pen rests on the paper before a search; none once it is lifted
const DOUBLE = 500;                  // ms between the clicks of a double click at most
const SLOW = 700;                    // ms of a search after which the page says that it searches
const TOPS = [12, 24, 48, 96, 200], MOST = 1000;  // pictures of a page; of all pages
const SHRUNK = 1024;                 // pixels, the longer side of a picture that is sent at most
const POLL = 500, IDLE = 3000;       // ms between polls: while pictures are added or the server is away; otherwise
const THEMES = ["system", "light", "dark"];

const at = id => document.getElementById(id);
const search = newest();
const drawing = new Drawing(at("canvas"), at("pen"), drawingChanged);
const large = new Large(at("large"), pick);
const selection = new Selection(at("chosen"));
const query = {picture: null, like: null, name: "", key: null};  // a Blob, or an id; both null: the drawing
const pictures = new Map();          // {picture, name} by the key in an entry of the browser's history
let names = null, counts = null, pages = 1, waiting = 0, away = false, gallerySeen = "", watching = 0;
let mayAdd = false, adding = null;   // whether the server adds folders; the state of its addition
let desired = {};                    // filters of the address that are not in the gallery yet

const radio = name => document.querySelector(`input[name=${name}]:checked`).value;
const gallery = () => radio("gallery");
const isEmpty = () => names && !names[gallery()].classes.length;

function drawingChanged() {
  at("hint").hidden = !drawing.empty;
  at("undo").disabled = !drawing.past.length && !drawing.stroke;
  at("redo").disabled = !drawing.future.length;
  for (const id of ["clear", "save-png", "save-svg"]) at(id).disabled = drawing.empty;
  clearTimeout(waiting);
  waiting = setTimeout(run, drawing.stroke ? WAIT : 0);
}

function run() {
  pages = 1;
  return runAgain();
}

function showMore() {
  pages++;
  return runAgain();
}

// Search with as many pages of answers as before.
async function runAgain() {
  clearTimeout(waiting);
  if (!drawing.stroke) remember();
  const typed = at("class-name").value.trim() ? {} : null;  // alone where nothing is drawn
  const body = query.picture ?? (query.like ? {like: query.like} : drawing.empty ? typed : drawing.blob());
  if (!body || isEmpty()) return showNothing();
  at("grid").setAttribute("aria-busy", "true");
  const slow = setTimeout(() => at("status").textContent = "Searching …", SLOW);
  try {
    const words = parameters(), top = Math.min(MOST, pages * words.get("top"));
    words.set("top", top);
    const answer = await search(`/search?${words}`, body);
    const enlarge = (found, position) => large.show(found, position);
    showResults(at("grid"), answer, {known: names?.[gallery()].known, selection, pick, enlarge});
    showStatus(at("status"), answer);
    at("more").hidden = top === MOST || answer.searched <= top;
    at("photo-hint").hidden = !answer.looks_like_photo;
    at("grid").classList.remove("old");
    if (answer.pictures !== counts?.[answer.gallery]) gallerySeen = "";  // one of the two is of the gallery before
  } catch (error) {
    if (error.name === "AbortError") return;
    fail(error);
  } finally {
    clearTimeout(slow);
  }
  at("grid").removeAttribute("aria-busy");
}

// Former results stay, in grey: they do not belong to the present query.
function fail(error) {
  at("status").textContent = error.message;
  at("grid").classList.add("old");
  if (!(error instanceof Unreachable)) return;
  away = true;
  clearTimeout(watching);
  watching = setTimeout(watch, POLL);
}

function showNothing() {
  at("grid").replaceChildren();
  at("more").hidden = true;
  at("status").textContent = isEmpty() ? whyEmpty() : "Draw something, and what looks like it appears here.";
}

function whyEmpty() {
  const kind = PLURALS[gallery()];
  if (adding?.running && adding.gallery === gallery()) {
    const far = adding.total ? `: ${adding.done.toLocaleString()} of ${adding.total.toLocaleString()}` : "";
    return `The first ${kind} are being added${far}. They can be searched in a moment.`;
  }
  const way = mayAdd ? "Add a folder below." : "The server adds them: --add DIR, or --allow-add to add from here.";
  return `No ${kind} in the gallery yet. ${way}`;
}

function parameters() {
  const words = new URLSearchParams({gallery: gallery(), top: at("top").value, kind: query.picture ? radio("kind") : "sketch"});
  for (const id of ["class", "folder"]) {
    const value = at(id).value || desired[id];
    if (value) words.set(id, value);
  }
  const name = at("class-name").value.trim();
  if (name) words.set("class_name", name);
  for (const id of ["since", "until"]) if (at(id).value && !at("dates").hidden) words.set(id, at(id).value);
  return words;
}

// Search with a picture that was found. The page is scrolled to it and to the first answers, after a second click would
// have come.
function pick(match) {
  use({like: match.id, name: `More like ${lastPart(match.name)}`});
  writeAddress(true);
  run();
  setTimeout(() => scrollTo(0, 0), DOUBLE);
}

function use({picture = null, like = null, name = "", key = null}) {
  Object.assign(query, {picture, like, name, key});
  const shown = at("query-image"), other = Boolean(picture || like);
  if (shown.src.startsWith("blob:")) URL.revokeObjectURL(shown.src);
  at("drawing").hidden = other;
  at("picture").hidden = !other;
  at("kind-row").hidden = !picture;
  at("photo-hint").hidden = true;
  at("query-name").textContent = name;
  if (other) shown.src = picture ? URL.createObjectURL(picture) : `/thumbnail/${like}`;
  else shown.removeAttribute("src");
  if (like) at("open-query").href = `/picture/${like}`;
  else at("open-query").removeAttribute("href");
}

function draw() {
  use({});
  run();
}

// Picture files become small here: whatever the browser can read can be searched with, and little is sent. What may be
// transparent stays so: the server tells light ink from dark.
async function usePicture(file) {
  if (!file) return;
  try {
    const bitmap = await createImageBitmap(file), scale = Math.min(1, SHRUNK / Math.max(bitmap.width, bitmap.height));
    const sheet = document.createElement("canvas");
    [sheet.width, sheet.height] = [bitmap.width, bitmap.height].map(side => Math.max(1, Math.round(scale * side)));
    sheet.getContext("2d").drawImage(bitmap, 0, 0, sheet.width, sheet.height);
    const type = file.type === "image/jpeg" ? "image/jpeg" : "image/png";
    const picture = await new Promise(resolve => sheet.toBlob(resolve, type, 0.92));
    const key = `${Date.now()}-${pictures.size}`;
    pictures.set(key, {picture, name: file.name, key});
    use(pictures.get(key));
    run();
  } catch {
    at("status").textContent = `${file.name || "This"} is not a picture that the browser can read.`;
  }
}

// The address holds everything but a picture that was opened: it stays on this side of the connection, and the entry of
// the history has its key. Steps of undo and redo are kept for a reload.
function remember() {
  writeAddress();
  try {
    sessionStorage.setItem("steps", JSON.stringify(drawing.steps));
  } catch {
    sessionStorage.removeItem("steps");  // more than the browser keeps
  }
}

function writeAddress(step = false) {
  const words = parameters();
  words.delete("kind");
  if (query.like) words.set("like", query.like);
  if (!query.picture && !drawing.empty) words.set("draw", drawing.text);
  const address = `#${words}`, state = {name: query.name, key: query.key};
  if (address === location.hash && JSON.stringify(state) === JSON.stringify(history.state)) return;
  history[step ? "pushState" : "replaceState"](state, "", address);
}

function readAddress() {
  const words = new URLSearchParams(location.hash.slice(1));
  const box = document.querySelector(`input[name=gallery][value="${words.get("gallery") === "sketch" ? "sketch" : "photo"}"]`);
  box.checked = true;
  desired = {class: words.get("class"), folder: words.get("folder")};
  for (const id of ["class", "folder"]) at(id).value = "";
  at("class-name").value = words.get("class_name") ?? "";
  for (const id of ["since", "until"]) at(id).value = words.get(id) ?? "";
  fillFilters();
  choose(at("top"), words.get("top"));
  if ((words.get("draw") ?? "") !== drawing.text) drawing.text = words.get("draw") ?? "";  // undo survives the Back key
  const like = /^[0-9a-f]{16}$/.test(words.get("like")) ? words.get("like") : null;
  if (like) use({like, name: history.state?.name || "More like this"});
  else use(pictures.get(history.state?.key) ?? {});
  run();
}

function choose(select, value) {
  if ([...select.options].some(option => option.value === value)) select.value = value;
}

function fillFilters() {
  if (!names) return;  // the server has not answered yet
  const {classes, folders, known, taken} = names[gallery()];
  at("class-row").hidden = !known;
  at("dates").hidden = !taken;
  for (const id of ["since", "until"]) [at(id).min, at(id).max] = taken ?? ["", ""];
  fill(at("class"), classes.map(one => ({...one, label: one.name})));
  fill(at("folder"), folderTree(folders));
}

function fill(select, counted) {
  const before = select.value || desired[select.id];
  const options = counted.map(({name, label, pictures}) => new Option(`${label} (${pictures.toLocaleString()})`, name));
  select.replaceChildren(new Option("all", ""), ...options);
  choose(select, before);
}

// Poll the server: counts and filters of the gallery, the progress of an addition.
async function watch() {
  clearTimeout(watching);
  try {
    const health = await get("/health"), seen = JSON.stringify([health.pictures, health.version]);
    const ended = adding?.running && !health.adding?.running;  // answers before may be of the gallery before
    showAdding(adding = health.adding);
    if (isEmpty() && at("status").textContent !== whyEmpty()) at("status").textContent = whyEmpty();
    if (away || ended || seen !== gallerySeen) {
      await refresh(health);
      gallerySeen = seen;
      away = false;
      runAgain();
    }
  } catch (error) {
    away = true;
    at("status").textContent = error.message;
    at("grid").classList.add("old");
  }
  clearTimeout(watching);
  watching = setTimeout(watch, away || adding?.running ? POLL : IDLE);
}

async function refresh(health) {
  names = await get("/classes");  // after the counts, which are no newer then
  counts = health.pictures;
  const {photo, sketch} = counts, shown = {photo, ...(sketch ? {sketch} : {})};
  const listed = Object.entries(shown).map(([kind, count]) => `${count.toLocaleString()} ${PLURALS[kind]}`);
  at("about").replaceChildren(listed.join(", "), element("span", "", " in the gallery"));
  at("switch").hidden = !sketch && gallery() === "photo";
  showBox(mayAdd = health.may_add, !photo && !sketch);
  at("class-name-row").hidden = !names.class_names.length;
  at("class-names").replaceChildren(...names.class_names.map(name => new Option(name.replaceAll("_", " "))));
  fillFilters();
}

function setTheme(theme) {
  document.documentElement.dataset.theme = theme;
  at("theme").textContent = `Theme: ${theme}`;
  localStorage.setItem("theme", theme);
}

function listPens() {
  at("pens").append(...PENS.map(([name, colour], row) => {
    const pen = element("input");
    Object.assign(pen, {type: "radio", name: "pen", value: row, title: name});
    pen.setAttribute("aria-label", name);
    pen.style.background = colour;
    return pen;
  }));
  usePen(PENS[sessionStorage.getItem("pen")] ? sessionStorage.getItem("pen") : 0);
}

function usePen(row) {
  drawing.colour = Number(row);
  sessionStorage.setItem("pen", row);
  useEraser(false);
}

function useEraser(eraser) {
  drawing.eraser = eraser;
  at("eraser").setAttribute("aria-pressed", eraser);
  document.querySelector(`input[name=pen][value="${drawing.colour}"]`).checked = !eraser;  // one tool looks taken
}

function setKind(kind) {
  document.querySelector(`input[name=kind][value=${kind}]`).checked = true;
  sessionStorage.setItem("kind", kind);
}

function keys(event) {
  if (event.target.matches("input:not([type=range], [type=radio], [type=checkbox]), select")) return;
  const key = event.key.toLowerCase(), command = event.ctrlKey || event.metaKey;
  if (command && key === "z" && !event.shiftKey) drawing.undo();
  else if (command && (key === "y" || (key === "z" && event.shiftKey))) drawing.redo();
  else if (event.key === "Enter" && event.target === at("canvas")) run();
  else return;
  event.preventDefault();
}

function listen() {
  const on = (id, name, handler) => at(id).addEventListener(name, handler);
  for (const name of ["undo", "redo", "clear"]) on(name, "click", () => drawing[name]());
  on("eraser", "click", () => useEraser(!drawing.eraser));
  on("pens", "change", event => usePen(event.target.value));
  on("width", "input", () => drawing.width = Number(at("width").value));
  on("save-png", "click", () => save(drawing.blob(), "drawing.png"));
  on("save-svg", "click", () => save(svgOf(drawing.strokes), "drawing.svg"));
  on("search", "click", run);
  on("class-name", "change", run);
  on("more", "click", showMore);
  on("upload", "click", () => at("file").click());
  on("file", "change", () => { usePicture(at("file").files[0]); at("file").value = ""; });
  on("draw-again", "click", draw);
  on("kind-row", "change", () => { sessionStorage.setItem("kind", radio("kind")); run(); });
  on("as-photo", "click", () => { setKind("photo"); run(); });
  on("filters", "change", event => {
    desired = {};
    if (event.target.name === "gallery") fillFilters();
    run();
  });
  on("filters", "submit", event => event.preventDefault());
  listenToBox(gallery, watch);
  listenToPhone(file => { setKind("sketch"); usePicture(file); });
  on("theme", "click", () =>
    setTheme(THEMES[(THEMES.indexOf(document.documentElement.dataset.theme) + 1) % THEMES.length]));
  document.addEventListener("keydown", keys);
  document.addEventListener("paste", event => usePicture(event.clipboardData.files[0]));
  document.addEventListener("dragover", event => {
    event.preventDefault();
    at("drop").hidden = !event.dataTransfer.types.includes("Files");
  });
  document.addEventListener("dragleave", event => at("drop").hidden ||= !event.relatedTarget);  // out of the window
  document.addEventListener("drop", event => {
    event.preventDefault();
    at("drop").hidden = true;
    usePicture(event.dataTransfer.files[0]);
  });
  document.addEventListener("visibilitychange", () => { if (!document.hidden) watch(); });
  addEventListener("popstate", readAddress);
}

async function start() {
  setTheme(THEMES.includes(localStorage.getItem("theme")) ? localStorage.getItem("theme") : "system");
  setKind(sessionStorage.getItem("kind") === "sketch" ? "sketch" : "photo");
  listPens();
  const narrow = matchMedia("(max-width: 760px)"), fold = () => at("fold").open = !narrow.matches;
  narrow.addEventListener("change", fold);
  fold();
  at("top").replaceChildren(...TOPS.map(top => new Option(top, top)));
  at("top").value = 24;
  const steps = JSON.parse(sessionStorage.getItem("steps"));
  listen();
  try {
    const health = await get("/health");
    await refresh(health);
    gallerySeen = JSON.stringify([health.pictures, health.version]);
    showAdding(adding = health.adding);
    readAddress();
    if (steps) drawing.restore(steps);
  } catch (error) {
    fail(error);
  }
  watching = setTimeout(watch, POLL);
}

start();
