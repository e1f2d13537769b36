// Pictures with a frame around the part that was found.

export function element(name, kind, text) {
  const node = document.createElement(name);
  if (kind) node.className = kind;
  if (text !== undefined) node.textContent = text;
  return node;
}

export const lastPart = path => path.split(/[/\\]/).at(-1);

// Put an image into a span, with a frame at the box [left, top, right, bottom] in shares of the picture's sides (null:
// no frame). The image is scaled to fit into the span and centred.
export function framed(image, box) {
  const frame = element("span", "frame");
  frame.append(image);
  if (!box) return frame;
  const outline = element("span", "box");
  outline.hidden = true;
  image.addEventListener("load", () => place(outline, image, box));
  frame.append(outline);
  return frame;
}

function place(outline, image, [left, top, right, bottom]) {
  const scale = Math.min(image.clientWidth / image.naturalWidth, image.clientHeight / image.naturalHeight);
  const sides = [image.naturalWidth * scale / image.clientWidth, image.naturalHeight * scale / image.clientHeight];
  const percent = (from, to, side) => [100 * ((1 - side) / 2 + from * side), 100 * (to - from) * side].map(one => `${one}%`);
  [outline.style.left, outline.style.width] = percent(left, right, sides[0]);
  [outline.style.top, outline.style.height] = percent(top, bottom, sides[1]);
  outline.hidden = false;
}
