"""A user's picture as an array, with its depth, transparency, colour profile and metadata."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from PIL import Image

from prosr_lightning.errors import ImageError
from prosr_lightning.imaging.io import Pixels
from prosr_lightning.pictures import decoding
from prosr_lightning.pictures.metadata import Metadata, fitted_exif


@dataclass(frozen=True)
class Picture:
    """Pixels and what belongs to them.

    Attributes:
        pixels: `(H, W, C)` with C = 1 gray, 2 gray and alpha, 3 RGB, 4 RGB and alpha; `uint8`, `uint16`, or `float32`
            in `[0, 1]`. Alpha is straight, not premultiplied.
        icc_profile: Colour profile of the pixels.
        metadata: EXIF without orientation, which has been applied, and more.
        duration: How long a frame of an animation is shown, in ms.
        loop: How often an animation is played, 0 for ever.
        encoding: Format of the file, and Pillow's arguments for encoding another as it was.
    """

    pixels: Pixels
    icc_profile: bytes | None = None
    metadata: Metadata = field(default_factory=Metadata)
    duration: float | None = None
    loop: int | None = None
    encoding: tuple[str, dict[str, Any]] | None = None

    @property
    def has_alpha(self) -> bool:
        """Whether the last channel is alpha."""
        return self.pixels.shape[-1] in (2, 4)


def to_pil(picture: Picture) -> Image.Image:
    """Turn a picture into a Pillow image: L, LA, RGB, RGBA, I;16 (gray, 16-bit) or F (gray, floating point).

    Raises:
        ImageError: If Pillow has no mode for it: colour or alpha with more than 8 bits.
    """
    pixels, metadata = picture.pixels, picture.metadata
    flat = pixels[..., 0] if pixels.shape[-1] == 1 else pixels
    if flat.ndim == 3 and pixels.dtype != np.uint8:
        raise ImageError(f"Pillow holds colour in 8 bits only, got {pixels.dtype}; use arrays, or write_picture.")
    image = Image.fromarray(np.ascontiguousarray(flat))
    exif, _ = fitted_exif(metadata, image.width, image.height)
    information = {"icc_profile": picture.icc_profile, "exif": exif, "xmp": metadata.xmp, "dpi": metadata.dpi}
    image.info.update({key: value for key, value in information.items() if value})
    return image


def in_8_bits(picture: Picture) -> Picture:
    """Round a picture of any depth to 8 bits."""
    return replace(picture, pixels=decoding.in_8_bits(picture.pixels))
