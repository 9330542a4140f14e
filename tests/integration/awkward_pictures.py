"""Pictures of every awkward kind, and the command that is to enlarge them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from prosr_lightning.networks import Generator
from prosr_lightning.networks.weights import save_network
from prosr_lightning.pictures.picture import Picture
from prosr_lightning.pictures.writing import write_picture
from prosr_lightning.upscale import main

SIZE = (9, 7)  # width, height of the pictures made here


def tiny_weights(path: Path) -> Path:
    save_network(path, Generator(depth=1, channels=4))
    return path


def size_of(path: str) -> tuple[int, int]:
    with Image.open(path) as image:
        return image.size


@dataclass
class Run:
    """Run the command in an empty folder and return its exit code, its output and its errors."""

    weights: Path
    capsys: pytest.CaptureFixture[str]

    def __call__(self, *arguments: str) -> tuple[int, str, str]:
        code = main(["--model", str(self.weights), "--device", "cpu", *arguments])
        return code, *self.capsys.readouterr()


def picture(mode: str = "RGB", size: tuple[int, int] = SIZE) -> Image.Image:
    gradient = Image.linear_gradient("L").resize(size)
    image = gradient.convert(mode) if mode in ("L", "LA", "1") else Image.merge("RGB", [gradient] * 3).convert(mode)
    if mode in ("LA", "RGBA"):
        image.putalpha(200)
    return image


def saved(name: str, mode: str = "RGB", size: tuple[int, int] = SIZE, **arguments: object) -> Callable[[], str]:
    """Return a function that makes the file and returns its name."""

    def make() -> str:
        picture(mode, size).save(name, **arguments)
        return name

    return make


def deep(name: str, channels: int, dtype: type = np.uint16) -> Callable[[], str]:
    def make() -> str:
        write_picture(name, Picture(np.full((SIZE[1], SIZE[0], channels), np.iinfo(dtype).max // 3, dtype)))
        return name

    return make


def content(name: str, data: bytes) -> Callable[[], str]:
    def make() -> str:
        Path(name).write_bytes(data)
        return name

    return make


def cut_short(name: str) -> Callable[[], str]:
    def make() -> str:
        Image.effect_noise((200, 200), 60).convert("RGB").save(name)
        data = Path(name).read_bytes()
        Path(name).write_bytes(data[: len(data) // 2])
        return name

    return make


def link_to(name: str, target: str) -> Callable[[], str]:
    def make() -> str:
        Path(name).symlink_to(target)
        return name

    return make


def animated(name: str) -> Callable[[], str]:
    def make() -> str:
        frames = [picture(), Image.new("RGB", SIZE, "blue")]
        frames[0].save(name, save_all=True, append_images=frames[1:])
        return name

    return make


def with_orientation(name: str) -> Callable[[], str]:
    exif = Image.Exif()
    exif[274] = 6
    return saved(name, exif=exif.tobytes())


def folder(name: str) -> Callable[[], str]:
    def make() -> str:
        Path(name).mkdir()
        return name

    return make


def damaged_png() -> str:
    saved("a.png")()
    data = bytearray(Path("a.png").read_bytes())
    data[45] ^= 255  # inside the compressed pixels
    Path("a.png").write_bytes(data)
    return "a.png"


def unsigned_32_bit_tiff() -> str:
    tifffile.imwrite("a.tif", np.zeros((7, 9, 3), np.uint32), photometric="rgb")
    return "a.tif"


def float_tiff(value: float) -> Callable[[], str]:
    def make() -> str:
        Image.new("F", SIZE, value).save("a.tif")
        return "a.tif"

    return make


def opaque() -> str:
    Image.new("RGBA", SIZE).convert("RGB").convert("RGBA").save("a.png")
    return "a.png"


def huge() -> str:
    Image.new("L", (12000, 9000), 77).save("a.png")
    return "a.png"
