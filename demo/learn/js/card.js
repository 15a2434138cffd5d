// The way into a class, for the wall: its code, the address to open, the QR code.

import { button, part, setHtml } from "../../kit/js/dom.js";

export const spaced = (code) => `${code.slice(0, 3)} ${code.slice(3)}`;

// Where this page was opened, without its route.
export function base() {
  const { root } = window.gradio_config;
  const below = new URL(root || "/", location.href).pathname.replace(/\/$/, "");
  return `${location.origin}${below}`;
}

// Fills the parts of a dialog with what Python says of the way in.
export function fill(dialog, code, card) {
  const at = (name) => dialog.querySelector(`.learn-${name}`);
  setHtml(at("qr"), card.qr);
  const picture = at("qr").querySelector("svg");
  picture.setAttribute("role", "img");
  picture.setAttribute("aria-label", `QR code of ${card.link}`);
  at("typed").textContent = card.typed.replace(/^http:\/\//, "");
  at("big").textContent = spaced(code);
  warn(dialog, card.said);
}

export function warn(dialog, sentence) {
  const line = dialog.querySelector(".learn-warned");
  line.textContent = sentence;
  line.hidden = !sentence;
}

export const WAY_IN =
  '<div class="learn-way-in"><div class="learn-qr"></div><div><p>Open</p><p class="learn-typed"></p>' +
  '<p>and type this code, or scan the picture.</p><p class="learn-big"></p></div></div>' +
  '<p class="learn-warned" role="alert" hidden></p>';

// The same over any page, until it is closed.
export function wall(code, card) {
  const dialog = part("dialog", "lab-view learn learn-class");
  dialog.dataset.state = "here";
  dialog.setAttribute("aria-label", "The way into this class");
  dialog.innerHTML = WAY_IN;
  dialog.append(button("Close", () => dialog.close(), "lab-quiet"));
  fill(dialog, code, card);
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}
