"""One object that enlarges pictures: PIL images, arrays or tensors in, the same kind out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Literal, overload

import numpy as np
import torch

from prosr_lightning.errors import ConfigError, ImageError
from prosr_lightning.networks import SRNetwork, Trust, levels_up_to
from prosr_lightning.networks.weights import load_network
from prosr_lightning.pictures.kinds import ImageT, unpack
from prosr_lightning.pictures.picture import Picture
from prosr_lightning.pictures.recoloring import Recoloring
from prosr_lightning.upscale import ENGINES
from prosr_lightning.upscale.chain import Chain, require_tile
from prosr_lightning.upscale.engines import Engine, TorchEngine
from prosr_lightning.upscale.runtimes import ExportedEngine

OnProgress = Callable[[float], None]

LARGEST_SCALE = 16  # Sec. 3.1; a fifth pass would invent 1023 of 1024 pixels


class Upscaler:
    """Enlarge pictures by 2, 4, 8 or 16.

    Luminance goes through the network and Cb, Cr through bicubic; alpha goes through the same network, with the colour
    premultiplied. Large pictures are done in bands of rows or in tiles, with the result of doing them whole.

    Args:
        engine: What runs the network; `from_pretrained` and `from_network` make one.
        tile: See `chain.Chain`.

    Raises:
        ConfigError: If `tile` is neither "auto" nor 0 nor at least 16.
    """

    def __init__(self, engine: Engine, *, tile: int | str = "auto") -> None:
        require_tile(tile)
        self.engine, self.tile = engine, tile

    @classmethod
    def from_pretrained(
        cls,
        name_or_path: str | Path,
        *,
        device: str | torch.device = "auto",
        precision: str = "auto",
        tile: int | str = "auto",
        engine: str = "torch",
        trust: Trust = (),
    ) -> Upscaler:
        """Load released weights, a file, or a checkpoint.

        Args:
            name_or_path: For engine="torch" a released name such as "prosrn", a `.safetensors` file or a Lightning
                checkpoint; for the others a `.onnx` or `.xml` file that `prosr_lightning.export` wrote.
            device: "auto", or a name that PyTorch knows; the other engines run on the CPU.
            precision: "auto", "float32", "float16" or "bfloat16"; the other engines run in float32.
            tile: See the class.
            engine: "torch", "onnxruntime" or "openvino".
            trust: Networks that the file may ask for besides ours, see `weights.load_network`.

        Raises:
            CheckpointError: As `weights.load_network`.
            ConfigError: If an argument is outside its range.
            MissingDependencyError: If the engine is not installed.
        """
        if engine not in ENGINES:
            raise ConfigError(f"`engine` must be one of {', '.join(ENGINES)}, got {engine!r}; torch is always there.")
        if engine != "torch":
            return cls(ExportedEngine(Path(name_or_path), runtime=engine), tile=tile)
        network = load_network(name_or_path, trust=trust).network
        return cls.from_network(network, device=device, precision=precision, tile=tile)

    @classmethod
    def from_network(
        cls,
        network: SRNetwork,
        *,
        device: str | torch.device = "auto",
        precision: str = "auto",
        tile: int | str = "auto",
    ) -> Upscaler:
        """Use a network at hand, of which a copy is made; arguments as `from_pretrained`."""
        return cls(TorchEngine(network, device=device, precision=precision), tile=tile)

    @overload
    def upscale(
        self, image: ImageT, scale: int = 2, *, levels: Literal[False] = False, self_ensemble: bool = False
    ) -> ImageT: ...
    @overload
    def upscale(
        self, image: ImageT, scale: int = 2, *, levels: Literal[True], self_ensemble: bool = False
    ) -> list[ImageT]: ...
    def upscale(
        self, image: ImageT, scale: int = 2, *, levels: bool = False, self_ensemble: bool = False
    ) -> ImageT | list[ImageT]:
        """Enlarge one picture.

        Args:
            image: A PIL image of any mode; an array `(H, W)`, `(H, W, 3)` or `(H, W, 4)`, `uint8`, `uint16` or floating
                point in `[0, 1]`; or a floating-point tensor `(C, H, W)` or `(N, C, H, W)` in `[0, 1]`, C = 1, 3 or 4.
            scale: 2, 4, 8 or 16.
            levels: Return the image of every level, `[2x, 4x, ...]`, instead of the last.
            self_ensemble: Average over the eight flips and turns ("+" in tables), see `chain.Chain`: 8 times the work.

        Returns:
            The same kind, depth and channels as `image`, within the range of its type.

        Raises:
            ConfigError: If `scale` is none of these, or `image` is of no such kind.
            ImageError: If the picture has no pixels, or floating-point values outside `[0, 1]`.
            OutOfMemoryError: If not even the smallest tile fits into memory.
        """
        pictures, pack = unpack(image)
        enlarged = [self.enlarge(one, scale, levels=levels, self_ensemble=self_ensemble) for one in pictures]
        results = [pack(level) for level in zip(*enlarged, strict=True)]
        return results if levels else results[-1]

    def enlarge(
        self,
        picture: Picture,
        scale: int,
        *,
        levels: bool = False,
        self_ensemble: bool = False,
        on_progress: OnProgress | None = None,
    ) -> list[Picture]:
        """Enlarge a picture as it was read from a file, keeping its depth, profile and EXIF.

        Args:
            picture: See `imaging.picture.Picture`.
            scale: 2, 4, 8 or 16.
            levels: Keep the image of every level, not only the last.
            self_ensemble: As in `upscale`.
            on_progress: Called with the share of the work done, 0 to 1.

        Returns:
            The image of every level that was kept, smallest first. A network that does not repeat one 2x step has
            only the last.

        Raises:
            ConfigError, ImageError, OutOfMemoryError: As `upscale`.
        """
        if scale > LARGEST_SCALE:
            raise ConfigError(f"`scale` must be 2, 4, 8 or 16, got {scale}; choose one of them.")
        levels_up_to(scale)
        if not picture.pixels.size:
            raise ImageError(f"The picture must have at least one pixel, got {picture.pixels.shape}; leave it out.")
        chain = Chain(
            self.engine,
            scale=scale,
            tile=self.tile,
            self_ensemble=self_ensemble,
            exact=picture.pixels.dtype != np.uint8,  # half precision has the digits for 8 bits, not for 16
            on_progress=on_progress,
        )
        recoloring = Recoloring(picture.pixels)
        canvases = {factor: recoloring.canvas(factor) for factor in (chain.scales if levels else chain.scales[-1:])}
        with torch.inference_mode():
            for band in chain.bands(recoloring.planes(), every_level=levels):
                recoloring.merge(band.rows, band.top, band.scale, canvases[band.scale])
        return [replace(picture, pixels=pixels) for pixels in canvases.values()]
