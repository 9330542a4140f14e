"""Released weights and their model card, from checkpoints."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from prosr_lightning.errors import CheckpointError, ConfigError, DataError
from prosr_lightning.imaging.degradation import BICUBIC
from prosr_lightning.imaging.io import write_file
from prosr_lightning.networks import Trust
from prosr_lightning.networks.architecture import describe
from prosr_lightning.networks.contract import count_parameters
from prosr_lightning.networks.weights import load_network, save_network
from prosr_lightning.released import RELEASED_FOLDER
from prosr_lightning.runs.scored import read_run
from prosr_lightning.runs.scores import INFO, SUMMARY
from prosr_lightning.tables import fill_in

_CARD = "MODEL_CARD.md"
# Settings of a run that make it repeatable; paths stay out.
_RECIPE = ("seed", "levels", "optimizer", "scheduler", "data", "degradation", "trainer", "model")
_PRIVATE = frozenset({"train_dir", "data_dir", "cache_dir", "val_sets", "default_root_dir", "generator", "_partial_"})


def release(
    checkpoint: Path,
    name: str,
    *,
    scores: Path,
    training_data: str,
    licence: str,
    folder: Path = RELEASED_FOLDER,
    trust: Trust = (),
) -> Path:
    """Write released weights with what is known of their training, and the model card of all released weights.

    Args:
        checkpoint: A checkpoint of training; its averaged weights are taken where there are any.
        name: The released name.
        scores: Folder with the `summary.csv` and `run.json` of an evaluation of these weights.
        training_data: What they were trained on, in one sentence.
        licence: Licence of the weights.
        folder: Where released weights are.
        trust: As `weights.load_network`; the card needs it for every file in the folder.

    Returns:
        The weights file.

    Raises:
        CheckpointError: If the checkpoint cannot be used or records no run.
        ConfigError: If the scores are missing.
        StorageError: If the folder cannot be written.
    """
    if not re.fullmatch(r"[a-z0-9_]+", name):
        raise ConfigError(f"`name` must be of small letters, digits and _, got {name!r}; choose e.g. prosrn_x2.")
    loaded = load_network(checkpoint, trust=trust)
    network = loaded.network.folded()  # what only helped the training stays behind
    config = loaded.metadata.get("config")
    if not config:
        raise CheckpointError(
            f"{checkpoint} must record the configuration of its run, found none; take a checkpoint of train."
        )
    metadata = {
        "name": name,
        "training_data": training_data,
        "licence": licence,
        "parameters": count_parameters(network),
        "updates": loaded.metadata.get("steps_done"),
        "version": loaded.metadata.get("version"),
        "start": _start(config.get("init_from")),
        "recipe": {key: _public(config[key]) for key in _RECIPE if config.get(key) is not None},
        **_scores(scores, checkpoint),
    }
    path = folder / f"{name}.safetensors"
    save_network(path, network, metadata)
    write_card(folder, trust=trust)
    return path


def write_card(folder: Path = RELEASED_FOLDER, *, trust: Trust = ()) -> None:
    """Write the model card of every weights file in a folder, from what the files say of themselves.

    Raises:
        StorageError: If it cannot be written.
    """
    weights = [load_network(path, trust=trust) for path in sorted(folder.glob("*.safetensors"))]
    write_file(folder / _CARD, fill_in("model_card.md.j2", weights=weights, describe=describe, bicubic=BICUBIC))


def _public(node: Any) -> Any:  # noqa: ANN401  # YAML
    """Leave out what names folders of the machine that trained."""
    if isinstance(node, Mapping):
        return {key: _public(value) for key, value in node.items() if key not in _PRIVATE and value is not None}
    return node


def _start(init_from: object) -> str | None:
    """Name the weights that a training began with, without the folder that they were in."""
    return None if init_from in (None, "required") else Path(str(init_from)).name


def _scores(folder: Path, checkpoint: Path) -> dict[str, Any]:
    try:
        run = read_run(folder)
    except (DataError, OSError) as error:
        raise ConfigError(
            f"`scores` must be a folder with {SUMMARY} and {INFO} of an evaluation, got {folder} ({error}); "
            "run `python -m prosr_lightning.evaluate ckpt_path=...` first."
        ) from error
    rows = [
        {"dataset": name, "scale": scale, "psnr_db": round(score.psnr_db, 6), "ssim": round(score.ssim, 6)}
        for (name, scale), score in run.scores.items()
    ]
    if not all(math.isfinite(score.psnr_db + score.ssim) for score in run.scores.values()):
        raise ConfigError(f"`scores` must hold finite scores, got {len(rows)} rows in {folder}; evaluate again.")
    source = run.info.source
    if not source or Path(source).expanduser().resolve() != checkpoint.expanduser().resolve():
        raise ConfigError(
            f"`scores` must be those of {checkpoint}, got those of {source or run.info.method}; "
            "evaluate that checkpoint."
        )
    return {"scores": rows, "protocol": run.info.protocol.name, "scored_degradation": run.info.degradation}
