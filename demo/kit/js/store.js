// One store a page: what has come, what is under way, what is selected; who draws it, and who
// wants to know of it.

import { onTheme } from "./theme.js";

const EVENTS = ["select", "begin", "step", "result", "fail"];

// `first` is the selection at first; `fit(selection, shown, change)` brings it into the range of
// what is shown. A view is drawn when it is on screen and something has changed.
export function createStore(first, fit = () => {}) {
  const events = new EventTarget();
  const views = new Map();
  let waiting = null;

  const store = {
    run: null, // the last result that came
    live: null, // the run under way
    earlier: null, // the result that the page brings with it, to be called back at any time
    aside: false, // whether that one is looked at
    sel: { ...first },

    get shown() {
      return (store.aside && store.earlier) || store.live || store.run;
    },

    // A copy: the selection moves by `select` alone.
    selection: () => ({ ...store.sel }),

    select(change) {
      const before = JSON.stringify(store.sel);
      Object.assign(store.sel, change);
      if (store.shown) fit(store.sel, store.shown, change);
      if (JSON.stringify(store.sel) === before) return;
      tell("select", store.selection());
      store.redraw();
    },

    // `listener` is told of an event from now on; what comes back ends that.
    on(event, listener) {
      if (!EVENTS.includes(event)) throw new Error(`${event} is none of ${EVENTS.join(", ")}`);
      const heard = ({ detail }) => listener(detail);
      events.addEventListener(event, heard);
      return () => events.removeEventListener(event, heard);
    },

    begin(live) {
      store.live = live;
      store.aside = false;
      refit();
      tell("begin", live);
    },
    step(change) {
      Object.assign(store.live, change);
      refit();
      tell("step", store.live);
    },
    end(run) {
      store.live = null;
      store.run = run;
      refit();
      tell("result", run);
    },
    fail() {
      store.live = null;
      store.aside = !store.run;
      refit();
      tell("fail", null);
    },
    keep(earlier) {
      store.earlier = earlier;
      store.aside = true;
      refit();
    },
    look(aside) {
      store.aside = aside;
      refit();
    },

    view(name, root, draw) {
      views.set(name, { name, root, draw });
      new ResizeObserver(() => store.redraw(name)).observe(root);
    },

    // All views, or the one of that name, at the browser's next frame.
    redraw(only) {
      if (waiting) {
        if (only) waiting.names.add(only);
        else waiting.all = true;
        return;
      }
      waiting = { all: !only, names: new Set(only ? [only] : []) };
      requestAnimationFrame(() => {
        const { all, names } = waiting;
        waiting = null;
        for (const view of views.values())
          if ((all || names.has(view.name)) && view.root.isConnected && view.root.offsetWidth)
            view.draw();
      });
    },
  };

  const tell = (event, detail) => events.dispatchEvent(new CustomEvent(event, { detail }));

  function refit() {
    if (store.shown) fit(store.sel, store.shown, {});
    store.redraw();
  }

  onTheme(() => store.redraw());
  return store;
}
