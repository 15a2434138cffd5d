// What a visitor keeps of a run: it is pinned beside the next ones, or saved as a report.

import { button, download } from "../../kit/js/dom.js";
import { beside, store } from "./store.js";

const REPORT = "Report (HTML)";

export const keep = {
  build(root, view) {
    view.report = button(REPORT, () => save(view), "lab-quiet");
    view.report.title = "One file with pictures, views and settings. It opens without network.";
    view.told = document.createElement("p");
    view.told.setAttribute("role", "status");
    root.append(view.report, view.told);
    view.drawLive = () => (view.report.disabled = true);
  },
  draw() {
    this.report.disabled = false;
  },
};

// A script's text ends at the first `</script`: a message has no `<` of its own.
const quoted = (text = "null") => text.replaceAll("<", "\\u003c");

async function save({ server, report, told }) {
  const { run } = store;
  const other = beside();
  report.disabled = true;
  report.textContent = "Saving …";
  told.textContent = "";
  try {
    const page = await server.report(JSON.stringify([run.about, other && other.about]));
    if (page.error) throw new Error(page.error);
    const apart = quoted(JSON.stringify(page.difference));
    const runs = `{"run":${quoted(run.text)},"pinned":${quoted(other?.text)},"apart":${apart}}`;
    download(page.name, page.before + runs + page.after, "text/html");
  } catch (problem) {
    told.textContent = `The report could not be made. ${problem.message ?? ""}`;
  }
  report.textContent = REPORT;
  report.disabled = Boolean(store.live);
}
