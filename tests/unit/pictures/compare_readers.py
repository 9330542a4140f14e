"""How other libraries read the TIFF matrix of tiff_matrix.py, for the table of docs/pictures.md.

Run in an environment of its own: pip install . OpenImageIO pyvips pyvips-binary pytest; python compare_readers.py
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import numpy as np
from PIL import Image
from tiff_matrix import DEPTHS, PHOTOMETRICS, Layout, layouts, meant, samples, unit, written

from prosr_lightning.pictures.reading import read_picture


def by_openimageio(path: Path) -> np.ndarray:
    oiio = import_module("OpenImageIO")
    wanted = oiio.ImageSpec()
    wanted["oiio:RawColor"], wanted["oiio:UnassociatedAlpha"] = 1, 1
    opened = oiio.ImageInput.open(str(path), wanted)
    if opened is None:
        raise OSError(oiio.geterror())
    spec = opened.spec()
    pixels = opened.read_image(0, 0, 0, spec.nchannels, spec.format)
    if pixels is None or (error := opened.geterror()):
        raise OSError(error or "no pixels")
    return pixels


def by_vips(path: Path) -> np.ndarray:
    vips = import_module("pyvips")
    vips.cache_set_max(0)
    pixels = vips.Image.new_from_file(str(path), fail_on="error").numpy()
    return pixels[..., None] if pixels.ndim == 2 else pixels


def by_pillow(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        pixels = np.asarray(image.convert(image.mode.replace("RGBa", "RGBA")))
    pixels = pixels.astype(np.uint8) * 255 if pixels.dtype == bool else pixels
    return pixels[..., None] if pixels.ndim == 2 else pixels


READERS: dict[str, Callable[[Path], np.ndarray]] = {
    "ours: tifffile, imagecodecs": lambda path: read_picture(path).pixels,
    "OpenImageIO": by_openimageio,
    "pyvips": by_vips,
    "Pillow": by_pillow,
}


def readings(layout: Layout, stored: np.ndarray) -> list[np.ndarray]:
    """Return all that counts as right: what the samples mean, or they themselves where colours are not converted."""
    bits = DEPTHS[layout.depth][1]
    raw = stored.astype(float) if bits is None else stored / (2.0**bits - 1)
    return [meant(layout, stored), raw]


def outcome(read: Callable[[Path], np.ndarray], path: Path, layout: Layout, stored: np.ndarray) -> str:
    try:
        pixels = unit(read(path))
    except Exception:  # noqa: BLE001  # each library has its own errors
        return "refused"
    # 8 bits are a loss where there were more
    step = 1.6 / (255 if DEPTHS[layout.depth][1] in (1, 8) else 65535)
    for expected in readings(layout, stored):
        if pixels.shape == expected.shape and np.abs(pixels - expected).max() <= step:
            return "right"
    for expected in readings(layout, stored):
        if pixels.shape == expected.shape and np.abs(pixels - expected).max() <= 1.6 / 255:
            return "in 8 bits"
    return "wrong"


def main() -> None:
    counts = {name: Counter[str]() for name in READERS}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.tif"
        for layout in layouts():
            if layout.photometric in ("lab", "rgb and more"):
                continue  # no two libraries agree on what to return
            stored = samples(layout)
            path.write_bytes(written(layout, stored))
            for name, read in READERS.items():
                counts[name][outcome(read, path, layout, stored)] += 1
    kinds = [kind for kind in PHOTOMETRICS if kind not in ("lab", "rgb and more")]
    print(f"{sum(counts['Pillow'].values())} files: {', '.join(kinds)}")  # noqa: T201
    for name, count in counts.items():
        print(f"{name:30}", *(f"{what} {count[what]:4}" for what in ("right", "in 8 bits", "refused", "wrong")))  # noqa: T201


if __name__ == "__main__":
    main()
