"""Colours that are neither gray nor RGB, brought to sRGB."""

from __future__ import annotations

import io
import logging

import imagecodecs
import numpy as np
from PIL import Image, ImageCms

from prosr_lightning.imaging.io import Pixels

log = logging.getLogger(__name__)


def srgb_profile() -> bytes:
    """Return the profile of sRGB."""
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def cmyk_to_rgb(inks: Pixels, profile: bytes | None, name: str) -> tuple[Pixels, bytes]:
    """Convert inks through their profile, in 8 bits, or without one by R = (1 - C) (1 - K), in their depth.

    Args:
        inks: `(H, W, 4)`, 0 for no ink.
        profile: Of the inks.
        name: What messages call the file.

    Returns:
        `(H, W, 3)` and the profile of sRGB.
    """
    if profile:
        try:
            top = 1 if inks.dtype.kind == "f" else np.iinfo(inks.dtype).max
            low = inks if top == 255 else np.rint(inks * (255 / top)).clip(0, 255).astype(np.uint8)
            image = Image.frombytes("CMYK", (inks.shape[1], inks.shape[0]), np.ascontiguousarray(low).tobytes())
            source, target = (ImageCms.ImageCmsProfile(io.BytesIO(data)) for data in (profile, srgb_profile()))
            converted = ImageCms.profileToProfile(image, source, target, outputMode="RGB")
            assert converted is not None
            return np.asarray(converted), srgb_profile()
        except (ImageCms.PyCMSError, OSError) as error:
            log.warning("The colour profile of %s cannot be used (%s); colours are converted without it.", name, error)
    top = 1 if inks.dtype.kind == "f" else np.iinfo(inks.dtype).max
    light = top - inks.astype(np.float32)
    rgb = light[..., :3] * (light[..., 3:] / np.float32(top))
    return (rgb if top == 1 else np.rint(rgb)).astype(inks.dtype), srgb_profile()


def lab_to_rgb(lab: Pixels, *, signed: bool) -> tuple[Pixels, bytes]:
    """Convert CIE L*a*b* under D50 to sRGB.

    Args:
        lab: `(H, W, 3)`, `uint8` or `uint16`; L from 0 to the top of the type, a and b with 1 or 1/256 a step.
        signed: a and b are two's complement (TIFF's CIELab); else they have an offset of half the type (ICC's Lab).

    Returns:
        `(H, W, 3)` in the depth of `lab`, and the profile of sRGB.
    """
    from skimage.color import lab2rgb  # noqa: PLC0415  # slow to import, and seldom needed

    bits = 8 * lab.dtype.itemsize
    half = 2 ** (bits - 1)
    ab = (lab[..., 1:].astype(np.int64) + (half if signed else 0)) % 2**bits - half
    values = np.concatenate([lab[..., :1] * (100 / (2**bits - 1)), ab / 2 ** (bits - 8)], axis=-1)
    rgb = lab2rgb(values, illuminant="D50").clip(0, 1) * (2**bits - 1)
    return np.rint(rgb).astype(lab.dtype), srgb_profile()


def to_srgb(pixels: Pixels, profile: bytes, name: str) -> Pixels:
    """Convert gray or RGB to sRGB, for a format that keeps no profile.

    Args:
        pixels: `(H, W, C)`, `uint8` or `uint16`; alpha stays as it is.
        profile: Of the pixels.
        name: What messages call the file.

    Returns:
        The same shape and depth.
    """
    channels = pixels.shape[-1] - (pixels.shape[-1] in (2, 4))
    space = "gray" if channels == 1 else "rgb"
    target = imagecodecs.cms_profile("gray", gamma=2.2) if channels == 1 else srgb_profile()
    colour = np.ascontiguousarray(pixels[..., :channels] if channels > 1 else pixels[..., 0])
    try:
        converted = imagecodecs.cms_transform(colour, profile, target, colorspace=space, outcolorspace=space)
    except (RuntimeError, ValueError) as error:
        log.warning("The colour profile of %s cannot be used (%s); it is left out.", name, error)
        return pixels
    if (converted != colour).any():
        log.warning("%s cannot hold its colour profile; its colours are converted to sRGB.", name)
    return np.concatenate([converted.reshape(*pixels.shape[:2], channels), pixels[..., channels:]], axis=-1)
