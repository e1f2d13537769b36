// Adding folders: the box for one, what is wrong with what stands in it, and how far an addition is.

import {post, sentence} from "./api.js";

const ENDED = 20000;      // ms that the end of an addition is shown
const at = id => document.getElementById(id);
let last = null;          // state of the addition that was shown last
let sent = null;          // folder that was sent from here

export function showAdding(adding) {
  if (adding?.running) {
    last = adding;
    const bar = at("adding-bar");
    if (adding.total) Object.assign(bar, {max: adding.total, value: adding.done});
    else bar.removeAttribute("value");
    const far = adding.total ? `: ${adding.done.toLocaleString()} of ${adding.total.toLocaleString()} pictures` : " …";
    at("adding-text").textContent = `Adding ${adding.folder}${far}`;
  } else if (last?.running || (adding?.error && !last)) {
    last = adding;
    at("adding-text").textContent = adding.error ? `Adding ${adding.folder}: ${adding.error}` : adding.result;
    if (adding.error && adding.folder === sent) at("add-error").textContent = sentence(adding.error);
    if (!adding.error) setTimeout(() => at("adding").hidden ||= !last.running, ENDED);
  } else {
    return;
  }
  at("adding").hidden = false;
  at("adding-bar").hidden = !adding.running;
}

// Show the box where the server adds folders; open where there is nothing else to do.
export function showBox(mayAdd, empty) {
  at("add").hidden = !mayAdd;
  if (mayAdd && empty) at("add").open = true;
}

// gallery(): which one is added to. began(): called when an addition has begun.
export function listenToBox(gallery, began) {
  at("add-form").addEventListener("submit", async event => {
    event.preventDefault();
    at("add-error").textContent = "";
    try {
      const state = await post("/add", {folder: at("add-folder").value, gallery: gallery()});
      sent = state.folder;
      showAdding({...state, running: true});  // its end is shown even if it came at once
      began();
    } catch (error) {
      at("add-error").textContent = error.message;
      at("adding").hidden = !last?.running;  // the end of the one before would stand beside it
    }
  });
}
