// Rows of bars on one axis from 0, each with its number, beside a name.

import { escape } from "./format.js";

// `rows` are {name, note, bars: [[role, value, words], ...]}; `high` has the full width.
export function bars(rows, high) {
  const longest = Math.max(
    0,
    ...rows.flatMap(({ bars }) => bars.map(([, , words]) => words.length)),
  );
  return `<div class="report-bars" style="--words:${longest + 1}ch">${rows
    .map(
      ({ name, note = "", bars }) =>
        `<div><p><b>${escape(name)}</b> <em>${escape(note)}</em></p><div>${bars
          .map(
            ([role, value, words]) =>
              `<span><i class="lab-bg-${role}" style="width:${(100 * value) / high}%"></i><small>${escape(words)}</small></span>`,
          )
          .join("")}</div></div>`,
    )
    .join("")}</div>`;
}
