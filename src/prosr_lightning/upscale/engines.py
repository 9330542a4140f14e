"""PyTorch as what runs the network. `contract` says what is asked of an engine, `runtimes` has the others."""

from __future__ import annotations

import copy
import logging
import os
import platform
import reprlib
import textwrap
import warnings
from functools import cache, cached_property

import torch
from torch import Tensor

from prosr_lightning.errors import ConfigError
from prosr_lightning.networks import ProgressiveNetwork, SRNetwork
from prosr_lightning.networks.complexity import largest_features
from prosr_lightning.networks.contract import channels_last, require_image
from prosr_lightning.networks.streaming import Stream, streams
from prosr_lightning.upscale.contract import Streamed

log = logging.getLogger(__name__)

PRECISIONS = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}

# The features of a band fit into the cache: 4.4 us for a pixel of 2449x2449 on one core of an AMD EPYC with 32 MiB, and
# 4.5 to 4.8 at half the width or half the pixels. More threads get larger bands, so that they do not wait for another.
_STRIP_WIDTH, _BAND_PIXELS, _BAND_PIXELS_OF_A_THREAD = 800, 12_000, 4_000

_BYTES_OF_A_VALUE = 24  # of the largest features, for all that is held beside them; measured: up to 21


@cache
def _outlive_forks() -> None:
    """Let processes forked from this one compute by one thread: the others are not there, and would be waited for."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=lambda: torch.set_num_threads(1))


def _fast_precision(precision: str, device: torch.device) -> str:
    """Return float32 for bfloat16 on a processor without it, which would be twelve times slower than that."""
    if precision == "bfloat16" and device.type == "cpu" and not _has_bfloat16():
        log.warning("This processor has no bfloat16 instructions; computing in float32, which is faster here.")
        return "float32"
    return precision


def _has_bfloat16() -> bool:
    if platform.machine().lower() in ("x86_64", "amd64"):
        return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


class TorchEngine:
    """Run a network in PyTorch; follows `contract.Engine`.

    Args:
        network: It is copied, not changed.
        device: "auto" takes CUDA, then MPS, then the CPU; or any name that PyTorch knows.
        precision: "auto" is float16 on CUDA for 8-bit pictures and float32 everywhere else; or "float32", "float16",
            "bfloat16". In float32 TF32 is off. With bfloat16, which has fewer digits than 8-bit pixels, only the
            convolutions of features are in it, and the image stays in float32 (for a `ProgressiveNetwork`).

    Raises:
        ConfigError: If the device or the precision is unknown or not there.
    """

    def __init__(self, network: SRNetwork, *, device: str | torch.device = "auto", precision: str = "auto") -> None:
        if precision != "auto" and precision not in PRECISIONS:
            raise ConfigError(
                f"`precision` must be auto, {', '.join(PRECISIONS)}, got {precision!r}; choose one of them."
            )
        _outlive_forks()
        self.arrays = torch
        self.device, self.precision = choose_device(device), _fast_precision(precision, choose_device(device))
        original = copy.deepcopy(network).eval().requires_grad_(False).folded()
        self._networks = {torch.float32: self._placed(original.float())}
        self._warned = False

    def enlarge(self, window: Tensor, factor: int, *, exact: bool) -> Tensor:
        """Enlarge one window; a result that is not finite in half precision is computed again in float32."""
        dtype = self._dtype(exact=exact)
        result = self._run(window, factor, dtype)
        if dtype != torch.float32 and not bool(result.isfinite().all()):
            if not self._warned:
                log.warning("%s gave values that are not finite; those tiles are redone in float32.", dtype)
                self._warned = True
            result = self._run(window, factor, torch.float32)
        if not bool(result.isfinite().all()):
            raise ConfigError("The network must give finite values, got NaN or infinity; check its weights.")
        return result

    def streamed(self, factor: int, *, count: int, width: int) -> Streamed[Tensor] | None:
        """Stream through the layers where that is the fastest: on the CPU, see `networks.streaming`."""
        network, dtype = self._streamable, self._dtype(exact=True)
        if self.device.type != "cpu" or dtype == torch.float16 or network is None:
            return None
        run = Stream(network, width=width, strip=_STRIP_WIDTH, half=dtype == torch.bfloat16)
        pixels = _BAND_PIXELS + _BAND_PIXELS_OF_A_THREAD * torch.get_num_threads()
        strips = -(-width // _STRIP_WIDTH)
        return Streamed(run, rows=max(1, pixels * strips // (width * count)), ahead=network.receptive_radius)

    def passes(self, scale: int) -> list[tuple[int, int]]:
        """Return the factor and the halo of each pass."""
        return self._networks[torch.float32].passes(scale)

    def bytes_per_pixel(self, factor: int) -> int:
        """Return a generous estimate of the memory for one pixel of the window."""
        return _BYTES_OF_A_VALUE * largest_features(self._networks[torch.float32], factor)

    @cached_property
    def _streamable(self) -> ProgressiveNetwork | None:
        network = self._networks[torch.float32]
        return network if streams(network) else None

    def _dtype(self, *, exact: bool) -> torch.dtype:
        if self.precision != "auto":
            return PRECISIONS[self.precision]
        return torch.float16 if self.device.type == "cuda" and not exact else torch.float32

    def _placed(self, network: SRNetwork) -> SRNetwork:
        # twice as fast on the CPU as the default layout (measured), and what tensor cores want
        return channels_last(network.to(self.device))

    def _run(self, window: Tensor, factor: int, dtype: torch.dtype) -> Tensor:
        kept = torch.float32 if dtype == torch.bfloat16 else dtype
        if kept not in self._networks:
            self._networks[kept] = self._placed(copy.deepcopy(self._networks[torch.float32]).to(kept))
        network = self._networks[kept]
        inputs = window.to(self.device, kept).contiguous(memory_format=torch.channels_last)
        with (
            torch.backends.cudnn.flags(enabled=True, benchmark=False, allow_tf32=dtype != torch.float32),
            torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=kept != dtype),
        ):
            sr = network.enlarge(inputs, factor)
        require_image(sr, inputs, factor, network)
        return sr.float()


def choose_device(device: str | torch.device) -> torch.device:
    """Return the device of that name; "auto" takes CUDA, then MPS, then the CPU.

    Raises:
        ConfigError: If it is unknown or not there.
    """
    if device == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        with warnings.catch_warnings(action="ignore"):  # of names that PyTorch once knew
            chosen = torch.device(device)
            torch.ones(1, device=chosen).item()  # there, and it computes
    except (RuntimeError, AssertionError, ImportError) as error:
        reason = textwrap.shorten(str(error), 160)
        raise ConfigError(
            f"`device` must be one that this machine has, got {reprlib.repr(device)} ({reason}); try auto."
        ) from error
    return chosen
