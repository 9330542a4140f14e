"""A lighter 2x network than the paper's: residual pairs and a sub-pixel convolution (docs/paper-notes.md, entry 17)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from prosr_lightning.errors import ConfigError, require_choice, require_whole
from prosr_lightning.networks.progressive import Layer, ProgressiveNetwork, bilinear_enlargement

_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": torch.relu_,
    "leaky_relu": partial(F.leaky_relu, negative_slope=0.2, inplace=True),
    "silu": partial(F.silu, inplace=True),
}
_BRANCHES = ("none", "parallel", "wide")
_SECOND_GAIN = 0.1  # of the second convolution of a pair at the start, so that each begins near the identity


class SubPixelGenerator(ProgressiveNetwork):
    """Enlarge a luminance image by 2: an enlarged image plus a residual image from a sub-pixel convolution.

    As in EDSR (Lim et al. 2017), without batch norm: `h0 = entry(lr)`; pairs `h <- h + second(act(first(h)))`; one more
    convolution and `h0` added to it; a convolution to four channels, which the pixel shuffle of ESPCN (Shi et al. 2016)
    lays out as the 2x residual image. All features stay at the size of the input, where the paper's network computes
    its last layers at twice that. The defaults have 103,220 parameters and need a quarter of its arithmetic.

    An untrained network returns exactly the bilinear 2x of its input.

    Args:
        depth: Convolutions in the residual pairs; even.
        channels: Feature maps of every layer.
        activation: "relu", "leaky_relu" (slope 0.2) or "silu", once in each pair.
        branches: Further weights in training that fold into the 3x3 convolutions of the pairs: "none"; "parallel", a
            1x1 convolution and a scaled identity beside each, as in RepVGG (Ding et al. 2021); "wide", a 3x3
            convolution to twice the channels and a 1x1 back beside each, as in the expand-and-squeeze branch of ECBSR
            (Zhang et al. 2021).
        gate: Multiply the sum of each pair by `2 sigmoid` of its second convolution, after the parameter-free attention
            of SPAN (Wan et al. 2024), shifted so that a pair begins as the identity.
        learn_image_up: Let the enlarged image learn; False keeps it bilinear.

    Raises:
        ConfigError: If an argument is outside its range.

    Examples:
        >>> network = SubPixelGenerator()
        >>> sum(parameter.numel() for parameter in network.parameters())
        103220
        >>> {factor: tuple(sr.shape) for factor, sr in network.progressive(torch.zeros(1, 1, 5, 7), 4).items()}
        {2: (1, 1, 10, 14), 4: (1, 1, 20, 28)}
    """

    title = "ProSRN (sub-pixel)"

    def __init__(
        self,
        *,
        depth: int = 10,
        channels: int = 32,
        activation: str = "relu",
        branches: str = "none",
        gate: bool = False,
        learn_image_up: bool = True,
    ) -> None:
        super().__init__()
        _check(depth, channels, activation, branches)
        self.depth, self.channels, self.branches, self.gate = depth, channels, branches, gate
        self.activate = _ACTIVATIONS[activation]
        self.entry = nn.Conv2d(1, channels, 3, padding=1)
        self.convs = nn.ModuleList(_pair_convolution(channels, branches) for _ in range(depth))
        self.merge = nn.Conv2d(channels, channels, 3, padding=1)
        self.tail = nn.Conv2d(channels, 4, 3, padding=1)
        self.image_up = bilinear_enlargement().requires_grad_(learn_image_up)
        self._initialise()

    def residual(self, lr: Tensor) -> Tensor:
        """Return the residual image `(N, 1, 2H, 2W)` of luminance `(N, 1, H, W)`."""
        entry = features = self.entry(lr)
        for first, second in self._pairs():
            features = self._combine(second(self.activate(first(features))), features)
        return F.pixel_shuffle(self.tail(self.merge(features).add(entry)), 2)

    def layers(self) -> tuple[Layer, ...] | None:
        """Return the layers in order; None with branches that are not folded yet."""
        if self.branches != "none":
            return None
        chain = [Layer(convolution=self.entry)]
        for number, (first, second) in enumerate(self._pairs()):
            chain.append(Layer(convolution=first, activation=self.activate))
            chain.append(Layer(convolution=second, shortcut=1 + 2 * number, combine=self._combine))
        chain.append(Layer(convolution=self.merge, shortcut=1))
        chain.append(Layer(convolution=self.tail, shuffle=2))
        return tuple(chain)

    @torch.no_grad()
    def folded(self) -> SubPixelGenerator:
        """Return a network without branches that gives the same images; itself where it has none or must have them."""
        if self.branches == "none" or "branches" not in self.arguments:
            return self
        plain = type(self)(**{**self.arguments, "branches": "none"})
        state = {key: value for key, value in self.state_dict().items() if key in plain.state_dict()}
        for number, convolution in enumerate(self.convs):
            assert isinstance(convolution, BranchedConv2d)
            state[f"convs.{number}.weight"] = convolution.kernel()
        plain.load_state_dict(state)
        return plain.to(next(self.parameters())).train(self.training)

    @property
    def receptive_radius(self) -> int:
        """How many `lr` pixels away from its own position an input pixel can still change one 2x output."""
        return self.depth + 3  # the entry, the merging convolution and the tail see one further each

    @property
    def short_name(self) -> str:
        """Depth and width, by which runs of this network are told apart; a subclass has its title before them."""
        ours = f"subpixel-d{self.depth}-c{self.channels}"
        return ours if self.title == SubPixelGenerator.title else f"{super().short_name}-{ours}"

    def _pairs(self) -> Iterator[tuple[nn.Conv2d, nn.Conv2d]]:
        convolutions = [cast(nn.Conv2d, convolution) for convolution in self.convs]
        return zip(convolutions[::2], convolutions[1::2], strict=True)

    def _combine(self, output: Tensor, shortcut: Tensor) -> Tensor:
        """Add the input of a pair to its output, in place, and gate the sum."""
        if not self.gate:
            return output.add_(shortcut)
        return (2 * output.sigmoid()).mul_(output.add(shortcut))

    @torch.no_grad()
    def _initialise(self) -> None:
        """Start from the bilinear image, with pairs near the identity and a tail of zero."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, a=0.1)
                nn.init.zeros_(module.bias)  # type: ignore[arg-type]  # every convolution here has a bias
            if isinstance(module, BranchedConv2d):
                module.initialise()
        for _, second in self._pairs():
            for name, parameter in second.named_parameters():
                if name != "expand":  # one factor of a product is enough
                    parameter.mul_(_SECOND_GAIN)
        nn.init.zeros_(self.tail.weight)


