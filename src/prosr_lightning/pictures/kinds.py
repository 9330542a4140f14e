"""Pictures out of what callers have at hand, and back into the same kind."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import numpy.typing as npt
from PIL import Image

from prosr_lightning.errors import ConfigError, ImageError
from prosr_lightning.imaging.arrays import is_tensor
from prosr_lightning.pictures.picture import Picture, in_8_bits, to_pil
from prosr_lightning.pictures.reading import from_pil

if TYPE_CHECKING:
    from torch import Tensor

log = logging.getLogger(__name__)

ImageT = TypeVar("ImageT", Image.Image, npt.NDArray[Any], "Tensor")
Pack = Callable[[Sequence[Picture]], Any]

_SLACK = 0.01  # floating-point pixels may leave [0, 1] by so much, as they do after a bicubic resize; they are clamped


def unpack(image: Image.Image | npt.NDArray[Any] | Tensor) -> tuple[list[Picture], Pack]:
    """Turn an image of any kind into pictures, and say how to turn pictures back.

    Args:
        image: A PIL image; an array `(H, W)`, `(H, W, C)`; or a tensor `(C, H, W)`, `(N, C, H, W)`; C from 1 to 4.

    Returns:
        The pictures, one but for a batch, and a function that packs as many pictures into one image of the same kind.

    Raises:
        ConfigError: If the type, the shape or the dtype is none of these.
        ImageError: If floating-point values are outside `[0, 1]` or not finite.
    """
    if isinstance(image, Image.Image):
        return [_without_deep_colour(from_pil(image))], lambda pictures: to_pil(pictures[0])
    if isinstance(image, np.ndarray):
        return _unpack_array(image)
    if is_tensor(image):
        return _unpack_tensor(image)
    raise ConfigError(
        f"`image` must be a PIL image, an array or a tensor, got {type(image).__name__}; read files with Image.open."
    )


def _without_deep_colour(picture: Picture) -> Picture:
    if picture.pixels.dtype == np.uint8 or picture.pixels.shape[-1] == 1:
        return picture
    log.warning("Pillow holds colour in 8 bits only; use arrays or prosr-upscale to keep all 16.")
    return in_8_bits(picture)


def _unpack_array(array: npt.NDArray[Any]) -> tuple[list[Picture], Pack]:
    if array.dtype.name not in ("uint8", "uint16") and array.dtype.kind != "f":
        raise ConfigError(f"`image` must be uint8, uint16 or floating point in [0, 1], got {array.dtype}; convert it.")
    if not (array.ndim == 2 or (array.ndim == 3 and 1 <= array.shape[-1] <= 4)):
        raise ConfigError(f"`image` must have shape (H, W), (H, W, 3) or (H, W, 4), got {array.shape}; transpose it.")
    pixels = array[..., None] if array.ndim == 2 else array

    def pack(pictures: Sequence[Picture]) -> npt.NDArray[Any]:
        result = pictures[0].pixels.astype(array.dtype, copy=False)
        return result[..., 0] if array.ndim == 2 else result

    if array.dtype.kind == "f":
        pixels = _in_range(pixels.astype(np.float32))
    return [Picture(np.ascontiguousarray(pixels))], pack


def _unpack_tensor(tensor: Tensor) -> tuple[list[Picture], Pack]:
    if not tensor.is_floating_point():
        raise ConfigError(f"`image` must be floating point in [0, 1], got {tensor.dtype}; divide 8-bit values by 255.")
    if tensor.ndim not in (3, 4) or not 1 <= tensor.shape[-3] <= 4 or (tensor.ndim == 4 and not len(tensor)):
        raise ConfigError(f"`image` must have shape (C, H, W) or (N, C, H, W), got {tuple(tensor.shape)}; permute it.")
    batch = (tensor if tensor.ndim == 4 else tensor[None]).detach().float().cpu()
    pictures = [Picture(np.ascontiguousarray(_in_range(image.permute(1, 2, 0).numpy()))) for image in batch]

    def pack(enlarged: Sequence[Picture]) -> Tensor:
        import torch  # noqa: PLC0415  # where the tensor came from

        result = torch.stack([torch.from_numpy(picture.pixels).permute(2, 0, 1) for picture in enlarged])
        return (result if tensor.ndim == 4 else result[0]).to(tensor.device, tensor.dtype)

    return pictures, pack


def _in_range(pixels: npt.NDArray[Any]) -> npt.NDArray[Any]:
    if pixels.size and not (pixels.min() >= -_SLACK and pixels.max() <= 1 + _SLACK):  # also false for NaN
        raise ImageError(
            f"Floating-point pixels must be finite and in [0, 1], got {pixels.min():g} to {pixels.max():g}; "
            "divide 8-bit values by 255."
        )
    return pixels.clip(0, 1)
