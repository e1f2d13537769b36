// A drawing: strokes of a pen or an eraser on white paper, with undo, redo, and a text for the address.
// A stroke is {eraser, colour, width, points: [[x, y], …]}: a row of PENS, and units of the canvas, whose side is SIDE.

export const SIDE = 512;
export const PENS = [  // black, and the colours of zscmr/datasets/crayons.py
  ["black", "#000"], ["red", "#c81e1e"], ["orange", "#f08c1e"], ["yellow", "#f0dc32"], ["green", "#3c9632"],
  ["light blue", "#3cbedc"], ["blue", "#2846be"], ["purple", "#783296"], ["pink", "#f096b4"], ["brown", "#784b28"],
];
export const inkOf = stroke => stroke.eraser ? "#fff" : PENS[stroke.colour][1];
const STEP = 4, FAR = 24;      // units that an arrow key moves the pen
const STEPS = 50;              // of undo that are kept over a reload
const SLACK = 0.8;             // units that a stroke may be off after points are left out
const DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

export class Drawing {
  // changed(): called after every change, also while a stroke is drawn.
  constructor(canvas, pen, changed) {
    Object.assign(this, {canvas, pen, changed, eraser: false, colour: 0, width: 6});
    this.context = canvas.getContext("2d", {alpha: false});  // a smaller PNG, sooner decoded
    this.strokes = [];
    this.past = [];
    this.future = [];
    this.stroke = null;
    this.place = [SIDE / 2, SIDE / 2];
    this.last = null;  // where the pointer that is down was last, on the paper or off it
    this.listen();
    this.paint();
  }

  get empty() {
    return !this.strokes.length && !this.stroke;
  }

  listen() {
    const on = (name, handler) => this.canvas.addEventListener(name, handler);
    on("pointerdown", event => this.down(event));
    on("pointermove", event => this.move(event));
    on("pointerup", () => this.lift());
    on("pointercancel", () => this.lift());
    on("keydown", event => this.key(event));
    on("focus", () => this.showPen());
    on("blur", () => { this.lift(); this.pen.hidden = true; });
  }

  down(event) {
    if (event.button !== 0 || !event.isPrimary) return;
    this.lift();
    this.canvas.setPointerCapture(event.pointerId);
    this.last = this.at(event).map(inside);
    this.erasing = event.buttons === 32;  // the eraser end of a pen
    this.begin(this.last, this.erasing);
  }

  move(event) {
    if (!this.last || !event.isPrimary || !event.buttons) return;
    const steps = event.getCoalescedEvents?.() ?? [];
    for (const one of steps.length ? steps : [event]) this.follow(this.at(one));
  }

  // A stroke ends where it leaves the paper; a new one begins where the pointer comes back.
  follow(point) {
    const last = this.last;
    this.last = point;
    if (onPaper(point)) {
      if (!this.stroke) this.begin(edgeBetween(point, last), this.erasing);
      this.extend(point.map(inside));
    } else if (this.stroke) {
      this.extend(edgeBetween(last, point));
      this.end();
    }
  }

  lift() {
    this.end();
    this.last = null;
  }

  // Where an event is, in units of the canvas; off the paper too.
  at(event) {
    const box = this.canvas.getBoundingClientRect();
    return [(event.clientX - box.left) * SIDE / box.width, (event.clientY - box.top) * SIDE / box.height];
  }

  begin(point, eraser = false) {
    this.stroke = {eraser: eraser || this.eraser, colour: this.colour, width: this.width, points: [point]};
    this.paintStroke(this.stroke);
    this.changed();
  }

  extend(point) {
    this.stroke.points.push(point);
    this.paintStroke({...this.stroke, points: this.stroke.points.slice(-3)});
    this.changed();
  }

  end() {
    if (!this.stroke) return;
    const stroke = {...this.stroke, points: thinned(this.stroke.points)};
    this.stroke = null;
    this.replace([...this.strokes, stroke]);
  }

  replace(strokes) {
    this.past.push(this.strokes);
    this.future = [];
    this.show(strokes);
  }

  show(strokes) {
    this.strokes = strokes;
    this.paint();
    this.changed();
  }

  undo() {
    this.lift();
    if (!this.past.length) return;
    this.future.push(this.strokes);
    this.show(this.past.pop());
  }

  redo() {
    if (this.stroke || !this.future.length) return;
    this.past.push(this.strokes);
    this.show(this.future.pop());
  }

  clear() {
    this.lift();
    if (this.strokes.length) this.replace([]);
  }

