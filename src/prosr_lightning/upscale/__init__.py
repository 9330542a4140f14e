"""Enlarge pictures from the command line: `prosr-upscale -i photo.jpg -s 4` writes photo_x4.png beside it."""

from __future__ import annotations

import argparse
import logging
import math
import os
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path

from prosr_lightning import AUTO_MODEL, DEFAULT_MODEL
from prosr_lightning.console import answer, explain, progress_bars, run_reporting, say
from prosr_lightning.errors import ProSRError, StoppedError
from prosr_lightning.pictures.reading import read_rows
from prosr_lightning.pictures.rows import PixelRows
from prosr_lightning.pictures.writing import write_rows
from prosr_lightning.released import RESTORING
from prosr_lightning.upscale.batch import Enlargement, check_job, plan_batch
from prosr_lightning.upscale.beside import Part, Shared, enlarge_all, together
from prosr_lightning.upscale.choosing import choose_model
from prosr_lightning.upscale.options import naming, parser, wanted_size
from prosr_lightning.upscale.pipes import PIPE, piped
from prosr_lightning.upscale.upscaler import Upscaler

log = logging.getLogger("prosr_lightning.upscale")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code: 0, or 1 if anything failed, or 130 if it was interrupted."""
    options = parser().parse_args(arguments)
    batch = _Batch(options)
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # read as torch is loaded; else threads wait by computing

    def command() -> None:
        options.wanted = wanted_size(options)
        try:
            with piped(options.input, options.output, options.ext) as (inputs, output, batch.named):
                plan = plan_batch(inputs, naming(options, output), recursive=options.recursive)
                batch.passed_over = plan.passed_over
                for kind in plan.changed:
                    log.warning("Pictures %s are not written as such; with --ext same their results are PNG.", kind)
                for _, failure in plan.failures:
                    batch.fail(failure)
                batch.run(plan.jobs[options.shard[0] - 1 :: options.shard[1]])
        except KeyboardInterrupt as error:
            text = "Interrupted; finished pictures are kept, nothing is half-written."
            number = signal.SIGTERM if isinstance(error, _Terminated) else signal.SIGINT
            raise StoppedError(text, number=number) from None

    def explanation(error: BaseException) -> str | None:
        reason = explain(error)
        return None if reason is None else batch.named(reason)

    with _logging(batch, verbose=options.verbose), _stopped_by_sigterm():
        return run_reporting(command, explanation) or batch.summarise()


class _Terminated(KeyboardInterrupt):
    """A scheduler wants the process to end."""


@contextmanager
def _stopped_by_sigterm() -> Iterator[None]:
    """End as after Ctrl-C, with nothing half-written, when a scheduler ends the process."""

    def stop(*_: object) -> None:
        raise _Terminated

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@dataclass
class _Batch:
    """Enlarge one picture after the other; a bad one is named and the rest goes on."""

    options: argparse.Namespace
    done: int = 0
    skipped: int = 0
    failed: list[str] = field(default_factory=list)
    passed_over: Counter[str] = field(default_factory=Counter)
    models: dict[Enlargement, str] = field(default_factory=dict)
    named: Callable[[str], str] = str  # names pipes in messages

    def run(self, jobs: Sequence[Enlargement]) -> None:
        if not jobs:
            return
        options = self.options
        if options.model == AUTO_MODEL and options.denoise is not None:
            options.model = RESTORING
        loaders = [
            cache(
                partial(
                    Upscaler.from_pretrained,
                    denoise=options.denoise,
                    device=device,
                    precision="float32" if options.fp32 else "bfloat16" if options.bf16 else "auto",
                    tile=options.tile,
                    chroma=options.chroma,
                    engine=options.engine,
                    threads=options.threads,
                    trust=options.trust,
                )
            )
            for device in options.device.split(",")
        ]
        for load in loaders:  # a wrong name or device is told at once
            load(DEFAULT_MODEL if options.model == AUTO_MODEL else options.model)
        areas = {job: math.prod(size) for job, size in self.checked(jobs)}
        total, finished, running = sum(areas.values()), 0, dict[Enlargement, float]()
        waiting = Shared(areas)
        with progress_bars() as bar:

            def show(job: Enlargement, part: Part, share: float) -> None:
                if waiting.stopped.is_set():
                    raise StoppedError("Stopped with other pictures.", number=signal.SIGINT)
                running[job] = (part[0] + share) / part[1] * areas[job]
                ready = finished + sum(list(running.values()))  # at once, as other threads change it
                bar("enlarging", ready, total, f"{self.done + 1}/{len(areas)}")

            def enlarge(load: Callable[[str], Upscaler], job: Enlargement, part: Part, rows: PixelRows) -> PixelRows:
                progress = partial(show, job, part)
                upscaler = load(self.models[job])
                return upscaler.rows(rows, options.wanted, self_ensemble=options.tta, on_progress=progress)

            lanes = [
                enlarge_all(
                    waiting,
                    read=partial(read_rows, allow_huge=options.allow_huge, first=options.first),
                    enlarge=partial(enlarge, load),
                    write=partial(write_rows, quality=options.quality, as_read=options.ext == "same"),
                )
                for load in loaders
            ]
            for job, error in together(lanes, stop=waiting.stopped.set):
                with self.guarded(job.source):
                    if error is not None:
                        raise error
                    self.done += 1
                finished += areas[job]
                running.pop(job, None)

    def checked(self, jobs: Sequence[Enlargement]) -> Iterator[tuple[Enlargement, tuple[int, int]]]:
        """Yield the jobs that can begin, with the size of the picture, and print what they will do."""
        for job in jobs:
            if self.options.skip_existing and os.path.isfile(job.target):
                self.skipped += 1
                log.info("%s exists", job.target)
                continue
            with self.guarded(job.source):
                keys = ("allow_huge", "overwrite", "first")
                head, result = check_job(job, self.options.wanted, **{key: getattr(self.options, key) for key in keys})
                size = head.width, head.height
                sizes = " -> ".join(f"{width}x{height}" for width, height in (size, result))
                choice = choose_model(job.source, head, self.options.model)
                self.models[job] = choice.model
                chosen = self.options.model == AUTO_MODEL or self.options.denoise is not None
                by = f" by {choice.model}" if chosen else ""
                if self.options.denoise is not None:
                    by += f" with denoise {self.options.denoise:g}"
                self.tell(f"{job.source}: {sizes}{by}{choice.reason and f', {choice.reason}'}, {job.target}")
                if choice.caution:
                    log.warning("%s", choice.caution)
                yield job, size

    @contextmanager
    def guarded(self, source: Path) -> Iterator[None]:
        """Turn whatever goes wrong with one picture into one line."""
        try:
            yield
        except ProSRError as error:
            self.fail(error)
        except MemoryError:
            self.fail(f"{source} does not fit into memory; choose a smaller scale or split it.")
        except Exception as error:
            log.debug("unexpected", exc_info=True)
            self.fail(f"{source}: unexpected {type(error).__name__}: {error}; run with -v and report it.")

    def fail(self, reason: ProSRError | str) -> None:
        self.failed.append(str(reason))
        say(self.named(f"error: {reason}"))

    def summarise(self) -> int:
        parts = [f"{self.done} enlarged"]
        parts += [f"{self.skipped} skipped, their results exist"] if self.skipped else []
        parts += [f"{len(self.failed)} failed"] if self.failed else []
        kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(self.passed_over.items()))
        parts += [f"passed over: {kinds}"] if kinds else []
        self.tell(", ".join(parts))
        return 1 if self.failed else 0

    def tell(self, text: str) -> None:
        (say if self.options.output == Path(PIPE) else answer)(self.named(text))


class _Said(logging.Handler):
    """Log records as lines for the user, above a progress bar."""

    def __init__(self, batch: _Batch) -> None:
        super().__init__()
        self._batch = batch

    def emit(self, record: logging.LogRecord) -> None:
        say(self._batch.named(f"{record.levelname.lower()}: {self.format(record)}"))


@contextmanager
def _logging(batch: _Batch, *, verbose: bool) -> Iterator[None]:
    logger, handler = logging.getLogger("prosr_lightning"), _Said(batch)
    level, propagate = logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG if verbose else logging.WARNING)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
        logger.propagate = propagate
