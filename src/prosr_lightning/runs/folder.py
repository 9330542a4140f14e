"""The folder of one run: one process in it, one log, and what a run that goes on elsewhere takes along."""

from __future__ import annotations

import csv
import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from prosr_lightning.errors import ConfigError
from prosr_lightning.imaging.io import write_file
from prosr_lightning.tables import csv_text

LAST = Path("checkpoints") / "last.ckpt"
BEST = LAST.with_name("best.ckpt")
LOCK = ".running.lock"
LOG = Path("csv") / "metrics.csv"
_EARLIER_LOG = Path("csv.earlier") / "metrics.csv"
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)  # some network file systems


def lock_folder(folder: Path, what: str) -> FileLock | None:
    """Make a folder and keep other processes out of it until the lock is released, or this process ends.

    Args:
        folder: Where the lock is.
        what: "The sweep in", for the message.

    Returns:
        The lock; None where the file system has none, and nothing keeps others out.

    Raises:
        ConfigError: If another process holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        return take_lock(folder / LOCK)
    except Timeout:
        raise ConfigError(f"{what} {folder} must not run twice, but it is running; wait, or stop it.") from None


def take_lock(path: Path, *, timeout: float = 0) -> FileLock | None:
    """Take a lock that is given back when it is released, or this process ends.

    Args:
        path: The file; its folder is there.
        timeout: Seconds to wait for another process.

    Returns:
        The lock; None where the file system has none. What else is wrong with the place, such as permissions or a full
        disk, is raised as the OSError that it is.

    Raises:
        filelock.Timeout: If another process keeps it.
    """
    lock = FileLock(path)
    try:
        lock.acquire(timeout=timeout)
    except Timeout:
        raise
    except NotImplementedError:  # filelock's word for ENOSYS
        return None
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        return None
    return lock


@contextmanager
def open_run(folder: Path, *, resumed: bool, source: Path | None = None) -> Iterator[None]:
    """Have the folder of a run for oneself, with the log of its earlier part joined to that of this one.

    Args:
        folder: The run folder.
        resumed: The run goes on; otherwise the folder must hold no other run.
        source: The folder that the run was in so far, if another: its best weights, log and panels are copied.

    Raises:
        ConfigError: If another process runs in the folder, or another run was there.
    """
    lock = lock_folder(folder, "The run in")
    try:
        if not resumed and (folder / LAST).is_file():
            raise ConfigError(
                f"hydra.run.dir must be a folder without a run, got {folder} with checkpoints in it; "
                f"ckpt_path={folder / LAST} goes on with them, ckpt_path=auto begins only where there are none."
            )
        if source is not None and source.resolve() != folder.resolve():
            _carry_over(source, folder)
        for killed in (folder / LAST).parent.glob(".*.ckpt"):  # half a checkpoint of a process that was killed
            killed.unlink()
        set_log_aside(folder)
        yield
    finally:
        join_logs(folder)
        if lock is not None:
            lock.release()


def _carry_over(source: Path, folder: Path) -> None:
    for name in (LOG.parent, _EARLIER_LOG.parent, "panels"):
        if (source / name).is_dir():
            shutil.copytree(source / name, folder / name, dirs_exist_ok=True)
    for path in (source / LAST).parent.glob("*.ckpt"):
        if path.name != LAST.name and not path.name.startswith("."):
            (folder / LAST).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, (folder / LAST).parent)


def remove_if_unused(folder: Path, root: Path) -> None:
    """Remove the folder of a run that was refused before it left anything, and the empty ones above it.

    Args:
        folder: Holds empty logs, and the lock, at most.
        root: The last folder that may go.
    """
    left = list(folder.rglob("*")) if folder.is_dir() else []
    if not folder.is_dir() or any(path.is_dir() or path.stat().st_size for path in left):
        return
    for path in left:
        path.unlink()
    for above in (folder, *folder.parents):
        if any(above.iterdir()):
            return
        above.rmdir()
        if above == root or root not in above.parents:
            return


def clear_attempt(folder: Path) -> None:
    """Remove what an attempt left that cannot be continued, so that the next one does not take it for its own."""
    for path in (LAST, LOG, _EARLIER_LOG):
        shutil.rmtree((folder / path).parent, ignore_errors=True)


def set_log_aside(folder: Path) -> None:
    """Keep the log of a stopped run from the logger of its continuation, which begins a file of its own."""
    join_logs(folder)
    if (folder / LOG).is_file():
        (folder / LOG).parent.replace((folder / _EARLIER_LOG).parent)
    else:  # what a process has left that was killed before its first line, of which Lightning warns
        shutil.rmtree((folder / LOG).parent, ignore_errors=True)


def join_logs(folder: Path) -> None:
    """Put the log that was set aside before that of the continuation, up to where the continuation begins."""
    earlier_path, path = folder / _EARLIER_LOG, folder / LOG
    if not earlier_path.is_file():
        return
    earlier, later = _read_log(earlier_path), _read_log(path)
    begins = min((int(row["step"]) for row in later), default=None)
    rows = [row for row in earlier if begins is None or int(row["step"]) < begins] + later
    write_file(path, csv_text(rows))
    shutil.rmtree(earlier_path.parent)


def _read_log(path: Path) -> list[dict[str, str]]:
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return [row for row in csv.DictReader(file) if (row.get("step") or "").isdecimal()]
