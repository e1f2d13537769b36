// The page on a phone: its address as a QR code, and pictures from the camera.

import {get} from "./api.js";

const at = id => document.getElementById(id);

function showCode() {
  const code = at("phone-code");
  at("phone-text").textContent = "";
  code.onload = () => {
    code.hidden = false;
    at("phone-text").textContent = "Point the camera of a phone in the same network at this code.";
  };
  code.onerror = () => {
    code.hidden = true;
    get("/phone").catch(error => at("phone-text").textContent = error.message);  // why there is none
  };
  code.src = "/phone";
  at("phone-dialog").showModal();
}

// taken(file): called with a picture from the camera.
export function listenToPhone(taken) {
  at("phone").addEventListener("click", showCode);
  at("photograph").addEventListener("click", () => at("camera").click());
  at("camera").addEventListener("change", () => { taken(at("camera").files[0]); at("camera").value = ""; });
}
