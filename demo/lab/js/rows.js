import { unpack } from "../../kit/js/packing.js";

// Attention rows of one query for every frame (the noise control last), unpacked when first used.
export class Rows {
  constructor(packed, shapes) {
    const { query, narrow, wide, frames } = packed;
    Object.assign(this, { query, narrow, wide, packed: frames });
    this.unpacked = [];
    this.floats = new Map();
    this.places = [];
    let row = 0;
    let start = 0;
    for (const { heads, prefix, grid } of shapes) {
      const length = prefix + grid[0] * grid[1];
      this.places.push({ row, start, heads, length });
      row += heads;
      start += heads * length;
    }
  }
  frame(index) {
    return (this.unpacked[index] ??= (() => {
      const { values, scales, rollout } = this.packed[index];
      return {
        values: unpack(values),
        scales: unpack(scales),
        rollout: rollout && unpack(rollout),
      };
    })());
  }
  // The head that has turned most since the clean picture.
  turned(index) {
    return this.packed[index].turned;
  }
  head(index, block, head) {
    const { row, start, length } = this.places[block];
    const { values, scales } = this.frame(index);
    const from = start + head * length;
    const scale = scales[row + head];
    const key = index * 1e6 + row + head;
    let out = this.floats.get(key);
    if (!out) {
      out = new Float32Array(length);
      for (let i = 0; i < length; i++) out[i] = values[from + i] * scale;
      this.floats.set(key, out);
    }
    return out;
  }
  mean(index, block) {
    const { heads, length } = this.places[block];
    const sum = new Float32Array(length);
    for (let h = 0; h < heads; h++)
      this.head(index, block, h).forEach((v, i) => (sum[i] += v / heads));
    return sum;
  }
  read(index, block, head) {
    if (head === "rollout") return this.frame(index).rollout;
    return head === "mean" ? this.mean(index, block) : this.head(index, block, head);
  }
}