class BranchedConv2d(nn.Conv2d):
    """A 3x3 convolution whose kernel is a sum of others, composed in each step: what is learned are the summands.

    Composing kernels, not images, costs nothing beside the convolution. The sum is that of parallel branches without
    anything between them, so it folds into one kernel exactly.

    Args:
        channels: Feature maps in and out.
        branches: "parallel" or "wide", see `SubPixelGenerator`.
    """

    def __init__(self, *, channels: int, branches: str) -> None:
        super().__init__(channels, channels, 3, padding=1)
        self.branches = branches
        if branches == "parallel":
            self.point = nn.Parameter(torch.zeros(channels, channels))
            self.identity = nn.Parameter(torch.zeros(channels))
        else:
            self.expand = nn.Parameter(torch.zeros(2 * channels, channels, 3, 3))
            self.squeeze = nn.Parameter(torch.zeros(channels, 2 * channels))

    def initialise(self) -> None:
        """Share the variance of the start among the summands."""
        nn.init.kaiming_normal_(self.weight, a=0.1)
        if self.branches == "parallel":
            nn.init.normal_(self.point, std=float(self.weight.std()))
        else:
            self.weight.mul_(0.5**0.5)
            nn.init.kaiming_normal_(self.expand, a=0.1)
            nn.init.normal_(self.squeeze, std=0.5 / self.squeeze.shape[0] ** 0.5)

    def kernel(self) -> Tensor:
        """Return the kernel `(C, C, 3, 3)`, in full precision also under autocast."""
        with torch.autocast(self.weight.device.type, enabled=False):
            if self.branches == "parallel":
                middle = self.point + torch.diag(self.identity)
                return self.weight + F.pad(middle[..., None, None], (1, 1, 1, 1))
            return self.weight + torch.einsum("om,mikl->oikl", self.squeeze, self.expand)

    def forward(self, features: Tensor) -> Tensor:
        """Map `(N, C, H, W)` to the same shape."""
        return F.conv2d(features, self.kernel(), self.bias, padding=1)


def _pair_convolution(channels: int, branches: str) -> nn.Conv2d:
    if branches == "none":
        return nn.Conv2d(channels, channels, 3, padding=1)
    return BranchedConv2d(channels=channels, branches=branches)


def _check(depth: int, channels: int, activation: str, branches: str) -> None:
    for name, value in (("depth", depth), ("channels", channels)):
        require_whole(name, value)
    if depth % 2:
        raise ConfigError(
            f"`depth` must be even for structure=subpixel, whose convolutions come in pairs, got {depth}; choose "
            f"{depth - 1 or 2} or {depth + 1}."
        )
    require_choice("activation", activation, _ACTIVATIONS)
    require_choice("branches", branches, _BRANCHES)
