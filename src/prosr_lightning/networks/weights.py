"""Weights on disk: released names, safetensors, and the checkpoints of training. No pickled code is ever run.

A weights file is safetensors with the network's own keys (`entry.weight`, ...) and one JSON text under "prosr" in its
header: the architecture, and what the author says of the training. Nothing has to be guessed from shapes.
"""

from __future__ import annotations

import json
import pickle
import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
import torch
from safetensors.torch import save
from torch import Tensor

from prosr_lightning.errors import CheckpointError, ConfigError
from prosr_lightning.imaging.io import write_file
from prosr_lightning.networks import SRNetwork, Trust, build_network, network_class
from prosr_lightning.networks.architecture import TARGET, describe, normalised
from prosr_lightning.released import HEADER_KEY, degradation_of, find_weights, is_adversarial

# What a state dict of another program looks like: a pattern that one of its keys matches, and the program's name.
_FOREIGN = (
    (r"\.rdb1\.|\.RDB1\.|RRDB_trunk", "RRDBNet (ESRGAN, Real-ESRGAN, BSRGAN)"),
    (r"overlap_attn", "HAT"),
    (r"relative_position_bias_table", "SwinIR or another Swin transformer"),
    (r"body\.\d+\.body\.\d+\.conv_du|\.conv_du\.", "RCAN"),
    (r"^head\.0\.weight|sub_mean\.", "EDSR or MDSR"),
    (r"^convt_[FR]\d", "LapSRN for PyTorch (twtygqyy)"),
    (r"recon_trunk|^conv_first\.", "MSRResNet (BasicSR, KAIR)"),
    (r"diffusion_model|down_blocks\.|first_stage_model", "a diffusion model"),
    (r"^features\.\d+\.weight|classifier\.", "a VGG or AlexNet classifier"),
    (r"^(module\.)?discriminator\.", "a discriminator"),
)


@dataclass(frozen=True)
class LoadedNetwork:
    """A network with its weights, and what its file says of it.

    Attributes:
        network: In evaluation mode.
        metadata: Plain values: always "architecture"; "config" and "version" where the file has them.
    """

    network: SRNetwork
    metadata: dict[str, Any]

    @property
    def adversarial(self) -> bool:
        """Whether released weights were trained against a discriminator."""
        return is_adversarial(self.metadata)

    @property
    def degradation(self) -> dict[str, Any] | None:
        """What released weights undo, as `conf/degradation` names it; None for bicubic shrinking alone."""
        return degradation_of(self.metadata)


def load_network(source: str | Path, *, device: str | torch.device = "cpu", trust: Trust = ()) -> LoadedNetwork:
    """Load a network from released weights, a safetensors file or a checkpoint of training.

    From a checkpoint the averaged (EMA) weights are taken where there are any.

    Args:
        source: A released name, or a path to `*.safetensors`, a Lightning `*.ckpt`, or a `*.pth` that names its
            architecture. The content decides how it is read, not the suffix.
        device: Where the network shall live.
        trust: Networks that the file may ask for besides ours: classes, or dotted paths of classes to import.

    Returns:
        The network in evaluation mode, in float32, and its metadata.

    Raises:
        CheckpointError: If the name is unknown, or the file is missing, empty, damaged, not a weights file, holds
            anything but tensors and plain values, or belongs to a network that is neither ours nor trusted.
    """
    path = find_weights(source)
    state, header = _read(path)
    architecture = header.get("architecture")
    if not isinstance(architecture, dict):
        raise CheckpointError(
            f"{path} must name its architecture under {HEADER_KEY!r}, but {_describe(state)}; "
            "use weights saved by this package."
        )
    network = _fill(path, architecture, state, trust)
    return LoadedNetwork(network.eval().to(device), header)


