// The pixels of a picture file, RGBA in sRGB, upright, not premultiplied.

const ROWS = 1024; // of a canvas at once: some phones have no canvas of more than 16 megapixels

export async function pixelsOf(file) {
  const options = { premultiplyAlpha: "none" };
  const bitmap = await createImageBitmap(file, options).catch(() => {
    throw new Error(`${file.name || "The file"} is no picture that this browser can read; try a JPEG or PNG.`);
  });
  const { width, height } = bitmap;
  let pixels = byCanvas(bitmap);
  for (let at = 3; at < pixels.length; at += 4) {
    if (pixels[at] === 255) continue;
    pixels = byTexture(bitmap) ?? pixels; // a canvas premultiplies, and so rounds the colours under transparency
    break;
  }
  bitmap.close();
  return { pixels, width, height };
}

function byCanvas(bitmap) {
  const { width, height } = bitmap, pixels = new Uint8ClampedArray(4 * width * height);
  const canvas = new OffscreenCanvas(width, Math.min(height, ROWS));
  const context = canvas.getContext("2d", { willReadFrequently: true });
  for (let top = 0; top < height; top += ROWS) {
    const rows = Math.min(ROWS, height - top);
    context.clearRect(0, 0, width, rows);
    context.drawImage(bitmap, 0, -top);
    pixels.set(context.getImageData(0, 0, width, rows).data, 4 * width * top);
  }
  return pixels;
}

function byTexture(bitmap) {
  const { width, height } = bitmap;
  const gl = new OffscreenCanvas(1, 1).getContext("webgl2");
  if (!gl || Math.max(width, height) > gl.getParameter(gl.MAX_TEXTURE_SIZE)) return null;
  gl.pixelStorei(gl.UNPACK_PREMULTIPLY_ALPHA_WEBGL, false);
  gl.pixelStorei(gl.UNPACK_COLORSPACE_CONVERSION_WEBGL, gl.NONE);
  gl.bindTexture(gl.TEXTURE_2D, gl.createTexture());
  gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, gl.RGBA, gl.UNSIGNED_BYTE, bitmap);
  gl.bindFramebuffer(gl.FRAMEBUFFER, gl.createFramebuffer());
  gl.framebufferTexture2D(gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0, gl.TEXTURE_2D, gl.getParameter(gl.TEXTURE_BINDING_2D), 0);
  const pixels = new Uint8Array(4 * width * height);
  gl.readPixels(0, 0, width, height, gl.RGBA, gl.UNSIGNED_BYTE, pixels);
  const failed = gl.getError() || gl.checkFramebufferStatus(gl.FRAMEBUFFER) !== gl.FRAMEBUFFER_COMPLETE;
  gl.getExtension("WEBGL_lose_context")?.loseContext();
  return failed ? null : new Uint8ClampedArray(pixels.buffer);
}
