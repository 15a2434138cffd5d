// Small parts of a page.

import { escape } from "./format.js";

export const setHtml = (element, html) => {
  if (element.dataset.html !== html) {
    element.dataset.html = html;
    element.innerHTML = html;
  }
};

export function part(tag, className = "") {
  const made = document.createElement(tag);
  made.className = className;
  return made;
}

export function button(text, press, className = "") {
  const made = part("button", className);
  made.type = "button";
  made.textContent = text;
  made.addEventListener("click", press);
  return made;
}

let announcer = null;
export function announce(text) {
  if (!announcer) {
    announcer = part("div", "lab-hidden");
    announcer.setAttribute("aria-live", "polite");
    document.body.append(announcer);
  }
  announcer.textContent = text;
}

// The browser keeps the content as a file of that name.
export function download(name, content, type) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(
    content instanceof Blob ? content : new Blob([content], { type }),
  );
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

// A row of exclusive choices; `change(value)` is called when another is taken.
export function choices(label, options, value, change) {
  const group = document.createElement("div");
  group.className = "lab-choices";
  group.setAttribute("role", "radiogroup");
  group.setAttribute("aria-label", label);
  const set = (next) => {
    for (const button of group.children) {
      const on = button.dataset.value === String(next);
      button.setAttribute("aria-checked", on);
      button.tabIndex = on ? 0 : -1;
    }
  };
  const fill = (list, current) => {
    const key = JSON.stringify(list);
    if (group.dataset.key !== key) {
      group.dataset.key = key;
      group.innerHTML = list
        .map(
          ([v, text]) =>
            `<button type="button" role="radio" data-value="${escape(v)}">${escape(text)}</button>`,
        )
        .join("");
    }
    set(current);
  };
  fill(options, value);
  group.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    set(button.dataset.value);
    change(button.dataset.value);
  });
  group.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1 }[event.key];
    if (!step) return;
    const all = [...group.children];
    const next = all[(all.indexOf(document.activeElement) + step + all.length) % all.length];
    event.preventDefault();
    next.focus();
    next.click();
  });
  return { element: group, set, fill };
}
