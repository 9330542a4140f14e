"""A user's picture as an array: whatever the file holds, with its depth, transparency, colour profile and EXIF kept.

`imaging.io.read_rgb` is for data sets and refuses what benchmarks cannot hold; this reads what people have.
"""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms, UnidentifiedImageError

from prosr_lightning.errors import ImageError
from prosr_lightning.imaging.io import Pixels
from prosr_lightning.pictures import sixteen_bit
from prosr_lightning.pictures.metadata import orientation, oriented, portable_exif

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Picture:
    """Pixels and what belongs to them.

    Attributes:
        pixels: `(H, W, C)` with C = 1 gray, 2 gray and alpha, 3 RGB, 4 RGB and alpha; `uint8`, `uint16`, or `float32`
            in `[0, 1]`. Alpha is straight, not premultiplied.
        icc_profile: Colour profile of the pixels.
        exif: EXIF without orientation, which has been applied.
    """

    pixels: Pixels
    icc_profile: bytes | None = None
    exif: bytes | None = None

    @property
    def has_alpha(self) -> bool:
        """Whether the last channel is alpha."""
        return self.pixels.shape[-1] in (2, 4)


def read_picture(path: Path | str, *, allow_huge: bool = False) -> Picture:
    """Read a picture in any format and mode that Pillow knows, and 16-bit PNG and TIFF in full depth.

    Palettes become RGB(A), CMYK and Lab become RGB (through the colour profile where there is one), 1-bit becomes gray,
    EXIF orientation is applied. Of an animation or a file of several pages the first is taken, with a warning.

    Args:
        path: The file; its content decides, not its suffix.
        allow_huge: Open pictures above Pillow's limit of 89 megapixels, which guards against decompression bombs.

    Returns:
        The picture.

    Raises:
        ImageError: If the file is missing, empty, cut short, not an image, too large, or has pixels that cannot be
            enlarged (32-bit integers; floating point outside `[0, 1]`).
    """
    path = Path(path)
    with _reading(path, allow_huge=allow_huge):
        try:
            with Image.open(path) as image:
                return from_pil(image, name=str(path))
        except UnidentifiedImageError:
            pixels = sixteen_bit.read_other_tiff(path)
            if pixels is None:
                raise
            return Picture(_checked(pixels, str(path)))


def read_size(path: Path | str, *, allow_huge: bool = False) -> tuple[int, int]:
    """Return width and height from the head of the file, orientation applied, without decoding the pixels.

    Raises:
        ImageError: As `read_picture`, as far as the head tells.
    """
    path = Path(path)
    with _reading(path, allow_huge=allow_huge):
        try:
            with Image.open(path) as image:
                turned = orientation(image) >= 5 and image.format != "TIFF"  # Pillow's TIFF size is turned already
                return (image.height, image.width) if turned else image.size
        except UnidentifiedImageError:
            pixels = sixteen_bit.read_other_tiff(path)
            if pixels is None:
                raise
            return pixels.shape[1], pixels.shape[0]


def from_pil(image: Image.Image, *, name: str = "The image") -> Picture:
    """Turn a Pillow image of any mode, opened or made, into a picture.

    Args:
        image: Its pixels are loaded if they are not yet.
        name: What messages call it.

    Raises:
        ImageError: As `read_picture`.
    """
    frames = getattr(image, "n_frames", 1)
    if frames > 1 and image.format != "MPO":  # MPO: a JPEG with further views behind it, which phones write
        log.warning("%s holds %d frames or pages; only the first is enlarged.", name, frames)
        image.seek(0)
    deep = sixteen_bit.read_with_pillow(image)
    if deep is None:
        image.load()
        pixels, profile = _pixels(image, name)
    else:
        pixels, profile = deep, image.info.get("icc_profile")
    turn = 1 if deep is not None and image.format == "TIFF" else orientation(image)  # Pillow turns TIFF as it loads
    return Picture(_checked(oriented(pixels, turn), name), profile or None, portable_exif(image))


def to_pil(picture: Picture) -> Image.Image:
    """Turn a picture into a Pillow image: L, LA, RGB, RGBA, I;16 (gray, 16-bit) or F (gray, floating point).

    Raises:
        ImageError: If Pillow has no mode for it: colour or alpha with more than 8 bits.
    """
    pixels = picture.pixels
    flat = pixels[..., 0] if pixels.shape[-1] == 1 else pixels
    if flat.ndim == 3 and pixels.dtype != np.uint8:
        raise ImageError(f"Pillow holds colour in 8 bits only, got {pixels.dtype}; use arrays, or write_picture.")
    image = Image.fromarray(np.ascontiguousarray(flat))
    if picture.icc_profile:
        image.info["icc_profile"] = picture.icc_profile
    if picture.exif:
        image.info["exif"] = picture.exif
    return image


