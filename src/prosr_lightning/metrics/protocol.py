"""Named conventions for scoring, and one result scored by one of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, cast, get_args

from torch import Tensor

from prosr_lightning.errors import ConfigError, require_choice
from prosr_lightning.imaging.color import rgb_to_luminance, ycbcr_to_rgb
from prosr_lightning.metrics.fidelity import SSIMKind, psnr, quantize_8bit, ssim

Rounding = Literal["none", "y8", "rgb8"]
_ROUNDING_WORDS = {"none": "results not rounded", "y8": "Y rounded to 8 bits", "rgb8": "results rounded to 8-bit RGB"}
_SSIM_WORDS = {
    "skimage": "SSIM 7x7 uniform, L = max(result) - min(truth)",
    "wang": "SSIM 11x11 Gaussian, valid windows",
    "matlab": "SSIM of MATLAB",
}


@dataclass(frozen=True, kw_only=True)
class ScoringProtocol:
    """A convention for scoring; no number means anything without it.

    Attributes:
        name: What captions and files call it.
        rounding: What happens to a network's result before it is scored. "none": nothing. "y8": Y of the truth is
            rounded to 8 bits, before the LR image is made from it, and so is Y of the result. "rgb8": the result
            becomes an 8-bit RGB picture (Cb and Cr by bicubic), and that picture's Y is scored.
        bicubic_rounding: The same for the bicubic row.
        ssim: Which SSIM, see `metrics.ssim`.
        border: Pixels left out on every side; None leaves out `scale` pixels (Sec. 4.3.1).
        margin: And so many more.
        colour: Compare R, G and B, all values as one, instead of Y.
    """

    name: str
    rounding: Rounding
    bicubic_rounding: Rounding
    ssim: SSIMKind
    border: int | None = None
    margin: int = 0
    colour: bool = False

    def describe(self, *, bicubic: bool = False) -> str:
        """Return the caption that every table of such scores carries."""
        rounding = self.bicubic_rounding if bicubic else self.rounding
        border = f"scale + {self.margin}" if self.margin else "scale"
        border = border if self.border is None else str(self.border + self.margin)
        return (
            f"protocol {self.name}: {'RGB' if self.colour else 'Y of BT.601 (studio range)'}, "
            f"{_ROUNDING_WORDS[rounding]}, {border} px "
            f"of border left out, {_SSIM_WORDS[self.ssim]}, mean of per-image values"
        )

    def describe_both(self, lr_images: str) -> str:
        """Return the caption of a table that bicubic stands in too, and what it says of the LR images, if anything."""
        other = "not rounded" if self.bicubic_rounding == "none" else "rounded otherwise"
        parts = [self.describe(), "" if self.bicubic_rounding == self.rounding else f"bicubic {other}", lr_images]
        return "; ".join(filter(None, parts))


# The paper's Tables 2 to 6: their bicubic rows are unrounded, their network rows come from 8-bit RGB files.
PAPER = ScoringProtocol(name="paper", rounding="rgb8", bicubic_rounding="none", ssim="skimage")
# Most other papers since SRCNN and VDSR: bicubic Set5 at 2x is 33.66 dB / 0.9299.
STANDARD = ScoringProtocol(name="standard", rounding="y8", bicubic_rounding="y8", ssim="wang")
# What sees chroma too, as papers on colour networks score.
RGB = ScoringProtocol(name="rgb", rounding="rgb8", bicubic_rounding="rgb8", ssim="wang", colour=True)
# The NTIRE challenges on DIV2K (Agustsson and Timofte 2017), and EDSR's validation: RGB without 6 + scale pixels.
NTIRE = ScoringProtocol(name="ntire", rounding="rgb8", bicubic_rounding="rgb8", ssim="wang", margin=6, colour=True)


def get_protocol(name: str, *, rounding: str | None = None, ssim: str | None = None) -> ScoringProtocol:
    """Return a named protocol, or a variant of it whose name says what differs.

    Args:
        name: "paper", "standard", "rgb" or "ntire".
        rounding: Replaces the rounding of networks and of bicubic alike: "none", "y8" or "rgb8".
        ssim: Replaces the kind of SSIM: "skimage", "wang" or "matlab".

    Returns:
        The protocol.

    Raises:
        ConfigError: If a name is unknown.

    Examples:
        >>> get_protocol("paper", ssim="wang").name
        'paper with ssim=wang'
    """
    named = {protocol.name: protocol for protocol in (PAPER, STANDARD, RGB, NTIRE)}
    require_choice("protocol", name, named)
    protocol, changes = named[name], []
    if rounding is not None:
        require_choice("rounding", rounding, get_args(Rounding))
        kind = cast("Rounding", rounding)
        if protocol.colour and kind == "y8":
            raise ConfigError(f"`rounding` must be rgb8 or none for protocol={name}, got 'y8', which rounds Y alone.")
        protocol = replace(protocol, rounding=kind, bicubic_rounding=kind)
        changes.append(f"rounding={rounding}")
    if ssim is not None:
        require_choice("ssim", ssim, get_args(SSIMKind))
        protocol = replace(protocol, ssim=cast("SSIMKind", ssim))
        changes.append(f"ssim={ssim}")
    return replace(protocol, name=f"{name} with {', '.join(changes)}") if changes else protocol


def round_result(sr: Tensor, rounding: Rounding, *, colour: bool = False) -> Tensor:
    """Return what is scored: luminance, or RGB.

    Args:
        sr: The result as YCbCr / 255, `(1, 3, H, W)`; for "none" and "y8" luminance alone, `(1, 1, H, W)`, will do.
        rounding: See `ScoringProtocol`.
        colour: Likewise.

    Returns:
        `(1, 1, H, W)`, or `(1, 3, H, W)` with `colour`.
    """
    if rounding == "none":
        return ycbcr_to_rgb(sr) if colour else sr[:, :1]
    if rounding == "y8":
        return quantize_8bit(sr[:, :1])
    rgb = quantize_8bit(ycbcr_to_rgb(sr))
    return rgb if colour else rgb_to_luminance(rgb)


def score(sr: Tensor, hr: Tensor, *, scale: int, protocol: ScoringProtocol) -> tuple[float, float]:
    """Score one result, already rounded as the protocol wants it.

    Args:
        sr: `(1, 1, H, W)`, the result's Y / 255; or its RGB, `(1, 3, H, W)`.
        hr: The truth's.
        scale: The factor.
        protocol: The convention.

    Returns:
        PSNR in dB and SSIM.

    Raises:
        ImageError: If the image is too small to be scored.
    """
    border = (scale if protocol.border is None else protocol.border) + protocol.margin
    return psnr(sr, hr, border=border).item(), ssim(sr, hr, border=border, kind=protocol.ssim).item()
