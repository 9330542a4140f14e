"""EXIF: its orientation applied to pixels, and the rest of it made fit to travel to another file."""

from __future__ import annotations

import logging

from PIL import ExifTags, Image

from prosr_lightning.imaging.io import Pixels

log = logging.getLogger(__name__)


# TIFF 6.0 and its supplements: tags that say how the file is laid out, not what the picture is.
_LAYOUT_TAGS = frozenset(
    {254, 255, 256, 257, 258, 259, 262, 266, 273, 274, 277, 278, 279, 284, 317, 320, 322, 323, 324}
)
_MORE_LAYOUT_TAGS = frozenset(
    {325, 330, 332, 333, 334, 336, 338, 339, 347, 529, 530, 531, 532, 700, 33723, 34377, 34675}
)


def orientation(image: Image.Image) -> int:
    """Return the EXIF orientation, 1 to 8; 1 where there is none or it makes no sense."""
    try:
        value = int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # noqa: BLE001  # damaged metadata must not cost the user the picture
        return 1
    return value if 1 <= value <= 8 else 1


def oriented(pixels: Pixels, turn: int) -> Pixels:
    """Apply an EXIF orientation to pixels (Exif 2.3, 4.6.4: 2-4 flip and turn, 5-8 swap rows and columns first).

    Args:
        pixels: `(H, W, C)`.
        turn: 1 to 8.

    Returns:
        A view, `(H, W, C)` or `(W, H, C)`.
    """
    if turn >= 5:
        pixels = pixels.swapaxes(0, 1)
    if turn in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if turn in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return pixels


def portable_exif(image: Image.Image) -> bytes | None:
    """Return the EXIF without orientation and without the layout of the file it came from."""
    try:
        exif = image.getexif()
        for tag in list(exif):
            if tag in _LAYOUT_TAGS or tag in _MORE_LAYOUT_TAGS:
                del exif[tag]
        return exif.tobytes() if len(exif) else None
    except Exception as error:  # noqa: BLE001  # damaged metadata must not cost the user the picture
        log.debug("EXIF is damaged and left out: %s", error)
        return None