def in_8_bits(picture: Picture) -> Picture:
    """Round a picture of any depth to 8 bits."""
    if picture.pixels.dtype == np.uint8:
        return picture
    top = 65535 if picture.pixels.dtype == np.uint16 else 1
    rounded = np.rint(picture.pixels.astype(np.float32) * np.float32(255 / top))
    return replace(picture, pixels=rounded.clip(0, 255).astype(np.uint8))


@contextmanager
def _reading(path: Path, *, allow_huge: bool) -> Iterator[None]:
    limit = Image.MAX_IMAGE_PIXELS
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow and tifffile warn of harmless metadata
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            Image.MAX_IMAGE_PIXELS = None if allow_huge else limit
            if path.is_file() and path.stat().st_size == 0:
                raise ImageError(f"{path} must be an image file, got an empty file; copy it again.")
            yield
    except ImageError:
        raise
    except FileNotFoundError:
        raise ImageError(f"{path} must be an image file, found nothing there; check the path.") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise ImageError(
            f"{path} must have at most {limit} pixels, unless you trust it: then allow huge pictures (--allow-huge)."
        ) from None
    except UnidentifiedImageError:
        raise ImageError(f"{path} must be an image, got a file that is none; replace or remove it.") from None
    except MemoryError:
        raise ImageError(f"{path} does not fit into memory; split it first.") from None
    except Exception as error:  # decoders raise OSError, SyntaxError, ValueError, struct.error and more
        reason = str(error) or type(error).__name__
        raise ImageError(f"{path} cannot be read as an image: {reason}; replace or remove it.") from error
    finally:
        Image.MAX_IMAGE_PIXELS = limit


def _pixels(image: Image.Image, name: str) -> tuple[Pixels, bytes | None]:
    """Return the pixels `(H, W, C)`, not yet turned, and their profile."""
    profile = image.info.get("icc_profile")
    transparent = "transparency" in image.info
    if image.mode in ("CMYK", "LAB"):
        image, profile = _through_profile(image, profile)
    elif image.mode in ("P", "PA"):
        image = image.convert("RGBA" if transparent or image.mode == "PA" else "RGB")
    elif image.mode in ("YCbCr", "HSV", "RGBX"):
        image = image.convert("RGB")
    elif image.mode in ("1", "L", "RGB", "RGBa", "La"):
        wide = {"1": "L", "RGBa": "RGBA", "La": "LA"}.get(image.mode, image.mode)
        image = image.convert({"L": "LA", "RGB": "RGBA"}.get(wide, wide) if transparent else wide)
    elif image.mode == "I":
        # Pillow before 11.3 and its PPM reader give 16-bit gray as 32-bit integers
        if image.format not in ("PNG", "PPM"):
            raise ImageError(f"{name} must have 8 or 16 bits a channel, got 32-bit integers; convert it first.")
        return np.asarray(image).astype(np.uint16)[..., None], profile
    pixels = np.asarray(image)
    if pixels.dtype.kind == "u" and pixels.dtype.itemsize == 2:
        pixels = pixels.astype(np.uint16)  # I;16B is big-endian
    return (pixels[..., None] if pixels.ndim == 2 else pixels), profile


def _through_profile(image: Image.Image, profile: bytes | None) -> tuple[Image.Image, bytes]:
    """Convert CMYK or Lab to sRGB."""
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
    try:
        if image.mode == "LAB":
            source = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))
        elif profile:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        else:
            return image.convert("RGB"), srgb.tobytes()
        converted = ImageCms.profileToProfile(image, source, srgb, outputMode="RGB")
        return converted or image, srgb.tobytes()
    except (ImageCms.PyCMSError, OSError) as error:
        log.warning("The colour profile cannot be used (%s); colours are converted without it.", error)
        return image.convert("RGB"), srgb.tobytes()


def _checked(pixels: Pixels, name: str) -> Pixels:
    if pixels.dtype.kind == "f" and not (pixels.min() >= 0 and pixels.max() <= 1):  # also false for NaN
        raise ImageError(f"{name} must have floating-point pixels in [0, 1], got others; scale them first.")
    return np.ascontiguousarray(pixels)
