// What lines, marks and colours stand for.

import { mark } from "./chart.js";
import { escape } from "./format.js";

// Entries are [role, text, dash, marker]: a line as the charts draw it.
export const legend = (entries) =>
  `<div class="lab-legend">${entries
    .map(
      ([role, text, dash = "", marker = "dot"]) =>
        `<span><svg width="26" height="10" aria-hidden="true"><path class="lab-line lab-stroke-${role}" d="M1 5H25" stroke-dasharray="${dash}"/>${mark(marker, 13, 5, role, 2.8)}</svg>${escape(text)}</span>`,
    )
    .join("")}</div>`;

// Entries are [role, text]: an area of one colour.
export const swatches = (entries) =>
  `<div class="lab-legend">${entries.map(([role, text]) => `<span><i class="lab-swatch lab-bg-${role}"></i>${escape(text)}</span>`).join("")}</div>`;
