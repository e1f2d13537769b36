// A drawing: strokes of a pen or an eraser on white paper, with undo, redo, and a text for the address.
// A stroke is {eraser, width, points: [[x, y], …]} in units of the canvas, whose side is SIDE.

export const SIDE = 512;
const STEP = 4, FAR = 24;      // units that an arrow key moves the pen
const SLACK = 0.8;             // units that a stroke may be off after points are left out
const DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

export class Drawing {
  // changed(): called after every change, also while a stroke is drawn.
  constructor(canvas, pen, changed) {
    Object.assign(this, {canvas, pen, changed, eraser: false, width: 6});
    this.context = canvas.getContext("2d");
    this.strokes = [];
    this.past = [];
    this.future = [];
    this.stroke = null;
    this.place = [SIDE / 2, SIDE / 2];
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
    on("pointerup", () => this.end());
    on("pointercancel", () => this.end());
    on("keydown", event => this.key(event));
    on("focus", () => this.showPen());
    on("blur", () => { this.end(); this.pen.hidden = true; });
  }

  down(event) {
    if (event.button !== 0 || !event.isPrimary) return;
    this.end();
    this.canvas.setPointerCapture(event.pointerId);
    this.begin(this.at(event), event.buttons === 32);  // the eraser end of a pen
  }

  move(event) {
    if (!this.stroke || !event.isPrimary || !event.buttons) return;
    const steps = event.getCoalescedEvents?.() ?? [];
    for (const one of steps.length ? steps : [event]) this.extend(this.at(one));
  }

  at(event) {
    const box = this.canvas.getBoundingClientRect();
    return [(event.clientX - box.left) * SIDE / box.width, (event.clientY - box.top) * SIDE / box.height].map(inside);
  }

  begin(point, eraser = false) {
    this.stroke = {eraser: eraser || this.eraser, width: this.width, points: [point]};
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
    this.end();
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
    this.end();
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

  paintStroke({eraser, width, points}) {
    const pen = this.context, [first, ...rest] = points;
    Object.assign(pen, {strokeStyle: eraser ? "#fff" : "#000", lineWidth: eraser ? 3 * width : width});
    Object.assign(pen, {lineCap: "round", lineJoin: "round"});
    pen.beginPath();
    pen.moveTo(...first);
    for (const point of rest.length ? rest : [first]) pen.lineTo(...point);
    pen.stroke();
  }

  blob() {
    return new Promise(resolve => this.canvas.toBlob(resolve, "image/png"));
  }

  // The strokes as text: p or e, width, then two digits for each coordinate in eighths of a unit; dots between.
  get text() {
    const number = value => DIGITS[value >> 6] + DIGITS[value & 63];
    return this.strokes.map(({eraser, width, points}) =>
      (eraser ? "e" : "p") + number(width) + points.flat().map(value => number(Math.round(8 * value) & 4095)).join("")
    ).join(".");
  }

  set text(text) {
    this.past = [];
    this.future = [];
    this.show(text.split(".").map(readStroke).filter(Boolean));
  }
}

function readStroke(text) {
  if (!/^[pe](?:[\w-]{2})(?:[\w-]{4})+$/.test(text)) return null;
  const numbers = text.slice(1).match(/../g).map(([high, low]) => 64 * DIGITS.indexOf(high) + DIGITS.indexOf(low));
  const points = [];
  for (let place = 1; place < numbers.length; place += 2) {
    points.push([numbers[place] / 8, numbers[place + 1] / 8].map(inside));
  }
  return {eraser: text[0] === "e", width: Math.min(numbers[0], 60), points};
}

function inside(value) {
  return Math.min(Math.max(Math.round(8 * value) / 8, 0), SIDE - 1 / 8);
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