def save_network(path: str | Path, network: SRNetwork, metadata: Mapping[str, Any] | None = None) -> None:
    """Write a network as safetensors, whole or not at all.

    Args:
        path: The file; `.safetensors` by habit.
        network: Any.
        metadata: JSON-able facts to travel along: training data, protocol, scores, licence. "architecture" is added.

    Raises:
        ConfigError: If the metadata cannot be JSON.
        StorageError: If the place cannot be written.
    """
    try:
        header = json.dumps({**(metadata or {}), "architecture": network.architecture}, sort_keys=True)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"`metadata` must hold plain JSON values: {error}; convert them first.") from error
    tensors = {key: value.detach().cpu().contiguous().clone() for key, value in network.state_dict().items()}
    write_file(path, save(tensors, metadata={HEADER_KEY: header, "format": "pt"}))


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return the state dict and the header of any file we understand, told apart by its first bytes."""
    try:
        with path.open("rb") as file:
            start = file.read(16)
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror}; check its permissions.") from error
    if not start:
        raise CheckpointError(f"{path} must be a weights file, got an empty file; copy or download it again.")
    # safetensors: the length of a JSON text, which the library limits to 100 MB, and that text. It comes first: the
    # lowest byte of a length may be 0x80, with which pickles begin
    if start[8:9] == b"{" and struct.unpack("<Q", start[:8])[0] <= 100_000_000:
        return _read_safetensors(path)
    if start.startswith((b"PK\x03\x04", b"\x80")):  # the zip of torch.save, and the bare pickle it wrote before 1.6
        return _read_torch(path)
    remedy = "run `git lfs pull`" if start.startswith(b"version https:") else "copy or download it again"
    raise CheckpointError(f"{path} must be safetensors or a PyTorch checkpoint, but starts with {start!r}; {remedy}.")


def _read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            texts = file.metadata() or {}
            state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118  # safe_open is no dict
    except Exception as error:  # the parser raises errors of several kinds on damage
        raise CheckpointError(f"{path} is damaged or cut short: {error}; copy or download it again.") from error
    try:
        header = json.loads(texts.get(HEADER_KEY, "{}"))
    except ValueError as error:
        raise CheckpointError(f"{path} has an unreadable header: {error}; download it again.") from error
    return state, header if isinstance(header, dict) else {}


def _read_torch(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        refused = re.search(r"GLOBAL ([\w.]+)|[Uu]nsupported (?:class|operand) (\S+)", str(error))
        if refused is None:
            raise CheckpointError(f"{path} is damaged or no checkpoint; copy or download it again.") from error
        raise CheckpointError(
            f"{path} must hold tensors and plain values only, but asks for {refused[1] or refused[2]}, which could run "
            "code; it was not loaded: ask for safetensors."
        ) from error
    except Exception as error:  # RuntimeError, EOFError, KeyError, ... depending on where it is damaged
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CheckpointError(f"{path} is damaged or cut short: {reason}; copy or download it again.") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{path} must hold a state dict, got a {type(content).__name__}; save `state_dict()`.")
    header = content.get(HEADER_KEY)
    return _state_of(content), dict(header) if isinstance(header, dict) else {}


def _state_of(content: Mapping[str, Any]) -> dict[str, Tensor]:
    """Find the generator's weights in a checkpoint: averaged ones first."""
    for key in ("state_dict", "params_ema", "params"):  # Lightning; BasicSR's two
        if isinstance(content.get(key), Mapping):
            content = content[key]
            break
    state = {key: value for key, value in content.items() if isinstance(value, Tensor)}
    for prefix in ("ema_generator.module.", "generator."):
        chosen = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
        if chosen:
            return chosen
    return state


def _fill(path: Path, architecture: dict[str, Any], state: dict[str, Tensor], trust: Trust) -> SRNetwork:
    stored = sum(value.numel() for value in state.values())
    too_large = {key: value for key, value in architecture.items() if isinstance(value, int) and value > max(stored, 1)}
    if too_large and network_class(str(normalised(architecture).get(TARGET))) is not None:  # of others it may be a seed
        raise CheckpointError(f"{path} stores {stored} values, too few for {too_large}; the file is damaged.")
    with torch.random.fork_rng(devices=[]):  # loading must not shift the caller's random numbers
        try:
            network = build_network(architecture, trust=trust)
        except CheckpointError as error:
            raise CheckpointError(f"{path}: {error}") from error
    wanted = network.state_dict()
    missing, unexpected = sorted(wanted.keys() - state.keys()), sorted(state.keys() - wanted.keys())
    reshaped = [key for key in wanted.keys() & state.keys() if wanted[key].shape != state[key].shape]
    if missing or unexpected or reshaped:
        raise CheckpointError(
            f"{path} must hold the weights of {describe(architecture)}, but {_describe(state)}: {len(missing)} keys "
            f"missing, {len(unexpected)} unknown, {len(reshaped)} of another shape "
            f"({', '.join((missing + unexpected + sorted(reshaped))[:3])}); use weights saved by this package."
        )
    broken = [key for key, value in state.items() if value.is_floating_point() and not bool(value.isfinite().all())]
    if broken:
        raise CheckpointError(f"{path} holds values that are not finite ({broken[0]}); the training diverged.")
    network.load_state_dict(state)
    return network


def _describe(state: Mapping[str, Tensor]) -> str:
    """Say which program's weights these look like."""
    for pattern, name in _FOREIGN:
        if any(re.search(pattern, key) for key in state):
            return f"it looks like {name}"
    if {"entry.weight", "feature_up.weight", "image_up.weight"} <= state.keys():
        return "it looks like our Generator"
    return f"it holds {len(state)} tensors ({', '.join(list(state)[:3]) or 'none'})"
