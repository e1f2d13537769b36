// The page: what is searched with (a drawing, a picture, a picture of the gallery), where, and what was found.

import {get, newest, post} from "./api.js";
import {Drawing} from "./drawing.js";
import {Large} from "./large.js";
import {PLURALS, showResults, showStatus} from "./results.js";

const WAIT = 200;                    // ms without a change before a search
const TOPS = [12, 24, 48, 96, 200];
const SHRUNK = 1024;                 // pixels, the longer side of a picture that is sent at most
const POLL = 500;                    // ms between questions how far an addition is
const THEMES = ["system", "light", "dark"];

const at = id => document.getElementById(id);
const search = newest();
const drawing = new Drawing(at("canvas"), at("pen"), drawingChanged);
const large = new Large(at("large"), pick);
const query = {picture: null, like: null};  // a Blob, or an id of the gallery; both null: the drawing
let names = null, waiting = 0;

const radio = name => document.querySelector(`input[name=${name}]:checked`).value;
const gallery = () => radio("gallery");

function drawingChanged() {
  at("hint").hidden = !drawing.empty;
  at("undo").disabled = !drawing.past.length && !drawing.stroke;
  at("redo").disabled = !drawing.future.length;
  at("clear").disabled = drawing.empty;
  later();
}

function later() {
  clearTimeout(waiting);
  waiting = setTimeout(run, WAIT);
}

async function run() {
  clearTimeout(waiting);
  if (!drawing.stroke) writeAddress();
  const body = query.picture ?? (query.like ? {like: query.like} : drawing.empty ? null : await drawing.blob());
  if (!body) return showNothing();
  at("grid").setAttribute("aria-busy", "true");
  try {
    const answer = await search(`/search?${parameters()}`, body);
    showResults(at("grid"), answer, pick, (found, position) => large.show(found, position));
    showStatus(at("status"), answer);
  } catch (error) {
    if (error.name === "AbortError") return;
    at("status").textContent = error.message;
  }
  at("grid").removeAttribute("aria-busy");
}

function showNothing() {
  at("grid").replaceChildren();
  at("status").textContent = names && !names[gallery()].classes.length
    ? `No ${PLURALS[gallery()]} in the gallery yet.` : "Draw something, and what looks like it appears here.";
}

function parameters() {
  const words = new URLSearchParams({gallery: gallery(), top: at("top").value, kind: query.picture ? radio("kind") : "sketch"});
  if (at("class").value) words.set("class", at("class").value);
  if (at("folder").value) words.set("folder", at("folder").value);
  return words;
}

// Search with a picture that was found; a second click opens it.
function pick(match) {
  use({like: match.id}, `/thumbnail/${match.id}`, `More like ${match.name}`);
  writeAddress(true);
  run();
}

function use({picture = null, like = null}, image, name) {
  Object.assign(query, {picture, like});
  const shown = at("query-image");
  if (shown.src.startsWith("blob:")) URL.revokeObjectURL(shown.src);
  at("drawing").hidden = Boolean(image);
  at("picture").hidden = !image;
  at("kind-row").hidden = !picture;
  at("query-name").textContent = name ?? "";
  if (image) shown.src = image;
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
    use({picture}, URL.createObjectURL(picture), file.name);
    run();
  } catch {
    at("status").textContent = `${file.name || "This"} is not a picture that the browser can read.`;
  }
}

// The address holds everything but a picture that was opened: it stays on this side of the connection.
function writeAddress(step = false) {
  const words = parameters();
  words.delete("kind");
  if (query.like) words.set("like", query.like);
  if (!query.picture && !drawing.empty) words.set("draw", drawing.text);
  const address = `#${words}`;
  if (address !== location.hash) history[step ? "pushState" : "replaceState"](null, "", address);
}

function readAddress() {
  const words = new URLSearchParams(location.hash.slice(1));
  const box = document.querySelector(`input[name=gallery][value="${words.get("gallery") === "sketch" ? "sketch" : "photo"}"]`);
  box.checked = true;
  fillFilters();
  for (const id of ["class", "folder", "top"]) choose(at(id), words.get(id));
  if ((words.get("draw") ?? "") !== drawing.text) drawing.text = words.get("draw") ?? "";  // undo survives the Back key
  const like = /^[0-9a-f]{16}$/.test(words.get("like")) ? words.get("like") : null;
  if (like) use({like}, `/thumbnail/${like}`, "More like this");
  else use({});
  run();
}

