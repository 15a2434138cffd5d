import { unpack } from "../../kit/js/packing.js";

// Half the sum of |a - b|: the share of attention that has gone elsewhere.
export function movedShare(a, b) {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += Math.abs(a[i] - b[i]);
  return sum / 2;
}

// Attention rows of one query for every frame (the noise control last), unpacked when first used.
export class Rows {
  constructor(packed, shapes) {
    this.query = packed.query;
    this.packed = packed.frames;
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
  // The block and head whose row has moved most since the first frame.
  mostMoved(index) {
    let best = { moved: -1 };
    this.places.forEach(({ heads }, block) => {
      for (let head = 0; head < heads; head++) {
        const moved = movedShare(this.head(0, block, head), this.head(index, block, head));
        if (moved > best.moved) best = { moved, block, head };
      }
    });
    return { block: best.block, head: best.head };
  }
}
