"""Which of the installed engines is the fastest here: measured once, and kept in the user's cache."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import logging
import math
import time
from collections.abc import Callable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from prosr_lightning.errors import ProSRError, StorageError
from prosr_lightning.imaging.arrays import without_gradients
from prosr_lightning.imaging.io import user_cache, write_json
from prosr_lightning.runs.processor import cpu_name
from prosr_lightning.upscale.chain import Chain
from prosr_lightning.upscale.contract import ENGINES, Engine, default_engine
from prosr_lightning.upscale.memory import automatic_tile, kind_of

log = logging.getLogger(__name__)

_SIDE, _ROUNDS = 128, 2  # of the window that is enlarged: 0.02 to 0.1 s for each engine and round
_GAIN = 0.9  # what another engine than the default must stay below, or noise would choose


def fastest_engine(make: Callable[[str], Engine[Any]], weights: Path, *, threads: int | None = None) -> str:
    """Return the name of the engine that enlarges by 2 in the least time on this processor.

    It is measured where processor, versions, threads or network are new, and kept in the user's cache. The default
    stays unless another takes less than 0.9 of its time; a device that is no CPU is not compared with one.

    Args:
        make: Makes an engine of that name; one that raises a `ProSRError` is left out.
        weights: The file of the network.
        threads: Of the processor, None for the default.
    """
    names = [name for name in ENGINES if importlib.util.find_spec(name)]
    first = default_engine()
    if len(names) < 2:
        return first
    key = _key(names, weights, threads)
    file = user_cache() / "engines.json"
    kept = _read(file)
    if kept.get(key) in names:
        log.info("Taking the engine %s, which was the fastest before", kept[key])
        return str(kept[key])
    engines = dict[str, Engine[Any]]()
    for name in names:
        try:
            engines[name] = make(name)
        except ProSRError as error:
            log.info("The engine %s is left out: %s", name, error)
    if len(engines) < 2 or any(kind_of(engine.device) != "cpu" for engine in engines.values()):
        return first if first in engines else next(iter(engines), first)
    seconds = _measured(engines)
    best = min(seconds, key=seconds.__getitem__)
    chosen = best if seconds[best] < _GAIN * seconds.get(first, math.inf) else first
    times = ", ".join(
        f"{name} {1000 * time:.0f} ms" for name, time in sorted(seconds.items(), key=lambda pair: pair[1])
    )
    log.warning("Measured the engines, once: %s; taking %s.", times, chosen)
    try:
        write_json(file, {**_read(file), key: chosen})
    except StorageError as error:  # it is measured again
        log.info("%s", error)
    return chosen


def _measured(engines: Mapping[str, Engine[Any]]) -> dict[str, float]:
    """Return seconds for a window of each engine, in turns, with the borders of tiles in a large picture."""
    window = np.random.default_rng(0).random((1, 1, _SIDE, _SIDE), np.float32)
    seconds = dict.fromkeys(engines, math.inf)
    for number in range(_ROUNDS + 1):
        for name, engine in engines.items():
            arrays = engine.arrays
            image = window if arrays is np else arrays.from_numpy(window)
            chain = Chain(engine, scale=2, tile=0 if engine.streamed(2, count=1, width=_SIDE) is None else "auto")
            begun = time.perf_counter()
            with without_gradients(arrays):
                chain.image(image)
            if number:  # the first makes ready
                seconds[name] = min(seconds[name], time.perf_counter() - begun)
    return {name: taken * _borders(engines[name]) for name, taken in seconds.items()}


def _borders(engine: Engine[Any]) -> float:
    """Return how much is computed for a pixel of a large picture, where tiles overlap."""
    if engine.streamed(2, count=1, width=_SIDE) is not None:
        return 1.0
    (factor, halo), *_ = engine.passes(2)
    tile = automatic_tile(engine.device, bytes_per_pixel=engine.bytes_per_pixel(factor), halo=halo)
    return float((1 + 2 * halo / tile) ** 2)


def _key(names: list[str], weights: Path, threads: int | None) -> str:
    network = hashlib.sha256(weights.read_bytes()).hexdigest()[:16]
    return ", ".join([cpu_name(), *map(_with_version, names), f"{threads or 'all'} threads", network])


def _with_version(name: str) -> str:
    try:
        return f"{name} {version(name)}"
    except PackageNotFoundError:  # of a distribution of another name, such as onnxruntime-gpu
        return name


def _read(file: Path) -> dict[str, str]:
    """Return what was measured before; nothing where the file is missing or damaged."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
