// A picture of the answer in a dialog, large, with arrows to its neighbours.

import {get} from "./api.js";
import {element, framed, lastPart} from "./picture.js";

export class Large {
  // pick(match): called to search with the picture that is shown.
  constructor(dialog, pick) {
    Object.assign(this, {dialog, found: [], position: 0});
    const on = (name, handler) => this.part(name).addEventListener("click", handler);
    on("previous", () => this.step(-1));
    on("next", () => this.step(1));
    on("close", () => dialog.close());
    on("copy", () => this.copy());
    this.part("copy").hidden = !navigator.clipboard;  // on other machines than the server's without TLS
    on("like", () => { dialog.close(); pick(this.found[this.position]); });
    dialog.addEventListener("click", event => { if (event.target === dialog) dialog.close(); });
    dialog.addEventListener("keydown", event => this.key(event));
  }

  part(name) {
    return this.dialog.querySelector(`[data-part=${name}]`);
  }

  show(found, position) {
    Object.assign(this, {found, position});
    const match = found[position], image = element("img");
    image.alt = match.name;
    image.addEventListener("error", () => image.src = `/preview/${match.id}`, {once: true});  // no browser's format
    image.src = `/picture/${match.id}`;
    this.part("picture").replaceChildren(framed(image, match.box));
    this.part("name").textContent = lastPart(match.name);
    this.part("path").textContent = match.name;
    this.part("copy").textContent = "Copy the path";
    Object.assign(this.part("download"), {href: `/picture/${match.id}`, download: lastPart(match.name)});
    this.part("open").href = `/picture/${match.id}`;
    this.part("previous").disabled = position === 0;
    this.part("next").disabled = position === found.length - 1;
    this.part("taken").textContent = "";
    get(`/details/${match.id}`).then(details => this.showTime(match, details), () => {});  // no time: nothing is shown
    if (!this.dialog.open) this.dialog.showModal();
  }

  showTime(match, {taken}) {
    if (this.found[this.position] === match && taken) this.part("taken").textContent = new Date(taken).toLocaleString();
  }

  async copy() {
    await navigator.clipboard.writeText(this.found[this.position].name);
    this.part("copy").textContent = "Copied";
  }

  step(offset) {
    const position = this.position + offset;
    if (this.found[position]) this.show(this.found, position);
  }

  key(event) {
    const offset = {ArrowLeft: -1, ArrowRight: 1}[event.key];
    if (!offset) return;
    event.preventDefault();
    this.step(offset);
  }
}