function choose(select, value) {
  if ([...select.options].some(option => option.value === value)) select.value = value;
}

function fillFilters() {
  const {classes, folders} = names[gallery()];
  const common = sharedStart(folders.map(folder => folder.name));
  fill(at("class"), "all", classes, name => name);
  fill(at("folder"), "all", folders, name => name.slice(common) || name);
}

function fill(select, all, counted, label) {
  const before = select.value;
  const options = counted.map(({name, pictures}) => new Option(`${label(name)} (${pictures.toLocaleString()})`, name));
  select.replaceChildren(new Option(all, ""), ...options);
  choose(select, before);
}

// Characters of the path that all folders share, whole names alone.
function sharedStart(paths) {
  const parts = paths.map(path => path.split(/(?<=[/\\])/));
  let shared = 0;
  while (parts.length && parts.every(one => shared < one.length - 1 && one[shared] === parts[0][shared])) shared++;
  return parts.length ? parts[0].slice(0, shared).join("").length : 0;
}

async function refresh() {
  const [health, classes] = await Promise.all([get("/health"), get("/classes")]);
  names = classes;
  const counts = Object.entries(health.pictures).map(([kind, count]) => `${count.toLocaleString()} ${PLURALS[kind]}`);
  at("about").textContent = `${counts.join(", ")} in the gallery`;
  at("add").hidden = !health.may_add;
  fillFilters();
  showAdding(health.adding);
}

function showAdding(adding) {
  const running = Boolean(adding?.running);
  at("adding").hidden = !running && !adding?.error;
  at("adding-bar").hidden = !running;
  if (!adding) return;
  const bar = at("adding-bar");
  if (adding.total) Object.assign(bar, {max: adding.total, value: adding.done});
  else bar.removeAttribute("value");
  const far = adding.total ? `: ${adding.done.toLocaleString()} of ${adding.total.toLocaleString()} pictures` : " …";
  at("adding-text").textContent = running ? `Adding ${adding.folder}${far}` : `Adding ${adding.folder}: ${adding.error}`;
  if (running) setTimeout(watchAdding, POLL);
}

async function watchAdding() {
  const {adding} = await get("/health");
  if (adding?.running) return showAdding(adding);
  await refresh();
  run();
}

async function add(event) {
  event.preventDefault();
  try {
    showAdding(await post("/add", {folder: at("add-folder").value, gallery: gallery()}));
  } catch (error) {
    at("status").textContent = error.message;
  }
}

function setTheme(theme) {
  document.documentElement.dataset.theme = theme;
  at("theme").textContent = `Theme: ${theme}`;
  localStorage.setItem("theme", theme);
}

function keys(event) {
  if (event.target.matches("input:not([type=range], [type=radio]), select")) return;
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
  on("eraser", "click", () => at("eraser").setAttribute("aria-pressed", drawing.eraser = !drawing.eraser));
  on("width", "input", () => drawing.width = Number(at("width").value));
  on("search", "click", run);
  on("upload", "click", () => at("file").click());
  on("file", "change", () => { usePicture(at("file").files[0]); at("file").value = ""; });
  on("draw-again", "click", draw);
  on("kind-row", "change", run);
  on("filters", "change", event => { if (event.target.name === "gallery") fillFilters(); run(); });
  on("filters", "submit", event => event.preventDefault());
  on("add-form", "submit", add);
  on("theme", "click", () =>
    setTheme(THEMES[(THEMES.indexOf(document.documentElement.dataset.theme) + 1) % THEMES.length]));
  document.addEventListener("keydown", keys);
  document.addEventListener("paste", event => usePicture(event.clipboardData.files[0]));
  document.addEventListener("dragover", event => event.preventDefault());
  document.addEventListener("drop", event => { event.preventDefault(); usePicture(event.dataTransfer.files[0]); });
  addEventListener("popstate", readAddress);
}

async function start() {
  setTheme(THEMES.includes(localStorage.getItem("theme")) ? localStorage.getItem("theme") : "system");
  at("top").replaceChildren(...TOPS.map(top => new Option(top, top)));
  at("top").value = 24;
  listen();
  try {
    await refresh();
    readAddress();
  } catch (error) {
    at("status").textContent = error.message;
  }
}

start();
