"""A network in bands of rows from top to bottom, each layer keeping the rows that its next band needs.

A tile of a large image has to compute the surroundings of its border again; a band does not, because every layer still
has the rows above it. So a pixel costs the same in an image of any height, and what is held is a few bands, small
enough for the cache of a processor. The result is that of the whole image.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import TypeGuard

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from prosr_lightning.networks.progressive import Layer, ProgressiveNetwork

_TOLERANCE = 1e-4  # of the largest value; orders of summation differ by some 1e-6


def streams(network: nn.Module) -> TypeGuard[ProgressiveNetwork]:
    """Tell whether `stream` can run a network: one that names its layers, and computes what they do.

    A subclass that has a `forward` or a `residual` of its own below the class which names the layers does something
    else than they do. One that has put another module in the place of a layer may, so a small image is tried.
    """
    if not isinstance(network, ProgressiveNetwork):
        return False
    kind = type(network)
    named = next(base for base in kind.__mro__ if "layers" in vars(base))
    below = kind.__mro__[: kind.__mro__.index(named)]
    if any(name in vars(base) for base in below for name in ("forward", "residual", "enlarged")):
        return False
    lr = torch.rand(1, 1, 16, 12, generator=torch.Generator().manual_seed(0))
    try:
        if network.layers() is None:
            return False
        with torch.no_grad():
            whole = network(lr.to(network.image_up.weight))
            bands = torch.cat(list(stream(network, lr.to(network.image_up.weight), rows=3)), dim=-2)
    except (AttributeError, RuntimeError, TypeError, ValueError):  # of modules that are no such layers
        return False
    return bool((bands - whole).abs().max() <= _TOLERANCE * whole.abs().max())


class Stream:
    """A network that enlarges one image by 2 while its rows come in; call it without gradients.

    Wide images are cut into strips that go down side by side. Calling it with the next rows of luminance `(N, 1, h, W)`
    returns the rows `(N, 1, H, 2W)` that are known by then, from top to bottom; `last` says that no more rows follow.

    Args:
        network: One that `streams` admits, on the device of the image.
        width: Columns of the image.
        strip: Most columns of a strip, beside those around it that it has to compute again; None for one strip.
        half: Compute the features in bfloat16; the image itself stays as it is.
    """

    def __init__(
        self, network: ProgressiveNetwork, *, width: int, strip: int | None = None, half: bool = False
    ) -> None:
        count, halo = -(-width // (strip or width)), network.receptive_radius
        edges = [width * number // count for number in range(count + 1)]
        self._strips = [
            (_Pipeline(network, half=half), slice(max(left - halo, 0), right + halo), min(left, halo), right - left)
            for left, right in itertools.pairwise(edges)
        ]

    def __call__(self, lr: Tensor, *, last: bool) -> Tensor:
        """Take the next rows in; see the class."""
        seen = [
            pipeline(lr[..., columns], last=last)[..., 2 * halo : 2 * (halo + width)]
            for pipeline, columns, halo, width in self._strips
        ]
        return seen[0] if len(seen) == 1 else torch.cat(seen, dim=-1)


def stream(
    network: ProgressiveNetwork, lr: Tensor, *, rows: int, strip: int | None = None, half: bool = False
) -> Iterator[Tensor]:
    """Enlarge an image by 2 in bands of rows.

    Args:
        network: As in `Stream`.
        lr: Luminance `(N, 1, H, W)`.
        rows: Rows of `lr` that each step takes in, at least 1; the first takes in as many more as the network looks
            down.
        strip: As in `Stream`.
        half: As in `Stream`.

    Yields:
        `(N, 1, h, 2W)` from top to bottom, 2H rows in all.

    Examples:
        >>> from prosr_lightning.networks import Generator
        >>> network = Generator(depth=2, channels=8)
        >>> lr = torch.rand(1, 1, 20, 6)
        >>> torch.allclose(torch.cat(list(stream(network, lr, rows=4)), dim=-2), network(lr), atol=1e-6)
        True
    """
    enlarge = Stream(network, width=lr.shape[-1], strip=strip, half=half)
    begin, height = 0, lr.shape[-2]
    while begin < height:
        end = min(begin + rows + (0 if begin else network.receptive_radius), height)
        yield enlarge(lr[..., begin:end, :], last=end == height)
        begin = end


class _Window:
    """A layer that sees one row above and one below: keeps the two rows that its next band begins with."""

    def __init__(self, run: Callable[[Tensor], Tensor], *, replicate: bool = False) -> None:
        self._run, self._replicate = run, replicate
        self._kept: Tensor | None = None

    def __call__(self, band: Tensor, *, last: bool) -> Tensor:
        """Return the rows that are known now: one less than came in at the top, one more at the bottom."""
        parts = [self._beyond(band[..., :1, :]) if self._kept is None else self._kept, band]
        if last:
            parts.append(self._beyond(band[..., -1:, :]))
        rows = torch.cat(parts, dim=-2)
        self._kept = _copy(rows[..., -2:, :])  # a view would hold the whole band
        return self._run(rows)

    def _beyond(self, edge: Tensor) -> Tensor:
        return edge if self._replicate else torch.zeros_like(edge)


class _Shortcut:
    """The input of a layer, kept until the layer that it is added to has caught up."""

    def __init__(self, *, last_user: int) -> None:
        self.last_user = last_user
        self._rows: Tensor | None = None
        self._first = 0

    def keep(self, band: Tensor) -> None:
        """Append rows; they are copied, since layers change theirs in place."""
        self._rows = _copy(band) if self._rows is None else torch.cat([self._rows, band], dim=-2)

    def rows(self, begin: int, count: int) -> Tensor:
        """Return rows by their place in the image."""
        assert self._rows is not None, "a shortcut begins before it ends"
        return self._rows[..., begin - self._first : begin - self._first + count, :]

    def forget(self, before: int) -> None:
        """Drop the rows above a place."""
        assert self._rows is not None, "a shortcut begins before it ends"
        self._rows = _copy(self._rows[..., before - self._first :, :])
        self._first = before


class _Stage:
    """One layer on the way of an image: its window, and the count of the rows that it has given."""

    def __init__(self, layer: Layer) -> None:
        self.layer = layer
        convolution = layer.convolution
        run = _transposed(convolution) if isinstance(convolution, nn.ConvTranspose2d) else _convolution(convolution)
        self.window = _Window(run)
        self.done = 0


class _Pipeline:
    """One image on its way through a network."""

    def __init__(self, network: ProgressiveNetwork, *, half: bool) -> None:
        self._half = half
        layers = network.layers()
        assert layers is not None, "`streams` is asked before"
        self._stages = [_Stage(layer) for layer in layers]
        last_users = {layer.shortcut: number for number, layer in enumerate(layers) if layer.shortcut is not None}
        self._shortcuts = {source: _Shortcut(last_user=user) for source, user in last_users.items()}
        self._image_up = _Window(_transposed(network.image_up, sides=1), replicate=True)
        self._images: list[Tensor] = []  # enlarged rows that wait for their residual

    def __call__(self, lr: Tensor, *, last: bool) -> Tensor:
        rows = lr
        with torch.autocast(lr.device.type, dtype=torch.bfloat16, enabled=self._half):
            for number, stage in enumerate(self._stages):
                rows = self._run(number, stage, rows, last=last)
        return self._image(lr, rows.shape[-2], last=last).add_(rows)

    def _run(self, number: int, stage: _Stage, rows: Tensor, *, last: bool) -> Tensor:
        layer = stage.layer
        if number in self._shortcuts:
            self._shortcuts[number].keep(rows)
        rows = stage.window(rows, last=last)
        begin = stage.done
        stage.done += rows.shape[-2]
        if layer.shortcut is not None:
            shortcut = self._shortcuts[layer.shortcut]
            rows = layer.combine(rows, shortcut.rows(begin, rows.shape[-2]))
            if number == shortcut.last_user:
                shortcut.forget(stage.done)
        if layer.activation is not None:
            rows = layer.activation(rows)
        return rows if layer.shuffle == 1 else F.pixel_shuffle(rows, layer.shuffle)

    def _image(self, lr: Tensor, rows: int, *, last: bool) -> Tensor:
        self._images.append(self._image_up(F.pad(lr, (1, 1, 0, 0), mode="replicate"), last=last))
        known = torch.cat(self._images, dim=-2)
        self._images = [known[..., rows:, :].clone()]
        return known[..., :rows, :]


def _copy(rows: Tensor) -> Tensor:
    """Copy in the layout of a network on the CPU, which a part of several images loses otherwise."""
    return rows.clone(memory_format=torch.channels_last)


def _convolution(layer: nn.Conv2d) -> Callable[[Tensor], Tensor]:
    """Return a 3x3 convolution that is padded at the sides alone."""
    return lambda rows: F.conv2d(rows, layer.weight, layer.bias, padding=(0, 1))


def _transposed(layer: nn.ConvTranspose2d, *, sides: int = 0) -> Callable[[Tensor], Tensor]:
    """Return a 4x4 transposed convolution of stride 2 that gives the rows between the first and the last.

    Args:
        layer: The layer.
        sides: Columns that its input has more at each side.
    """
    padding = (3, 1 + 2 * sides)
    return lambda rows: F.conv_transpose2d(rows, layer.weight, layer.bias, stride=2, padding=padding)
