"""The discriminator of ProSRGAN (Sec. 2.3.2, Fig. 5): SRGAN's convolutions with a PatchGAN output."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils import parametrizations

from prosr_lightning.errors import ConfigError, require_choice, require_whole
from prosr_lightning.networks.architecture import Rebuildable

_NORMS = ("batch", "spectral", "none")
_LAYERS = ((1, 1), (1, 2), (2, 1), (2, 2), (4, 1), (4, 2), (8, 1), (8, 2))  # width / channels and stride, SRGAN, Fig. 4


class Discriminator(Rebuildable):
    """Give each patch of a residual image a logit: above 0 for a true one, below for a generated one.

    Eight 3x3 convolutions of 64, 64/2, 128, 128/2, 256, 256/2, 512, 512/2 maps with LeakyReLU, as in SRGAN, then a 3x3
    convolution to one logit per patch in the place of SRGAN's two dense layers (docs/paper-notes.md, entry 10). A logit
    stands for 16x16 pixels and sees 93x93 (`receptive_field`). 4,692,545 parameters by default.

    Args:
        channels: Feature maps of the first convolution; the others have up to 8 times as many.
        norm: "batch", batch norm after every convolution but the first and the last, as in SRGAN; "spectral", spectral
            norm of every weight instead; or "none".
        negative_slope: Slope of every LeakyReLU.
        gain: Factor on the input. Residual images deviate from 0 by about 1/32 (bicubic 2x of Set14 has 30.34 dB,
            Table 6); the first convolution would see next to nothing of them.

    Raises:
        ConfigError: If an argument is outside its range.

    Examples:
        >>> Discriminator(channels=4).receptive_field
        93
    """

    def __init__(
        self, *, channels: int = 64, norm: str = "batch", negative_slope: float = 0.2, gain: float = 32.0
    ) -> None:
        super().__init__()
        _check(channels, norm, negative_slope, gain)
        self.channels, self.norm, self.negative_slope, self.gain = channels, norm, negative_slope, gain
        widths = [1, *(channels * factor for factor, _ in _LAYERS)]
        self.convs = nn.ModuleList(
            nn.Conv2d(before, after, 3, stride=stride, padding=1)
            for before, after, (_, stride) in zip(widths[:-1], widths[1:], _LAYERS, strict=True)
        )
        self.norms = nn.ModuleList(
            nn.BatchNorm2d(width) if norm == "batch" and number else nn.Identity()
            for number, width in enumerate(widths[1:])
        )
        self.to_logit = nn.Conv2d(widths[-1], 1, 3, padding=1)
        self._initialise()
        if norm == "spectral":
            for conv in (*self.convs, self.to_logit):
                parametrizations.spectral_norm(conv)

    def forward(self, residual: Tensor) -> Tensor:
        """Judge the patches of residual images.

        Args:
            residual: r = y - x' or G(x) - x', `(N, 1, H, W)`, floating point, in `[-1, 1]`; any H and W from 1 up.

        Returns:
            Logits `(N, 1, ceil(H / 16), ceil(W / 16))`.
        """
        features = self.gain * residual
        for conv, norm in zip(self.convs, self.norms, strict=True):
            features = F.leaky_relu(norm(conv(features)), self.negative_slope, inplace=True)
        logits: Tensor = self.to_logit(features)
        return logits

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Judge inside without any trace: no gradients, no running statistics, no power iteration.

        Batch norm still normalises by the batch, so that the judge is the one that was trained.
        """
        learned = [parameter for parameter in self.parameters() if parameter.requires_grad]
        tracking = [
            module for module in self.modules() if isinstance(module, _BatchNorm) and module.track_running_stats
        ]
        iterating = [
            module
            for module in self.modules()
            if isinstance(module, parametrizations._SpectralNorm) and module.training
        ]
        for parameter in learned:
            parameter.requires_grad_(False)
        for batch_norm in tracking:
            batch_norm.track_running_stats = False
        for spectral in iterating:
            spectral.eval()
        try:
            yield
        finally:
            for parameter in learned:
                parameter.requires_grad_(True)
            for batch_norm in tracking:
                batch_norm.track_running_stats = True
            for spectral in iterating:
                spectral.train()

    @property
    def receptive_field(self) -> int:
        """The side in pixels of the patch that one logit sees (batch norm apart)."""
        side, pitch = 1, 1
        for stride in (*(stride for _, stride in _LAYERS), 1):
            side += 2 * pitch  # a 3x3 kernel adds two pixels of its input
            pitch *= stride
        return side

    def _initialise(self) -> None:
        """Start with unit variances and no biases; PyTorch's biases would drown the small residuals."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, a=self.negative_slope)
                nn.init.zeros_(module.bias)  # type: ignore[arg-type]  # every convolution here has a bias
        nn.init.xavier_normal_(self.to_logit.weight)  # no activation follows


def _check(channels: int, norm: str, negative_slope: float, gain: float) -> None:
    require_whole("channels", channels, remedy="SRGAN has 64")
    require_choice("norm", norm, _NORMS)
    if not 0 <= negative_slope < 1:
        raise ConfigError(f"`negative_slope` must be in [0, 1), got {negative_slope}; SRGAN has 0.2.")
    if gain <= 0:
        raise ConfigError(f"`gain` must be positive, got {gain}; the default is 32.")
