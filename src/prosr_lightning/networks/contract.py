"""What training, evaluation, upscaling and export need to know of a network, and nothing more."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar, TypeVar

import torch
from torch import Tensor, nn

from prosr_lightning.errors import ConfigError
from prosr_lightning.imaging.factors import levels_up_to
from prosr_lightning.networks.architecture import Rebuildable

_Module = TypeVar("_Module", bound=nn.Module)


class SRNetwork(Rebuildable, ABC):
    """A super-resolution network: the base class of ours and of users' own.

    `DirectNetwork` and `ProgressiveNetwork` do most of what is asked here; docs/extending.md has examples.

    Attributes:
        title: What tables call it; the name of the class where it has no other.
    """

    title: ClassVar[str]

    def __init_subclass__(cls, **options: Any) -> None:  # noqa: ANN401  # the signature of object
        super().__init_subclass__(**options)
        if "title" not in vars(cls):
            cls.title = cls.__name__

    @property
    @abstractmethod
    def scales(self) -> tuple[int, ...] | None:
        """The total factors that this instance can do; None means every power of two."""

    @property
    @abstractmethod
    def receptive_radius(self) -> int:
        """How many pixels away from its own position an input pixel can still change the output of one pass.

        A network that goes through several levels in one pass counts the pixels of the first; each further level adds
        at most half of what the one before it added.
        """

    @abstractmethod
    def training_levels(self, scale: int) -> tuple[int, ...]:
        """Return the factors supervised when training for `scale`.

        Raises:
            ConfigError: If `scale` is not one of `scales`.
        """

    @abstractmethod
    def progressive(self, lr: Tensor, scale: int, *, detach_between_levels: bool = False) -> dict[int, Tensor]:
        """Return the image of every level by its factor, smallest first; a network without levels returns one.

        Args:
            lr: Luminance `(N, 1, H, W)`, floating point, nominally in `[0, 1]`; any H and W from 1 up.
            scale: Total factor, one of `scales`.
            detach_between_levels: Stop the gradient between levels.

        Returns:
            Images `(N, 1, factor * H, factor * W)`, not clamped, the last under `scale`.

        Raises:
            ConfigError: If `scale` is not one of `scales`.
        """

    def supervised(self, lr: Tensor, scale: int, *, detach_between_levels: bool = False) -> dict[int, list[Tensor]]:
        """Return, by factor, all images that the ground truth of a level supervises: that of `progressive` first."""
        images = self.progressive(lr, scale, detach_between_levels=detach_between_levels)
        return {factor: [image] for factor, image in images.items()}

    def enlarge(self, lr: Tensor, scale: int) -> Tensor:
        """Return the last image of `progressive`, `(N, 1, scale * H, scale * W)`."""
        return self.progressive(lr, scale)[scale]

    def passes(self, scale: int) -> list[tuple[int, int]]:
        """Return the factor and the halo of each pass that enlarges by `scale` in all (`imaging.tiling`).

        The halo is how many pixels around a tile can change its result. Of several levels in one pass it is twice the
        radius: r + r/2 + r/4 + ... < 2r.

        Raises:
            ConfigError: If `scale` is not one of `scales`.
        """
        self.require_scale(scale)
        return [(scale, self.receptive_radius * (1 if scale == 2 else 2))]

    def folded(self) -> SRNetwork:
        """Return a network for inference that gives the same images, with what only helps the training folded away."""
        return self

    def require_scale(self, scale: int) -> None:
        """Raise ConfigError unless `scale` is one of `scales`."""
        levels_up_to(scale)
        if self.scales is not None and scale not in self.scales:
            raise ConfigError(
                f"`scale` must be {' or '.join(map(str, self.scales))} for this {self.title}, which was built for it, "
                f"got {scale}; build and train a {self.title} with scale={scale}."
            )

    @property
    def short_name(self) -> str:
        """What names of runs begin with."""
        return self.title.lower()


class DirectNetwork(SRNetwork):
    """A network that enlarges by its one factor in one pass: subclasses write `forward` and `receptive_radius`.

    Args:
        scale: The factor, a power of two from 2 up.

    Raises:
        ConfigError: If `scale` is anything else.
    """

    def __init__(self, *, scale: int) -> None:
        super().__init__()
        levels_up_to(scale)
        self.scale = scale

    @abstractmethod
    def forward(self, lr: Tensor) -> Tensor:
        """Map luminance `(N, 1, H, W)` to `(N, 1, scale * H, scale * W)`, not clamped."""

    def progressive(self, lr: Tensor, scale: int, *, detach_between_levels: bool = False) -> dict[int, Tensor]:
        """Return the one image; with no further level there is nothing to detach."""
        self.require_scale(scale)
        return {scale: self(lr)}

    def passes(self, scale: int) -> list[tuple[int, int]]:
        """Return the one pass."""
        self.require_scale(scale)
        return [(scale, self.receptive_radius)]

    @property
    def scales(self) -> tuple[int, ...]:
        """The one factor."""
        return (self.scale,)

    def training_levels(self, scale: int) -> tuple[int, ...]:
        """Return `(scale,)`: such networks learn one scale."""
        self.require_scale(scale)
        return (scale,)


def require_image(sr: object, lr: Tensor, factor: int, network: nn.Module) -> None:
    """Raise ConfigError unless `sr` is what a network must make of `lr`: one channel, `factor` times its size."""
    wanted = (len(lr), 1, lr.shape[-2] * factor, lr.shape[-1] * factor)
    if not isinstance(sr, Tensor) or sr.shape != wanted:
        got = tuple(sr.shape) if isinstance(sr, Tensor) else type(sr).__name__
        raise ConfigError(
            f"{type(network).__name__} must make an image {wanted} of luminance {tuple(lr.shape)}, got {got}; see "
            "docs/extending.md."
        )


def channels_last(network: _Module) -> _Module:
    """Lay the kernels of a network out as convolutions like them, and return it; arrays of more axes stay."""
    layout = torch.channels_last
    network._apply(lambda array: array.contiguous(memory_format=layout) if array.ndim == 4 else array)  # type: ignore[no-untyped-call]  # torch's own
    return network


def count_parameters(network: nn.Module) -> int:
    """Return the number of learned values (Fig. 8 and 9)."""
    return sum(parameter.numel() for parameter in network.parameters())


def most_channels(network: nn.Module) -> int:
    """Return the most channels that a convolution makes, by which memory is estimated; 1 where there is none."""
    convolutions = (module for module in network.modules() if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)))
    return max((convolution.out_channels for convolution in convolutions), default=1)


def count_layers(network: nn.Module) -> int:
    """Return the number of convolutions and transposed convolutions, the count of Table 1."""
    return sum(isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)) for module in network.modules())
