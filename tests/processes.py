"""Commands in processes of their own, forked from one that has imported what they need.

A training command spends six seconds of processor time on imports before its first line, and half a second on reading
`conf/` and what its keys may be. The forks start at once and are otherwise what `python -m` gives: their own arguments,
environment, folder, streams, signals, limits and exit code.
"""

from __future__ import annotations

import atexit
import contextlib
import multiprocessing
import os
import resource
import runpy
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from multiprocessing.forkserver import ensure_running
from pathlib import Path
from unittest import mock

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["warmed"])


@dataclass(frozen=True)
class _Start:
    module: str
    words: tuple[str, ...]
    folder: str
    environment: dict[str, str]
    stdout: str
    stderr: str
    largest_file: int | None

    def __call__(self) -> None:
        """Become the command; what is left of the process it was forked from is what it has imported."""
        os.chdir(self.folder)
        os.environ.clear()
        os.environ.update(self.environment)
        for number, name in ((0, os.devnull), (1, self.stdout), (2, self.stderr)):
            file = os.open(name, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
            os.dup2(file, number)
            os.close(file)
        sys.stdin, sys.stdout, sys.stderr = (
            os.fdopen(number, mode, encoding="utf-8", closefd=False) for number, mode in enumerate("rww")
        )
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background commands ignore it
        sys.path[:0] = [self.folder, *filter(None, self.environment.get("PYTHONPATH", "").split(os.pathsep))]
        sys.argv[1:] = self.words
        if self.largest_file is not None:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (self.largest_file, self.largest_file))
        try:
            runpy.run_module(self.module, run_name="__main__", alter_sys=True)
        finally:
            atexit._run_exitfuncs()


class Command:
    """A running command."""

    def __init__(self, start: _Start) -> None:
        self._start = start
        self._process = FORKS.Process(target=start)
        self._process.start()

    def poll(self) -> int | None:
        return self._process.exitcode

    def send_signal(self, number: signal.Signals) -> None:
        assert self._process.pid is not None
        os.kill(self._process.pid, number)

    def wait(self, timeout: float) -> subprocess.CompletedProcess[str]:
        """Return its exit code, negative for a signal that ended it, and what it wrote."""
        self._process.join(timeout)
        code = self._process.exitcode
        written = [Path(name).read_text(encoding="utf-8") for name in (self._start.stdout, self._start.stderr)]
        if code is None:
            raise subprocess.TimeoutExpired(self._start.module, timeout, *written)
        return subprocess.CompletedProcess([self._start.module, *self._start.words], code, *written)

    def kill(self) -> None:
        self._process.kill()
        self._process.join()


@contextlib.contextmanager
def started(
    module: str,
    *words: str,
    folder: Path,
    environment: Mapping[str, str] | None = None,
    largest_file: int | None = None,
) -> Iterator[Command]:
    """Start `python -m prosr_lightning.<module> <words>`, and let it not outlive the test.

    Args:
        module: Below `prosr_lightning`.
        words: The command line.
        folder: The working directory.
        environment: Variables besides those of the tests.
        largest_file: In bytes; what grows beyond fails as on a full disk.
    """
    with tempfile.TemporaryDirectory() as streams:
        ours = {name: value for name, value in os.environ.items() if name not in ("RANK", "LOCAL_RANK")}
        settings = {**ours, "OMP_NUM_THREADS": "1", **(environment or {})}
        out, err = (os.path.join(streams, name) for name in ("out", "err"))
        for name in (out, err):
            Path(name).touch()
        with mock.patch.dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path)):  # where `warmed` is found
            ensure_running()
        command = Command(_Start(f"prosr_lightning.{module}", words, str(folder), settings, out, err, largest_file))
        try:
            yield command
        finally:
            command.kill()