  key(event) {
    const moves = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1]};
    if (moves[event.key]) {
      const far = event.shiftKey ? FAR : STEP;
      this.place = this.place.map((value, axis) => inside(value + far * moves[event.key][axis]));
      if (this.stroke) this.extend(this.place);
    } else if (event.key === " ") {
      if (this.stroke) this.end();
      else this.begin(this.place);
    } else {
      return;
    }
    event.preventDefault();
    this.showPen();
  }

  showPen() {
    this.pen.hidden = !this.canvas.matches(":focus-visible");
    this.pen.classList.toggle("down", Boolean(this.stroke));
    const [left, top] = this.place.map(value => `${100 * value / SIDE}%`);
    Object.assign(this.pen.style, {left, top});
  }

  paint() {
    this.context.fillStyle = "#fff";
    this.context.fillRect(0, 0, SIDE, SIDE);
    for (const stroke of this.strokes) this.paintStroke(stroke);
  }

  paintStroke(stroke) {
    const {eraser, width, points} = stroke, pen = this.context, [first, ...rest] = points, colour = inkOf(stroke);
    Object.assign(pen, {strokeStyle: colour, fillStyle: colour, lineWidth: eraser ? 3 * width : width});
    Object.assign(pen, {lineCap: "round", lineJoin: "round"});
    pen.beginPath();
    if (rest.every(([x, y]) => x === first[0] && y === first[1])) {  // a tap: a path without length is not drawn
      pen.arc(...first, pen.lineWidth / 2, 0, 2 * Math.PI);
      return pen.fill();
    }
    pen.moveTo(...first);
    for (const point of rest) pen.lineTo(...point);
    pen.stroke();
  }

  // The drawing as a PNG, at once: `toBlob` waits until the browser has nothing else to do, a second after a click.
  blob() {
    const content = atob(this.canvas.toDataURL("image/png").split(",")[1]);
    return new Blob([Uint8Array.from(content, one => one.charCodeAt(0))], {type: "image/png"});
  }

  get text() {
    return textOf(this.strokes);
  }

  set text(text) {
    this.past = [];
    this.future = [];
    this.show(strokesOf(text));
  }

  // What undo and redo lead to, as texts, to be kept for `restore`.
  get steps() {
    return {text: this.text, past: this.past.slice(-STEPS).map(textOf), future: this.future.slice(-STEPS).map(textOf)};
  }

  // Bring back `steps`, if they belong to what is drawn.
  restore({text, past, future}) {
    if (text !== this.text) return;
    this.past = past.map(strokesOf);
    this.future = future.map(strokesOf);
    this.changed();
  }
}

// The strokes as text: e for the eraser, p for black, c and a digit for another pen; width, then two digits for each coordinate in eighths of a unit; dots between.
function textOf(strokes) {
  const number = value => DIGITS[value >> 6] + DIGITS[value & 63];
  return strokes.map(({eraser, colour, width, points}) =>
    (eraser ? "e" : colour ? `c${colour}` : "p") + number(width) + points.flat().map(value => number(Math.round(8 * value) & 4095)).join("")
  ).join(".");
}

function strokesOf(text) {
  return text.split(".").map(readStroke).filter(Boolean);
}

function readStroke(text) {
  const [, kind, rest] = /^([pe]|c[1-9])((?:[\w-]{2})(?:[\w-]{4})+)$/.exec(text) ?? [];
  if (!kind) return null;
  const numbers = rest.match(/../g).map(([high, low]) => 64 * DIGITS.indexOf(high) + DIGITS.indexOf(low));
  const points = [];
  for (let place = 1; place < numbers.length; place += 2) {
    points.push([numbers[place] / 8, numbers[place + 1] / 8].map(inside));
  }
  return {eraser: kind === "e", colour: Number(kind[1] ?? 0), width: Math.min(numbers[0], 60), points};
}

function inside(value) {
  return Math.min(Math.max(Math.round(8 * value) / 8, 0), SIDE - 1 / 8);
}

function onPaper(point) {
  return point.every(value => value >= 0 && value < SIDE);
}

// Where the line from a point on the paper to one off it crosses the paper's edge.
function edgeBetween(on, off) {
  const shares = on.map((value, axis) => {
    const way = off[axis] - value, edge = way < 0 ? 0 : SIDE;
    return off[axis] < 0 || off[axis] >= SIDE ? (edge - value) / way : 1;
  });
  const share = Math.min(...shares);
  return on.map((value, axis) => inside(value + share * (off[axis] - value)));
}

// The points without those that lie within SLACK of the line between their neighbours (Ramer, Douglas, Peucker).
function thinned(points) {
  if (points.length < 3) return points;
  const [from, to] = [points[0], points.at(-1)];
  let most = 0, at = 0;
  points.forEach((point, place) => {
    const off = distance(point, from, to);
    if (off > most) [most, at] = [off, place];
  });
  if (most <= SLACK) return [from, to];
  return [...thinned(points.slice(0, at + 1)).slice(0, -1), ...thinned(points.slice(at))];
}

function distance([x, y], [left, top], [right, bottom]) {
  const [across, down] = [right - left, bottom - top], length = across ** 2 + down ** 2;
  const part = length ? Math.min(Math.max(((x - left) * across + (y - top) * down) / length, 0), 1) : 0;
  return Math.hypot(x - left - part * across, y - top - part * down);
}
