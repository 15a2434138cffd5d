// What `demo/kit/packing.py` packs: arrays as base64, rows in 8 bits, pictures as PNG.

const READERS = {
  u1: (bytes) => bytes,
  u2: (bytes) => new Uint16Array(bytes.buffer),
  f4: (bytes) => new Float32Array(bytes.buffer),
  f2: (bytes) => Float32Array.from(new Uint16Array(bytes.buffer), half),
};

function half(bits) {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return exponent
    ? sign * 2 ** (exponent - 15) * (1 + fraction / 1024)
    : sign * 2 ** -14 * (fraction / 1024);
}

export function bytesOf(base64) {
  const text = atob(base64);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}

export const unpack = (packed) => READERS[packed.type](bytesOf(packed.data));

// Rows packed in 8 bits, each with its own scale, as one flat array of numbers.
export function unpackRows({ values, scales }) {
  const small = unpack(values);
  const scale = unpack(scales);
  const length = small.length / scale.length;
  return Float32Array.from(small, (v, i) => v * scale[Math.floor(i / length)]);
}

// The messages that came at once, in order.
export const told = (value) => (value ? JSON.parse(value) : []);

// `receive` is told every message of a component, from those that have come.
export function hear(props, watch, receive) {
  const come = () => told(props.value).forEach(receive);
  watch("value", come);
  come();
}

// A property as plain values, where gradio hands out proxies.
export const plain = (value) => (value ? JSON.parse(JSON.stringify(value)) : null);

// A picture, decoded once; given a clean one, the PNG holds the change from it, plus 128, mod 256.
export class Picture {
  constructor(base64, clean) {
    this.canvas = null;
    this.ready = this.decode(base64, clean);
  }
  async decode(base64, clean) {
    const blob = new Blob([bytesOf(base64)], { type: "image/png" });
    const bitmap = await createImageBitmap(blob, {
      colorSpaceConversion: "none",
      premultiplyAlpha: "none",
    });
    const canvas = document.createElement("canvas");
    canvas.width = bitmap.width;
    canvas.height = bitmap.height;
    const context = canvas.getContext("2d", { willReadFrequently: true });
    context.drawImage(bitmap, 0, 0);
    const pixels = context.getImageData(0, 0, canvas.width, canvas.height);
    if (clean) {
      await clean.ready;
      const { data } = pixels;
      for (let i = 0; i < data.length; i++)
        if (i % 4 !== 3) data[i] = (data[i] + clean.data[i] + 128) & 255;
      context.putImageData(pixels, 0, 0);
    }
    this.data = pixels.data;
    this.canvas = canvas;
  }
  get grey() {
    if (!this.greyed) {
      const copy = document.createElement("canvas");
      copy.width = this.canvas.width;
      copy.height = this.canvas.height;
      const context = copy.getContext("2d");
      const pixels = this.canvas.getContext("2d").getImageData(0, 0, copy.width, copy.height);
      const d = pixels.data;
      for (let i = 0; i < d.length; i += 4)
        d[i] = d[i + 1] = d[i + 2] = 0.299 * d[i] + 0.587 * d[i + 1] + 0.114 * d[i + 2];
      context.putImageData(pixels, 0, 0);
      this.greyed = copy;
    }
    return this.greyed;
  }
}
