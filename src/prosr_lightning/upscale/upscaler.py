"""One object that enlarges pictures: PIL images, arrays or tensors in, the same kind out."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np

from prosr_lightning.errors import ConfigError, ImageError, OutOfMemoryError
from prosr_lightning.imaging.arrays import without_gradients
from prosr_lightning.imaging.factors import power_of_two
from prosr_lightning.imaging.io import Pixels
from prosr_lightning.pictures.kinds import ImageT, unpack
from prosr_lightning.pictures.picture import Picture
from prosr_lightning.pictures.recoloring import Recoloring, require_ways
from prosr_lightning.pictures.rows import PixelRows, WholePicture
from prosr_lightning.upscale.chain import Chain, require_tile
from prosr_lightning.upscale.contract import Engine
from prosr_lightning.upscale.opening import open_engine
from prosr_lightning.upscale.sizes import Enlarged

if TYPE_CHECKING:
    import torch

    from prosr_lightning.networks import SRNetwork, Trust

log = logging.getLogger(__name__)

OnProgress = Callable[[float], None]


class Upscaler:
    """Enlarge pictures to any size up to 16 times their own.

    The network enlarges by the next power of two, and an antialiased bicubic brings the result to its size. Luminance
    goes through the network and Cb, Cr through bicubic or the network too, visible colours having been spread under
    transparent pixels; alpha goes through the network, or through bicubic where it is on or off alone. Large pictures
    are done in bands of rows or in tiles, with the result of doing them whole.

    Args:
        engine: What runs the network; `from_pretrained` and `from_network` make one.
        tile: See `chain.Chain`.
        chroma: "bicubic", or "network", which takes three times as long for 0.04 to 0.05 dB of RGB (docs/results.md).
        alpha: "network", or "bicubic" for networks that draw detail of their own, which a mask must not have.

    Raises:
        ConfigError: If `tile` is neither "auto" nor 0 nor at least 16, or `chroma` or `alpha` is neither.
    """

    def __init__(
        self, engine: Engine[Any], *, tile: int | str = "auto", chroma: str = "bicubic", alpha: str = "network"
    ) -> None:
        require_tile(tile)
        require_ways(chroma=chroma, alpha=alpha)
        self.engine, self.tile, self.chroma, self.alpha = engine, tile, chroma, alpha

    @classmethod
    def from_pretrained(
        cls,
        name_or_path: str | Path,
        *,
        denoise: float | None = None,
        device: str | torch.device = "auto",
        precision: str = "auto",
        tile: int | str = "auto",
        chroma: str = "bicubic",
        engine: str | None = None,
        threads: int | None = None,
        trust: Trust = (),
    ) -> Upscaler:
        """Load released weights, a file, or a checkpoint.

        Args:
            name_or_path: A released name such as "prosrn", a `.safetensors` file or a Lightning checkpoint; for other
                engines than torch also a `.onnx`, `.xml` or `.param` file that `prosr_lightning.export` wrote: they
                export the others by themselves, once, into the user's cache.
            denoise: Of weights for degraded pictures, how much they restore, 0 to 1, see `networks.blending`; the
                engine torch alone can.
            device: "auto", or a name that PyTorch knows; the other engines run on the CPU.
            precision: "auto", "float32", "float16" or "bfloat16"; the other engines run in float32.
            tile: See the class.
            chroma: See the class.
            engine: "torch", "onnxruntime", "openvino" or "ncnn"; None takes PyTorch where it is installed, else ONNX
                Runtime; "auto" the fastest of those that are installed, see `fastest.fastest_engine`.
            threads: Of the processor; those of PyTorch are the whole process's.
            trust: Networks that the file may ask for besides ours, see `weights.load_network`.

        Raises:
            CheckpointError: As `weights.load_network`.
            ConfigError: If an argument is outside its range.
            MissingDependencyError: If the engine is not installed.
        """
        runs, adversarial = open_engine(
            name_or_path, engine, denoise=denoise, device=device, precision=precision, threads=threads, trust=trust
        )
        if adversarial:
            log.warning(
                "%s is experimental: it draws detail that was not there, with dark rims on edges; look at the result.",
                name_or_path,
            )
        return cls(runs, tile=tile, chroma=chroma, alpha="bicubic" if adversarial else "network")

    @classmethod
    def from_network(
        cls,
        network: SRNetwork,
        *,
        device: str | torch.device = "auto",
        precision: str = "auto",
        tile: int | str = "auto",
        chroma: str = "bicubic",
    ) -> Upscaler:
        """Use a network at hand, of which a copy is made; arguments as `from_pretrained`."""
        from prosr_lightning.upscale.engines import TorchEngine  # noqa: PLC0415  # imports torch

        return cls(TorchEngine(network, device=device, precision=precision), tile=tile, chroma=chroma)

    @overload
    def upscale(
        self,
        image: ImageT,
        scale: float | None = None,
        *,
        size: tuple[int, int] | None = None,
        levels: Literal[False] = False,
        self_ensemble: bool = False,
    ) -> ImageT: ...
    @overload
    def upscale(
        self,
        image: ImageT,
        scale: float | None = None,
        *,
        size: tuple[int, int] | None = None,
        levels: Literal[True],
        self_ensemble: bool = False,
    ) -> list[ImageT]: ...
    def upscale(
        self,
        image: ImageT,
        scale: float | None = None,
        *,
        size: tuple[int, int] | None = None,
        levels: bool = False,
        self_ensemble: bool = False,
    ) -> ImageT | list[ImageT]:
        """Enlarge one picture.

        Args:
            image: A PIL image of any mode; an array `(H, W)`, `(H, W, 3)` or `(H, W, 4)`, `uint8`, `uint16` or floating
                point in `[0, 1]`; or a floating-point tensor `(C, H, W)` or `(N, C, H, W)` in `[0, 1]`, C = 1, 3 or 4.
            scale: Above 1, at most 16; 2 where `size` is not given either.
            size: Width and height of the result, instead of `scale`.
            levels: Return the image of every level, `[2x, 4x, ...]`, with the result in place of the last.
            self_ensemble: Average over the eight flips and turns ("+" in tables), see `chain.Chain`: 8 times the work.

        Returns:
            The same kind, depth and channels as `image`, within the range of its type.

        Raises:
            ConfigError: If the size is not larger than the picture's, or more than 16 times; or `image` is of no such
                kind.
            ImageError: If the picture has no pixels, or floating-point values outside `[0, 1]`.
            OutOfMemoryError: If not even the smallest tile fits into memory.
        """
        pictures, pack = unpack(image)
        wanted = Enlarged(scale=2 if scale is None and size is None else scale, size=size)
        enlarged = [self.enlarge(picture, wanted, levels=levels, self_ensemble=self_ensemble) for picture in pictures]
        results = [pack(level) for level in zip(*enlarged, strict=True)]
        return results if levels else results[-1]

    def enlarge(
        self,
        picture: Picture,
        wanted: Enlarged | float,
        *,
        levels: bool = False,
        self_ensemble: bool = False,
        on_progress: OnProgress | None = None,
    ) -> list[Picture]:
        """Enlarge a picture as it was read from a file, keeping its depth, profile and EXIF.

        Args:
            picture: See `pictures.picture.Picture`.
            wanted: How large, or a factor.
            levels: Keep the image of every level, not only the last.
            self_ensemble: As in `upscale`.
            on_progress: Called with the share of the work done, 0 to 1.

        Returns:
            The image of every level that was kept, smallest first. A network that does not repeat one 2x step has
            only the last.

        Raises:
            ConfigError, ImageError, OutOfMemoryError: As `upscale`.
        """
        rows = self._rows(WholePicture(picture.pixels), wanted, levels, self_ensemble, on_progress)
        canvases = {scale: _canvas(size, picture.pixels) for scale, size in rows.sizes.items()}
        done = dict.fromkeys(canvases, 0)
        for scale, band in rows.of_levels():
            canvases[scale][done[scale] : done[scale] + len(band)] = band
            done[scale] += len(band)
        return [replace(picture, pixels=pixels) for pixels in canvases.values()]

    def rows(
        self,
        picture: PixelRows,
        wanted: Enlarged | float,
        *,
        self_ensemble: bool = False,
        on_progress: OnProgress | None = None,
    ) -> PixelRows:
        """Enlarge a picture row by row: nothing is computed before its rows are taken, and little is held.

        Args:
            picture: Its rows are read as they are needed.
            wanted: As in `enlarge`.
            self_ensemble: As in `upscale`; this holds the whole picture and its result.
            on_progress: As in `enlarge`.

        Returns:
            The rows of the result.

        Raises:
            ConfigError, ImageError: As `upscale`; taking the rows may raise OutOfMemoryError.
        """
        return self._rows(picture, wanted, False, self_ensemble, on_progress)  # its one caller beside

    def _rows(
        self,
        picture: PixelRows,
        wanted: Enlarged | float,
        levels: bool,
        self_ensemble: bool,
        on_progress: OnProgress | None,
    ) -> _Rows:
        height, width, _ = picture.shape
        if not (height and width):
            raise ImageError(f"The picture must have at least one pixel, got {picture.shape}; leave it out.")
        wanted = wanted if isinstance(wanted, Enlarged) else Enlarged(scale=wanted)
        right, bottom = wanted.of(width, height)
        chain = Chain(
            self.engine,
            scale=power_of_two(max(right / width, bottom / height)),
            size=(bottom, right),
            tile=self.tile,
            self_ensemble=self_ensemble,
            exact=picture.dtype != np.uint8,  # half precision has the digits for 8 bits, not for 16
            on_progress=on_progress,
        )
        sizes = {scale: (height * scale, width * scale) for scale in chain.scales[:-1]} if levels else {}
        return _Rows(chain, picture, {**sizes, chain.scales[-1]: (bottom, right)}, chroma=self.chroma, alpha=self.alpha)


class _Rows:
    """A picture that is enlarged while its rows are taken; follows `PixelRows`."""

    def __init__(
        self, chain: Chain[Any], picture: PixelRows, sizes: dict[int, tuple[int, int]], *, chroma: str, alpha: str
    ) -> None:
        self.sizes, self._ways = sizes, {"chroma": chroma, "alpha": alpha}
        self.shape, self.dtype = (*sizes[chain.scales[-1]], picture.shape[-1]), picture.dtype
        self._chain, self._picture = chain, picture

    def bands(self) -> Iterator[Pixels]:
        """Yield the rows of the last level."""
        return (band for _, band in self.of_levels())

    def of_levels(self) -> Iterator[tuple[int, Pixels]]:
        """Yield the factor of a level and the next rows of it."""
        bands = self._merged()
        while True:
            with without_gradients(self._chain.engine.arrays):  # not while the caller has the rows
                following = next(bands, None)
            if following is None:
                return
            yield following

    def _merged(self) -> Iterator[tuple[int, Pixels]]:
        arrays = self._chain.engine.arrays
        recoloring = Recoloring[Any](self._picture, list(self.sizes.values()), arrays=arrays, **self._ways)
        for band in self._chain.bands(recoloring.planes, every_level=len(self.sizes) > 1):
            if not bool(arrays.isfinite(band.rows).all()):
                raise ConfigError("The network must give finite values, got NaN or infinity; look at its arithmetic.")
            for rows in recoloring.merge(band.rows, self.sizes[band.scale]):
                yield band.scale, rows


def _canvas(size: tuple[int, int], pixels: Pixels) -> Pixels:
    try:
        return np.empty((*size, pixels.shape[-1]), pixels.dtype)
    except MemoryError as error:
        raise OutOfMemoryError(f"Memory must hold the result, {size[1]}x{size[0]}; choose a smaller size.") from error
