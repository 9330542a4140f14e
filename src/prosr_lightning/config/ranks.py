"""Processes that somebody else started: those of `torchrun`, or of `srun` of SLURM, are one run in one folder.

Each of them composes its own configuration, and each would take the time of its own for the name of the folder.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Protocol

_PATIENCE = timedelta(minutes=10)  # nodes do not start at the same moment


def started_processes() -> int:
    """Return how many processes `torchrun` or `srun` started for this run; 1 where this is the only one."""
    if _by_torchrun():
        return int(os.environ["WORLD_SIZE"])
    return int(os.environ["SLURM_NTASKS"]) if _by_srun() else 1


def is_first() -> bool:
    """Tell whether this is the first of the processes that were started, or the only one."""
    return os.environ.get("RANK" if _by_torchrun() else "SLURM_PROCID", "0") == "0"


def common_folder(own: Path) -> Path:
    """Return the run folder of all processes.

    Args:
        own: That which this process would take.

    Returns:
        Under `srun`, one named after the job, its step and how often it was queued again, beside `own`.
    """
    if not _by_srun() or started_processes() == 1:
        return own
    names = (os.environ.get(f"SLURM_{key}", "0") for key in ("JOB_ID", "STEP_ID", "RESTART_COUNT"))
    return own.with_name("slurm-" + "-".join(names))


def told_by_the_first(choose: Callable[[], list[str]]) -> list[str]:
    """Return what the first process of `torchrun` chooses, in all of them.

    Args:
        choose: Called in the first process, and in every process that `torchrun` did not start.

    Returns:
        What it returned in the first.
    """
    if not _by_torchrun():
        return choose()
    store = _store()
    key = f"prosr_lightning/{os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}"
    if is_first():
        chosen: list[str] = []
        try:
            chosen = choose()
        finally:
            store.set(key, "\n".join(chosen))  # nothing: the first has ended with an error
        return chosen
    text = store.get(key)
    if not text:
        raise SystemExit(1)
    return text.decode().split("\n")


class _Store(Protocol):
    def set(self, key: str, value: str) -> None: ...

    def get(self, key: str) -> bytes: ...


def _store() -> _Store:
    """Return the store that `torchrun` keeps for its processes on all nodes; `get` waits for `set`."""
    from torch import distributed  # noqa: PLC0415  # takes seconds

    address, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    store: _Store = distributed.TCPStore(address, port, is_master=False, timeout=_PATIENCE)  # type: ignore[attr-defined]  # torch's own way to export
    return store


def _by_torchrun() -> bool:
    return "TORCHELASTIC_RUN_ID" in os.environ and os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True"


def _by_srun() -> bool:
    return {"SLURM_PROCID", "SLURM_STEP_ID", "SLURM_NTASKS"} <= os.environ.keys() and not _by_torchrun()
