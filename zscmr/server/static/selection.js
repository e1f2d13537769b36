// Pictures that are selected, over several searches, to be downloaded together.

import {element, lastPart} from "./picture.js";

const MOST = 200;  // of a zip

export class Selection {
  // bar: shown while something is selected, with a text, a link and a button.
  constructor(bar) {
    Object.assign(this, {bar, chosen: new Map()});  // names by id
    [this.count, this.link, this.clear] = bar.children;
    this.clear.addEventListener("click", () => {
      this.chosen.clear();
      for (const box of document.querySelectorAll("#grid .choose")) box.checked = false;
      this.show();
    });
  }

  // A box that selects a picture.
  box(match) {
    const box = element("input", "choose");
    Object.assign(box, {type: "checkbox", checked: this.chosen.has(match.id), title: "Select it"});
    box.setAttribute("aria-label", `Select ${match.name}`);
    box.addEventListener("change", () => {
      if (!box.checked) this.chosen.delete(match.id);
      else if (this.chosen.size < MOST) this.chosen.set(match.id, match.name);
      box.checked = this.chosen.has(match.id);
      this.show();
    });
    return box;
  }

  show() {
    const ids = [...this.chosen.keys()];
    this.bar.hidden = !ids.length;
    document.body.classList.toggle("choosing", ids.length > 0);
    this.count.textContent = `${ids.length} selected${ids.length === MOST ? ", not more at once" : ""}`;
    const single = ids.length === 1;
    this.link.href = single ? `/picture/${ids[0]}` : `/zip?${ids.map(id => `id=${id}`).join("&")}`;
    this.link.download = single ? lastPart(this.chosen.get(ids[0])) : "pictures.zip";
  }
}
