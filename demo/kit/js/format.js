// Words and numbers.

export const escape = (text) => String(text).replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);

export const probability = (p) => (p === null || p === undefined ? "–" : p.toFixed(2));

export function percent(share, digits = 0) {
  const value = share * 100;
  if (value > 0 && value < 0.1 && digits < 2) return "< 0.1 %";
  if (value > 0 && value < 10 && digits === 0) return `${value.toFixed(1)} %`;
  return `${value.toFixed(digits)} %`;
}

export function short(value) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  const size = Math.abs(value);
  if (size === 0) return "0";
  if (size < 0.001 || size >= 100000) {
    const [mantissa, exponent] = value.toExponential(1).split("e");
    return `${mantissa}×10${superscript(Number(exponent))}`;
  }
  return String(Number(value.toPrecision(size >= 100 ? 3 : 2))).replace("-", "−");
}

export const superscript = (n) =>
  String(n).replace(/[-0-9]/g, (c) => (c === "-" ? "⁻" : "⁰¹²³⁴⁵⁶⁷⁸⁹"[c]));

export const plural = (count, word) => `${count} ${word}${count === 1 ? "" : "s"}`;

// Where a patch is, counted from 1 as people count.
export function patchName(patch, grid) {
  if (patch < 0) return "class token";
  return `patch row ${Math.floor(patch / grid[1]) + 1}, column ${(patch % grid[1]) + 1}`;
}

export const say = (role, text) => `<b class="lab-${role}">${escape(text)}</b>`;

export const times = (ratio) =>
  `${ratio >= 1000 ? Math.round(ratio).toLocaleString("en") : short(ratio)} times`;
