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
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path

from prosr_lightning import AUTO_MODEL, DEFAULT_MODEL
from prosr_lightning.console import add_trust, answer, progress_bars, run_reporting, say
from prosr_lightning.errors import ProSRError, StoppedError
from prosr_lightning.pictures.formats import FORMATS, write_rows
from prosr_lightning.pictures.reading import read_rows
from prosr_lightning.pictures.rows import PixelRows
from prosr_lightning.upscale.batch import Enlargement, Naming, check_job, plan_batch
from prosr_lightning.upscale.beside import Part, Shared, enlarge_all, together
from prosr_lightning.upscale.pipes import PIPE, piped
from prosr_lightning.upscale.sizes import Enlarged

log = logging.getLogger("prosr_lightning.upscale")

_MOST_THREADS = 1024  # far more, and torch ends the process without a word
ENGINES = ("torch", "onnxruntime", "openvino")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code: 0, or 1 if anything failed, or 130 if it was interrupted."""
    options = _parser().parse_args(arguments)
    batch = _Batch(options)
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # read as torch is loaded; else threads wait by computing

    def command() -> None:
        options.wanted = _wanted(options)
        try:
            with piped(options.input, options.output, options.ext) as (inputs, output):
                plan = plan_batch(inputs, _naming(options, output), recursive=options.recursive)
                batch.passed_over = plan.passed_over
                for _, failure in plan.failures:
                    batch.fail(failure)
                batch.run(plan.jobs[options.shard[0] - 1 :: options.shard[1]])
        except KeyboardInterrupt as error:
            text = "Interrupted; finished pictures are kept, nothing is half-written."
            number = signal.SIGTERM if isinstance(error, _Terminated) else signal.SIGINT
            raise StoppedError(text, number=number) from None

    with _logging(verbose=options.verbose), _stopped_by_sigterm():
        return run_reporting(command) or batch.summarise()


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

    def run(self, jobs: Sequence[Enlargement]) -> None:
        if not jobs:
            return
        import torch  # noqa: PLC0415  # slow

        from prosr_lightning.upscale.choosing import RESTORING  # noqa: PLC0415  # imports torch
        from prosr_lightning.upscale.upscaler import Upscaler  # noqa: PLC0415  # imports torch

        options = self.options
        if options.threads:
            torch.set_num_threads(options.threads)
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
        from prosr_lightning.upscale.choosing import choose_model  # noqa: PLC0415  # imports torch

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
        say(f"error: {reason}")

    def summarise(self) -> int:
        parts = [f"{self.done} enlarged"]
        parts += [f"{self.skipped} skipped, their results exist"] if self.skipped else []
        parts += [f"{len(self.failed)} failed"] if self.failed else []
        kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(self.passed_over.items()))
        parts += [f"passed over: {kinds}"] if kinds else []
        self.tell(", ".join(parts))
        return 1 if self.failed else 0

    def tell(self, text: str) -> None:
        (say if self.options.output == Path(PIPE) else answer)(text)


class _Said(logging.Handler):
    """Log records as lines for the user, above a progress bar."""

    def emit(self, record: logging.LogRecord) -> None:
        say(f"{record.levelname.lower()}: {self.format(record)}")


@contextmanager
def _logging(*, verbose: bool) -> Iterator[None]:
    logger, handler = logging.getLogger("prosr_lightning"), _Said()
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


def _naming(options: argparse.Namespace, output: Path | None) -> Naming:
    """Return how results are called; the network is named where it is not the default."""
    network = ""
    if options.model not in (AUTO_MODEL, DEFAULT_MODEL) and options.suffix is None:
        from prosr_lightning.networks.weights import released_names  # noqa: PLC0415  # imports torch

        network = f"_{options.model}" if options.model in released_names() else ""
    suffix = f"{options.wanted.suffix}{network}" if options.suffix is None else options.suffix
    return Naming(output, suffix, options.ext, options.first)


def _tile(text: str) -> int | str:
    if text == "auto" or text.isdecimal():
        return text if text == "auto" else int(text)
    raise argparse.ArgumentTypeError(f"must be auto, 0 or a number of pixels, got {text!r}; leave it out for auto")


def _threads(text: str) -> int:
    if text.isdecimal() and 1 <= int(text) <= _MOST_THREADS:
        return int(text)
    raise argparse.ArgumentTypeError(f"must be a whole number from 1 to {_MOST_THREADS}, got {text!r}")


def _suffix(text: str) -> str:
    if not {os.sep, os.altsep} & set(text):
        return text
    raise argparse.ArgumentTypeError(f"must be part of a file's name, got {text!r}; name folders by --output")


def _quality(text: str) -> int:
    if text.isdecimal() and 1 <= int(text) <= 100:
        return int(text)
    raise argparse.ArgumentTypeError(f"must be a whole number from 1 to 100, got {text!r}")


def _share(text: str) -> float:
    with suppress(ValueError):
        if 0 <= float(text) <= 1:
            return float(text)
    raise argparse.ArgumentTypeError(f"must be a number from 0 to 1, got {text!r}")


def _shard(text: str) -> tuple[int, int]:
    number, _, count = text.partition("/")
    if not (number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count)):
        raise argparse.ArgumentTypeError(f"must be NUMBER/COUNT from 1 up, such as 3/16, got {text!r}")
    return int(number), int(count)


def _frame(text: str) -> tuple[int, int]:
    width, _, height = text.lower().partition("x")
    if not (width.isdecimal() and height.isdecimal()):
        raise argparse.ArgumentTypeError(f"must be WIDTHxHEIGHT in pixels, such as 1920x1080, got {text!r}")
    return int(width), int(height)


def _wanted(options: argparse.Namespace) -> Enlarged:
    """Return what the options say of the size; 4 times where they say nothing."""
    keys = ("scale", "width", "height", "fit", "megapixels")
    chosen = {key: getattr(options, key) for key in keys if getattr(options, key) is not None}
    return Enlarged(**chosen or {"scale": 4})


def _output(text: str) -> Path:
    """Take what looks like a mistyped picture for one, not for the name of a folder."""
    path = Path(text)
    mistyped = path.suffix[1:].isalpha() and path.suffix.lower() not in FORMATS and not text.endswith(("/", os.sep))
    if mistyped and not path.is_dir():
        raise argparse.ArgumentTypeError(
            f"must be a folder or a file that ends in one of {', '.join(FORMATS)}, got {text!r}; "
            "let the name of a new folder end with /"
        )
    return path


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="prosr-upscale", description="Enlarge pictures with ProSRN or ProSRGAN.")
    add = parser.add_argument
    add("-i", "--input", nargs="+", required=True, metavar="PATH", help="files, folders, patterns; - is standard input")
    add(
        "-o",
        "--output",
        type=_output,
        metavar="PATH",
        help="folder, or file for one picture, - for standard output; default: beside the input",
    )
    how_large = parser.add_mutually_exclusive_group()
    how_large.add_argument("-s", "--scale", type=float, metavar="N", help="above 1, up to 16; default: 4")
    how_large.add_argument("--width", type=int, metavar="PIXELS", help="of the result; the height follows")
    how_large.add_argument("--height", type=int, metavar="PIXELS", help="of the result; the width follows")
    how_large.add_argument("--fit", type=_frame, metavar="WxH", help="as large as fits into a frame")
    how_large.add_argument("--megapixels", type=float, metavar="N", help="millions of pixels of the result")
    model = f"released weights or a file; default: auto, {DEFAULT_MODEL}, or prosrn_jpeg for JPEGs below quality 90"
    add("-n", "--model", default=AUTO_MODEL, metavar="NAME", help=model)
    denoise = "from every picture, how much of blocks and grain prosrn_jpeg removes: 0 keeps them, 1 is its own"
    add("--denoise", type=_share, metavar="0-1", help=denoise)
    add_trust(parser)
    add("-t", "--tile", type=_tile, default="auto", metavar="PIXELS", help="auto (default), 0 for none, or a side")
    add("--suffix", type=_suffix, help="put after the name; default: _x4 for -s 4; may be empty with -o")
    endings = ("auto", "same", *(key.removeprefix(".") for key in FORMATS))
    add("--ext", default="auto", choices=endings, help="format of results; default auto: png, or tif for pages")
    add("--quality", type=_quality, metavar="1-100", help="of jpg, webp, avif and jxl; default: 95")
    add("--first", action="store_true", help="of animations and pages, the first alone")
    add("-r", "--recursive", action="store_true", help="folders below folders too; the tree is mirrored in -o")
    existing = parser.add_mutually_exclusive_group()
    existing.add_argument("--skip-existing", action="store_true", help="leave out pictures whose result exists")
    existing.add_argument("--overwrite", action="store_true", help="replace results that exist")
    chroma = "what enlarges Cb and Cr: bicubic (default), or network: three times the work, a little better"
    add("--chroma", default="bicubic", choices=("bicubic", "network"), help=chroma)
    add("--tta", action="store_true", help="average over eight flips and turns: 8 times slower, a little better")
    precision = parser.add_mutually_exclusive_group()
    precision.add_argument("--fp32", action="store_true", help="never compute in half precision")
    precision.add_argument("--bf16", action="store_true", help="features in bfloat16: much faster on CPUs that have it")
    add("--device", default="auto", help="auto (default), cpu, cuda, cuda:1, mps; cuda:0,cuda:1 shares out")
    add("--threads", type=_threads, metavar="N", help="of the processor; default: as many as it has cores")
    add("--shard", type=_shard, default=(1, 1), metavar="K/N", help="every Nth picture alone, from the Kth: 3/16")
    add("--engine", default="torch", choices=ENGINES, help="what runs the network; default: torch")
    add("--allow-huge", action="store_true", help="open pictures above 89 megapixels, if you trust them")
    add("-v", "--verbose", action="store_true", help="say more, with tracebacks of unexpected errors")
    return parser
