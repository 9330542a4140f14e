"""Reading and writing image files."""

from __future__ import annotations

import errno
import io
import json
import os
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from prosr_lightning.errors import ImageError, StorageError

RGB8 = npt.NDArray[np.uint8]
Pixels = npt.NDArray[Any]  # `(H, W, C)` of any depth, as users' pictures have it

# Formats that a photograph is kept in; a file is judged by its content, this only finds candidates in a folder.
CACHE = "~/.cache/prosr_lightning"
IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".ppm", ".pgm"})


class ProcessSettings:
    """Settings that a process has only once, such as Pillow's limit, for threads that read beside each other.

    Threads that want the same are in together, and those that want something else wait until all of them have left: the
    first sets, the last restores. A thread must not enter twice.
    """

    def __init__(self) -> None:
        self._turn, self._inside = threading.Condition(), 0
        self._held: Callable[[], AbstractContextManager[None]] | None = None
        self._restoring = ExitStack()

    @contextmanager
    def __call__(self, wanted: Callable[[], AbstractContextManager[None]]) -> Iterator[None]:
        """Be in with others that want the same.

        Args:
            wanted: Makes the context that sets and restores; the function itself tells what is the same.
        """
        with self._turn:
            self._turn.wait_for(lambda: not self._inside or self._held is wanted)
            if not self._inside:
                self._restoring.enter_context(wanted())
                self._held = wanted
            self._inside += 1
        try:
            yield
        finally:
            with self._turn:
                self._inside -= 1
                if not self._inside:
                    self._restoring.close()
                    self._turn.notify_all()


picture_settings = ProcessSettings()  # of Pillow, and the filters of warnings


@contextmanager
def quietly() -> Iterator[None]:
    """Let Pillow and tifffile not warn of harmless metadata."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def read_rgb(path: Path | str) -> RGB8:
    """Read a picture as 8-bit RGB for training or scoring.

    EXIF orientation is applied. Gray counts as R = G = B; a palette is resolved; an alpha channel that is opaque
    everywhere is dropped.

    Args:
        path: The file.

    Returns:
        `(H, W, 3)`, `uint8`.

    Raises:
        ImageError: If the file is missing, empty, truncated, not an image, or holds what 8-bit RGB cannot: real
            transparency, 16 bits a channel, CMYK.
    """
    path = Path(path)
    try:
        with picture_settings(quietly), Image.open(path) as image:
            _refuse_16_bits(path, image)
            image.load()
            return _opaque_rgb(path, ImageOps.exif_transpose(image))
    except ImageError:
        raise
    except FileNotFoundError:
        raise ImageError(f"{path} must be an image file, found nothing there; check the path.") from None
    except Image.DecompressionBombError as error:
        raise ImageError(f"{path} is larger than is safe to open: {error}; split it first.") from None
    except Exception as error:  # Pillow's decoders raise OSError, SyntaxError, ValueError, struct.error and more
        reason = str(error) or type(error).__name__
        raise ImageError(f"{path} cannot be read as an image: {reason}; replace or remove it.") from error


def _refuse_16_bits(path: Path, image: Image.Image) -> None:
    """Refuse what Pillow would cut down to 8 bits without a word; only the layout in the file tells."""
    layouts = [
        part for tile in getattr(image, "tile", ()) for part in (tile[3] if isinstance(tile[3], tuple) else (tile[3],))
    ]
    deep = next((part for part in layouts if isinstance(part, str) and ";16" in part), None)
    if deep is not None:
        raise ImageError(f"{path} must have 8 bits a channel, got {deep}; convert it to 8 bits first.")


def _opaque_rgb(path: Path, image: Image.Image) -> RGB8:
    if image.mode == "CMYK":
        raise ImageError(f"{path} must be RGB or gray, got CMYK; convert it to RGB with its colour profile first.")
    if image.mode.startswith("I") or image.mode == "F":
        raise ImageError(f"{path} must have 8 bits a channel, got mode {image.mode}; convert it to 8 bits first.")
    if image.mode == "LAB":
        raise ImageError(f"{path} must be RGB or gray, got LAB; convert it to RGB with its colour profile first.")
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        rgba = image.convert("RGBA")
        if rgba.getchannel("A").getextrema() != (255, 255):
            raise ImageError(f"{path} must be opaque, got transparent pixels; flatten it on a background first.")
        image = rgba
    return np.asarray(image.convert("RGB"))


@contextmanager
def atomic_path(path: Path | str) -> Iterator[Path]:
    """Give a temporary path beside `path` and move it there only when the block succeeds.

    Args:
        path: Where the finished file shall be; missing parent folders are made.

    Yields:
        The path to write to. It has the same suffix, and is removed if the block fails.

    Raises:
        StorageError: If the disk is full or the place cannot be written.
    """
    path = Path(path)
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.stem[:80]}.", suffix=path.suffix, dir=path.parent)
        os.close(handle)
        temporary = Path(name)
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)  # mkstemp makes it private; give it what open() would
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        if isinstance(error, StorageError):
            raise
        full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        remedy = "free space or choose another folder" if full else "choose a folder that can be written"
        raise StorageError(f"{path} cannot be written: {error.strerror or error}; {remedy}.") from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def write_file(path: Path | str, content: str | bytes) -> None:
    """Write a file, whole or not at all; text in UTF-8, its line ends as they are. Raises as `atomic_path` does."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)


def write_json(path: Path | str, content: object) -> None:
    """Write plain values as JSON, whole or not at all; what is none, such as a path, as text."""
    write_file(path, json.dumps(content, indent=1, default=str) + "\n")


def write_rgb(path: Path | str, rgb: RGB8) -> None:
    """Write 8-bit RGB or gray in the format of the suffix, whole or not at all.

    Args:
        path: The file; its suffix chooses the format.
        rgb: `(H, W, 3)` or `(H, W)`, `uint8`.

    Raises:
        StorageError: If the disk is full or the place cannot be written.
    """
    encoded = io.BytesIO()  # Pillow takes a short write to a full disk for success; Python does not
    try:
        Image.fromarray(rgb).save(encoded, format=Image.registered_extensions()[Path(path).suffix.lower()])
    except KeyError:
        raise ImageError(f"{path} must end in the suffix of an image format, such as .png; choose one.") from None
    write_file(path, encoded.getvalue())


def user_cache() -> Path:
    """Return the folder for what can be made again, as `conf/paths` has it: PROSR_CACHE_DIR, else `CACHE`."""
    return Path(os.environ.get("PROSR_CACHE_DIR") or CACHE).expanduser()
