// Saving the drawing as a file.

import {inkOf, SIDE} from "./drawing.js";

export function save(blob, name) {
  const link = document.createElement("a");
  Object.assign(link, {href: URL.createObjectURL(blob), download: name});
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);  // ms: the browser reads it after the click
}

// The strokes as an SVG; those of the eraser are white.
export function svgOf(strokes) {
  const paths = strokes.map(stroke => {
    const {eraser, width, points} = stroke;
    const [start, ...rest] = points.map(point => point.join(" "));
    const line = `M${start}L${(rest.length ? rest : [start]).join(" ")}`;  // a tap: a line without length is a dot
    return `<path d="${line}" stroke="${inkOf(stroke)}" stroke-width="${eraser ? 3 * width : width}"/>`;
  });
  const text = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${SIDE} ${SIDE}" fill="none" stroke-linecap="round" `
    + `stroke-linejoin="round"><path d="M0 0H${SIDE}V${SIDE}H0Z" fill="#fff"/>${paths.join("")}</svg>\n`;
  return new Blob([text], {type: "image/svg+xml"});
}
