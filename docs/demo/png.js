// Write a PNG row by row, so that the result is never held unpacked: a canvas cannot, and ends at 16 megapixels on
// some phones. The compression is the browser's own zlib.

const CRC = new Uint32Array(256).map((_, number) => {
  for (let bit = 0; bit < 8; bit++) number = number & 1 ? 0xedb88320 ^ (number >>> 1) : number >>> 1;
  return number;
});

function chunk(type, data) {
  const bytes = new Uint8Array(12 + data.length), view = new DataView(bytes.buffer);
  view.setUint32(0, data.length);
  bytes.set(new TextEncoder().encode(type), 4);
  bytes.set(data, 8);
  let crc = 0xffffffff;
  for (let at = 4; at < bytes.length - 4; at++) crc = CRC[(crc ^ bytes[at]) & 255] ^ (crc >>> 8);
  view.setUint32(bytes.length - 4, ~crc >>> 0);
  return bytes;
}

export class PngWriter {
  /** @param {3 | 4} channels RGB or RGBA, 8 bits each. */
  constructor(width, height, channels) {
    const header = new Uint8Array(13), view = new DataView(header.buffer);
    view.setUint32(0, width);
    view.setUint32(4, height);
    header.set([8, channels === 4 ? 6 : 2, 0, 0, 0], 8);
    const signature = new Uint8Array([137, 80, 78, 71, 13, 10, 26, 10]);
    this.parts = [signature, chunk("IHDR", header), chunk("sRGB", new Uint8Array([0]))];
    this.channels = channels;
    this.length = width * channels;
    this.above = new Uint8Array(this.length);
    const packer = new CompressionStream("deflate");
    this.input = packer.writable.getWriter();
    this.packed = this.collect(packer.readable);
  }

  async collect(readable) {
    for await (const bytes of chunksOf(readable)) this.parts.push(chunk("IDAT", bytes));
  }

  /** Add whole rows. Each is filtered by Paeth, which suits photographs. */
  async write(pixels) {
    const rows = pixels.length / this.length, filtered = new Uint8Array(rows * (this.length + 1));
    for (let row = 0; row < rows; row++) {
      const own = pixels.subarray(row * this.length, (row + 1) * this.length), start = row * (this.length + 1) + 1;
      filtered[start - 1] = 4;
      for (let at = 0; at < this.length; at++) {
        const left = at < this.channels ? 0 : own[at - this.channels], up = this.above[at];
        const corner = at < this.channels ? 0 : this.above[at - this.channels];
        const a = Math.abs(up - corner), b = Math.abs(left - corner), c = Math.abs(left + up - 2 * corner);
        filtered[start + at] = own[at] - (a <= b && a <= c ? left : b <= c ? up : corner);
      }
      this.above = own;
    }
    this.above = this.above.slice();
    await this.input.write(filtered);
  }

  async finish() {
    await this.input.close();
    await this.packed;
    return new Blob([...this.parts, chunk("IEND", new Uint8Array(0))], { type: "image/png" });
  }
}

async function* chunksOf(readable) {
  const reader = readable.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    yield value;
  }
}
