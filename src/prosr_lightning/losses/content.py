"""The losses of the paper, one pure function per equation."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from prosr_lightning.errors import ConfigError

EPS = 1e-6  # Sec. 2.2.1
_SMALLEST_ERROR = 1e-10  # 100 dB, beyond which the logarithm has nothing to say


def charbonnier(difference: Tensor, *, eps: float = EPS) -> Tensor:
    """Compute rho(z) = sqrt(z^2 + eps^2) for every element (Eq. 2 and 6).

    Args:
        difference: z, of any shape and floating dtype.
        eps: The constant of Eq. 2; its square is added, not itself.

    Returns:
        A tensor of the same shape, at least `eps` everywhere. Half precision is computed and returned in float32, where
        eps^2 = 1e-12 neither underflows nor makes the gradient at zero undefined.

    Examples:
        >>> charbonnier(torch.tensor([3.0]), eps=4.0)
        tensor([5.])
    """
    if difference.dtype in (torch.float16, torch.bfloat16):
        difference = difference.float()
    return torch.sqrt(difference * difference + eps * eps)


def content_loss(sr: Tensor, hr: Tensor, *, eps: float = EPS, reduction: str = "mean") -> Tensor:
    """Compare a reconstruction with its ground truth: E rho(y - G(x)) (Eq. 1 with Eq. 2).

    Args:
        sr: G(x), `(N, 1, H, W)`.
        hr: y, the same shape.
        eps: See `charbonnier`.
        reduction: "mean" over all elements, or "sum" over the pixels of an image and mean over the batch (LapSRN).

    Returns:
        A scalar in float32 or float64.

    Raises:
        ConfigError: If the shapes differ or `reduction` is unknown.
    """
    _require_shapes(sr, hr)
    return _reduce(charbonnier(widened(hr) - widened(sr), eps=eps), reduction)


def squared_error(sr: Tensor, hr: Tensor, *, reduction: str = "mean") -> Tensor:
    """Compare a reconstruction with its ground truth: E (y - G(x))^2, the loss of SRResNet and ESPCN.

    Args:
        sr: G(x), `(N, 1, H, W)`.
        hr: y, the same shape.
        reduction: "mean" over all elements; "sum" over the pixels of an image and mean over the batch; "euclidean",
            half of that sum (SRCNN, FSRCNN, VDSR, DRCN, DRRN); "decibel", 10 log10 of the mean, the negative PSNR of
            the batch: levels whose errors differ in size then weigh as much as each other (not in the paper).

    Returns:
        A scalar in float32 or float64.

    Raises:
        ConfigError: If the shapes differ or `reduction` is unknown.

    Examples:
        >>> sr, hr = torch.zeros(1, 1, 2, 2), torch.full((1, 1, 2, 2), 2.0)
        >>> [float(squared_error(sr, hr, reduction=one)) for one in ("mean", "sum", "euclidean")]
        [4.0, 16.0, 8.0]
    """
    _require_shapes(sr, hr)
    difference = widened(hr) - widened(sr)
    if reduction == "euclidean":
        return 0.5 * _reduce(difference * difference, "sum")
    if reduction == "decibel":
        return 10 * torch.log10(_reduce(difference * difference, "mean") + _SMALLEST_ERROR)
    return _reduce(difference * difference, reduction)


def residual_loss(sr: Tensor, residual: Tensor, lr_up: Tensor, *, eps: float = EPS, reduction: str = "mean") -> Tensor:
    """Compare residual images: E rho(r - (G(x) - x')) (Eq. 5). Equal to Eq. 1 where r = y - x'.

    Args:
        sr: G(x), `(N, 1, H, W)`.
        residual: r, the same shape.
        lr_up: x', the upscaled LR image, the same shape.
        eps: See `charbonnier`.
        reduction: See `content_loss`.

    Returns:
        A scalar in float32 or float64.

    Raises:
        ConfigError: If the shapes differ or `reduction` is unknown.
    """
    if not sr.shape == residual.shape == lr_up.shape:
        raise ConfigError(
            "`sr`, `residual` and `lr_up` must have one shape, "
            f"got {tuple(sr.shape)}, {tuple(residual.shape)} and {tuple(lr_up.shape)}."
        )
    return _reduce(charbonnier(widened(residual) - (widened(sr) - widened(lr_up)), eps=eps), reduction)


def cascade(level_losses: Iterable[Tensor]) -> Tensor:
    """Add the losses of the levels: L_Mixed = sum over i of L_i (Eq. 9 and 10).

    Args:
        level_losses: One scalar per level, at least one.

    Returns:
        Their sum.

    Raises:
        ConfigError: If there is no level.

    Examples:
        >>> cascade([torch.tensor(1.0), torch.tensor(2.0)])
        tensor(3.)
    """
    losses = list(level_losses)
    if not losses:
        raise ConfigError("`level_losses` must hold at least one level, got none; name a level to train.")
    return torch.stack(losses).sum()


def _require_shapes(sr: Tensor, hr: Tensor) -> None:
    if sr.shape != hr.shape:
        raise ConfigError(f"`sr` and `hr` must have one shape, got {tuple(sr.shape)} and {tuple(hr.shape)}.")


def widened(tensor: Tensor) -> Tensor:
    """Lift half precision to float32, where differences of nearly equal images keep their digits."""
    return tensor.float() if tensor.dtype in (torch.float16, torch.bfloat16) else tensor


def _reduce(values: Tensor, reduction: str) -> Tensor:
    if reduction == "mean":
        return values.mean()
    if reduction == "sum":
        return values.sum() / values.shape[0]
    raise ConfigError(f"`reduction` must be mean or sum, got {reduction!r}; choose one of them.")
