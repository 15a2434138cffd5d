// The only script that is in the page itself: it fetches the page's styles and module, which lie in a
// folder below gradio's root that is named by their content. `lab` is the promise of the module.

{
  const { root, current_page: page } = window.gradio_config;
  const { folder } = document.currentScript.dataset;
  const below = new URL(root || "/", location.href).pathname.replace(/\/$/, "");
  const at = (path) => `${location.origin}${below}/${folder}/${path}`;
  const name = (page || "lab").replaceAll("-", "_");

  // What is drawn is measured, so its style is there first; without it, the page still works.
  // A room, PAGE_ROOM, has its page's style too.
  const taught = new URLSearchParams(location.search).has("l"); // a lesson stands on the page
  const styles = ["kit", name.split("_")[0], name, ...(taught ? ["learn"] : [])];
  const sheets = [...new Set(styles)].map((each) => {
    const link = document.createElement("link");
    Object.assign(link, { rel: "stylesheet", href: at(`${each}/${each}.css`) });
    document.head.append(link);
    return new Promise((done) => {
      for (const end of ["load", "error"]) link.addEventListener(end, done);
    });
  });
  import(at("kit/js/mend.js"));
  window.labAddress = import(at("kit/js/address.js"));
  window.lab = Promise.all([import(at(`${name}/${name}.js`)), ...sheets]).then(
    ([module]) => module,
  );
  if (taught) window.labLesson = import(at("learn/js/panel.js"));
}

// Run may be pressed before the page's module is there: whoever pressed it is taken to the result.
document.addEventListener(
  "click",
  (event) => {
    if (event.target.closest?.("#run")) window.labPressed = true;
  },
  true,
);
