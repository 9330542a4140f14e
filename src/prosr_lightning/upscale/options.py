"""The words of `prosr-upscale`, and what they mean."""

from __future__ import annotations

import argparse
import os
import reprlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from prosr_lightning import AUTO_MODEL, DEFAULT_MODEL
from prosr_lightning.console import add_trust
from prosr_lightning.pictures.formats import FORMATS
from prosr_lightning.released import released_names
from prosr_lightning.upscale.batch import Naming
from prosr_lightning.upscale.contract import ENGINES, FASTEST, default_engine
from prosr_lightning.upscale.sizes import LONGEST_SIDE, Enlarged

_MOST_DIGITS = 18  # far more than any number here; thousands cannot be read
_MOST_THREADS = 1024  # far more, and torch ends the process without a word


def naming(options: argparse.Namespace, output: Path | None) -> Naming:
    """Return how results are called; the network is named where it is not the default, and so is `--denoise`."""
    suffix = options.suffix
    if suffix is None:
        own = options.model not in (AUTO_MODEL, DEFAULT_MODEL) and options.model in released_names()
        network = f"_{options.model}" if own else ""
        restoring = "" if options.denoise is None else f"_denoise{options.denoise:g}"
        suffix = f"{options.wanted.suffix}{network}{restoring}"
    return Naming(output, suffix, options.ext, options.first)


def _tile(text: str) -> int | str:
    if text == "auto" or _is_whole(text):
        return text if text == "auto" else int(text)
    raise argparse.ArgumentTypeError(
        f"must be auto, 0 or a number of pixels, got {reprlib.repr(text)}; leave it out for auto"
    )


def _is_whole(text: str) -> bool:
    return text.isdecimal() and len(text) <= _MOST_DIGITS


def _whole(most: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if _is_whole(text) and 1 <= int(text) <= most:
            return int(text)
        raise argparse.ArgumentTypeError(f"must be a whole number from 1 to {most}, got {reprlib.repr(text)}")

    return read


def _suffix(text: str) -> str:
    if not {os.sep, os.altsep} & set(text):
        return text
    raise argparse.ArgumentTypeError(f"must be part of a file's name, got {text!r}; name folders by --output")


def _share(text: str) -> float:
    with suppress(ValueError):
        if 0 <= float(text) <= 1:
            return float(text)
    raise argparse.ArgumentTypeError(f"must be a number from 0 to 1, got {text!r}")


def _shard(text: str) -> tuple[int, int]:
    number, _, count = text.partition("/")
    if not (_is_whole(number) and _is_whole(count) and 1 <= int(number) <= int(count)):
        raise argparse.ArgumentTypeError(f"must be NUMBER/COUNT from 1 up, such as 3/16, got {reprlib.repr(text)}")
    return int(number), int(count)


def _frame(text: str) -> tuple[int, int]:
    width, _, height = text.lower().partition("x")
    if not (_is_whole(width) and _is_whole(height)):
        raise argparse.ArgumentTypeError(f"must be WIDTHxHEIGHT in pixels, such as 1920x1080, got {reprlib.repr(text)}")
    return int(width), int(height)


def wanted_size(options: argparse.Namespace) -> Enlarged:
    """Return what the options say of the size; 4 times where they say nothing.

    Raises:
        ConfigError: If it is none.
    """
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


def parser() -> argparse.ArgumentParser:
    """Return what reads the words of the command line."""
    options = argparse.ArgumentParser(prog="prosr-upscale", description="Enlarge pictures with ProSRN or ProSRGAN.")
    add = options.add_argument
    add(
        "-i",
        "--input",
        nargs="+",
        action="extend",
        required=True,
        metavar="PATH",
        help="files, folders, patterns; - alone is standard input",
    )
    add(
        "-o",
        "--output",
        type=_output,
        metavar="PATH",
        help="folder, or file for one picture, - for standard output; default: beside the input",
    )
    how_large = options.add_mutually_exclusive_group()
    how_large.add_argument("-s", "--scale", type=float, metavar="N", help="above 1, up to 16; default: 4")
    how_large.add_argument(
        "--width", type=_whole(LONGEST_SIDE), metavar="PIXELS", help="of the result; the height follows"
    )
    how_large.add_argument(
        "--height", type=_whole(LONGEST_SIDE), metavar="PIXELS", help="of the result; the width follows"
    )
    how_large.add_argument("--fit", type=_frame, metavar="WxH", help="as large as fits into a frame")
    how_large.add_argument("--megapixels", type=float, metavar="N", help="millions of pixels of the result")
    model = f"released weights or a file; default: auto, {DEFAULT_MODEL}, or prosrn_jpeg for JPEGs below quality 90"
    add("-n", "--model", default=AUTO_MODEL, metavar="NAME", help=model)
    denoise = "from every picture, how much of blocks and grain prosrn_jpeg, or -n prosrn_blind, removes: 0 to 1"
    add("--denoise", type=_share, metavar="0-1", help=denoise)
    add_trust(options)
    add("-t", "--tile", type=_tile, default="auto", metavar="PIXELS", help="auto (default), 0 for none, or a side")
    add("--suffix", type=_suffix, help="put after the name; default: _x4 for -s 4; may be empty with -o")
    endings = ("auto", "same", *(key.removeprefix(".") for key in FORMATS))
    add("--ext", default="auto", choices=endings, help="format of results; default auto: png, or tif for pages")
    add("--quality", type=_whole(100), metavar="1-100", help="of jpg, webp, avif and jxl; default: 95")
    add("--first", action="store_true", help="of animations and pages, the first alone")
    add("-r", "--recursive", action="store_true", help="folders below folders too; the tree is mirrored in -o")
    existing = options.add_mutually_exclusive_group()
    existing.add_argument("--skip-existing", action="store_true", help="leave out pictures whose result exists")
    existing.add_argument("--overwrite", action="store_true", help="replace results that exist")
    chroma = "what enlarges Cb and Cr: bicubic (default), or network: three times the work, a little better"
    add("--chroma", default="bicubic", choices=("bicubic", "network"), help=chroma)
    add("--tta", action="store_true", help="average over eight flips and turns: 8 times slower, a little better")
    precision = options.add_mutually_exclusive_group()
    precision.add_argument("--fp32", action="store_true", help="never compute in half precision")
    precision.add_argument("--bf16", action="store_true", help="features in bfloat16: much faster on CPUs that have it")
    add("--device", default="auto", help="auto (default), cpu, cuda, cuda:1, mps; cuda:0,cuda:1 shares out")
    add("--threads", type=_whole(_MOST_THREADS), metavar="N", help="of the processor; default: as many as it has cores")
    add("--shard", type=_shard, default=(1, 1), metavar="K/N", help="every Nth picture alone, from the Kth: 3/16")
    engine = f"what runs the network, auto: the fastest that is installed; default here: {default_engine()}"
    add("--engine", choices=(FASTEST, *ENGINES), help=engine)
    add("--allow-huge", action="store_true", help="open pictures above 89 megapixels, if you trust them")
    add("-v", "--verbose", action="store_true", help="say more, with tracebacks of unexpected errors")
    return options
