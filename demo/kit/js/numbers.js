// Numbers that every page needs.

export const range = (n) => Array.from({ length: n }, (_, i) => i);

export const clamp = (value, low, high) => Math.min(high, Math.max(low, value));
