// Light or dark, where gradio says so: by a class of the body, which follows the system's while the
// page is open.

export const isDark = () => document.body.classList.contains("dark");

export function onTheme(listener) {
  let was = isDark();
  new MutationObserver(() => {
    if (isDark() === was) return;
    was = isDark();
    listener(was);
  }).observe(document.body, { attributes: true, attributeFilter: ["class"] });
}
