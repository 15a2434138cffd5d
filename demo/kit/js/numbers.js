// Numbers that every page needs.

export const range = (n) => Array.from({ length: n }, (_, i) => i);

export const clamp = (value, low, high) => Math.min(high, Math.max(low, value));

// Where in a list of numbers the one nearest to a value stands.
export const nearest = (list, value) =>
  list.reduce((best, v, i) => (Math.abs(v - value) < Math.abs(list[best] - value) ? i : best), 0);
