"""Read what Weights & Biases recorded offline: a log in LevelDB's format of protocol buffers."""

from __future__ import annotations

import json
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wandb.proto import wandb_internal_pb2

_BLOCK = 32768


@dataclass
class Recorded:
    """One offline run, as `wandb sync` would send it."""

    folder: Path
    run: Any = None
    config: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    summary: dict[str, Any] = field(default_factory=dict)
    metrics: list[Any] = field(default_factory=list)
    artifacts: list[Any] = field(default_factory=list)
    exit_code: int | None = None

    def column(self, name: str) -> list[tuple[float, Any]]:
        """Return (steps, value) of each row that has a value."""
        return [(row["steps"], row[name]) for row in self.history if name in row]


def read_runs(folder: Path) -> list[Recorded]:
    """Read the ended runs in a run folder, the oldest first."""
    return [_read_ended(path) for path in sorted(folder.glob("wandb/offline-run-*/run-*.wandb"))]


def _read_ended(path: Path) -> Recorded:
    """Read a run whose last records may still be on their way to the file: another process writes it."""
    deadline = time.monotonic() + 20
    while (found := _read(path)).exit_code is None and time.monotonic() < deadline:
        time.sleep(0.05)
    assert found.exit_code is not None, f"{path} has no end"
    return found


def _read(path: Path) -> Recorded:
    found = Recorded(folder=path.parent)
    for record in _records(path.read_bytes()):
        kind = record.WhichOneof("record_type")
        if kind == "run":
            found.run = record.run
            _update(found.config, record.run.config.update)
        elif kind == "config":
            _update(found.config, record.config.update)
        elif kind == "summary":
            _update(found.summary, record.summary.update)
        elif kind == "history":
            found.history.append({})
            _update(found.history[-1], record.history.item)
        elif kind == "metric":
            found.metrics.append(record.metric)
        elif kind == "artifact":
            found.artifacts.append(record.artifact)
        elif kind == "exit":
            found.exit_code = record.exit.exit_code
    return found


def _update(target: dict[str, Any], items: Any) -> None:
    for item in items:
        keys, node = list(item.nested_key) or [item.key], target
        for key in keys[:-1]:
            node = node.setdefault(key, {})
        node[keys[-1]] = json.loads(item.value_json)


def _records(data: bytes) -> Iterator[Any]:
    assert data[:4] == b":W&B"
    position, gathered = 7, b""
    while position + 7 <= len(data):
        if (left := _BLOCK - position % _BLOCK) < 7:  # the rest of a block is padding
            position += left
            continue
        _, length, kind = struct.unpack("<IHB", data[position : position + 7])
        gathered += data[position + 7 : position + 7 + length]
        position += 7 + length
        if kind in (1, 4):  # whole, or the last part
            record = wandb_internal_pb2.Record()
            record.ParseFromString(gathered)
            gathered = b""
            yield record
