"""What surrounds every reading of a user's picture: Pillow's guard against bombs, and errors that the user can mend."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from PIL import Image, UnidentifiedImageError

from prosr_lightning.errors import ImageError, MissingDependencyError
from prosr_lightning.imaging.io import picture_settings, quietly


@contextmanager
def reading(name: str, *, allow_huge: bool) -> Iterator[None]:
    """Turn whatever goes wrong while a file is read into an error that names it; for threads beside each other.

    Args:
        name: The file, or what messages call a picture that is none.
        allow_huge: Without Pillow's limit of pixels.

    Raises:
        ImageError: As `reading.read_picture`.
        MissingDependencyError: Likewise.
    """
    try:
        with picture_settings(_without_limit if allow_huge else _within_limit):
            if os.path.exists(name) and not os.path.isfile(name):  # opened, a pipe would wait or be gone for the next
                raise ImageError(
                    f"{name} must be a file, got a folder, a pipe or a device; pass what comes through a pipe by -i -."
                )
            if os.path.isfile(name) and os.path.getsize(name) == 0:
                raise ImageError(f"{name} must be an image file, got an empty file; copy it again.")
            yield
    except (ImageError, MissingDependencyError):
        raise
    except FileNotFoundError:
        raise ImageError(f"{name} must be an image file, found nothing there; check the path.") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise ImageError(
            f"{name} must have at most {Image.MAX_IMAGE_PIXELS} pixels, unless you trust it: then allow huge pictures "
            "(--allow-huge)."
        ) from None
    except UnidentifiedImageError:
        raise ImageError(f"{name} must be an image, got a file that is none; replace or remove it.") from None
    except MemoryError:
        raise ImageError(f"{name} does not fit into memory; split it first.") from None
    except Exception as error:  # decoders raise OSError, SyntaxError, ValueError, struct.error and more
        reason = str(error) or type(error).__name__
        raise ImageError(f"{name} cannot be read as an image: {reason}; replace or remove it.") from error


@contextmanager
def _within_limit() -> Iterator[None]:
    with quietly():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield


@contextmanager
def _without_limit() -> Iterator[None]:
    limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
    try:
        with quietly():
            yield
    finally:
        Image.MAX_IMAGE_PIXELS = limit
