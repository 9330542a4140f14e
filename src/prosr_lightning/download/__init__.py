"""Download a data set: `python -m prosr_lightning.download div2k|set5|set14|bsds100|urban100|manga109 [--root DIR]`."""

from __future__ import annotations

import argparse
import signal
from collections.abc import Sequence
from pathlib import Path

from prosr_lightning.console import answer, progress_bars, run_reporting
from prosr_lightning.download.catalogue import DATASETS
from prosr_lightning.download.downloads import CACHE, download
from prosr_lightning.download.transfer import Transfer
from prosr_lightning.errors import ConfigError, StoppedError


def main(argv: Sequence[str] | None = None) -> int:
    """Download the named data sets.

    Args:
        argv: The command line without the program's name; that of the process if None.

    Returns:
        The exit code: 0, 1 for an error, 130 if interrupted. A mistyped command line exits with 2.
    """
    arguments = _parser().parse_args(argv)

    def command() -> None:
        try:
            with progress_bars(lines=True) as show:
                _download_all(arguments, Transfer(say=answer, progress=show))
        except KeyboardInterrupt:
            raise StoppedError(f"Interrupted. {_kept(arguments.root)}", number=signal.SIGINT) from None

    return run_reporting(command)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m prosr_lightning.download",
        description="Download data sets into the data directory, check them and lay them out as training and "
        "evaluation expect. What is complete is not downloaded again; what broke off is resumed.",
    )
    parser.add_argument("datasets", nargs="+", choices=list(DATASETS), metavar="DATASET", help=", ".join(DATASETS))
    parser.add_argument("--root", type=Path, default=Path("data"), metavar="DIR", help="data directory [data]")
    parser.add_argument(
        "--url",
        action="append",
        default=[],
        metavar="URL",
        help="address of an archive to use instead of the built-in ones; may be repeated, mirrors are tried in order. "
        "Of DIV2K, a file name with DIV2K_train_HR or DIV2K_valid_HR serves this part only",
    )
    parser.add_argument(
        "--archive",
        action="append",
        type=Path,
        default=[],
        metavar="FILE",
        help="a zip or tar downloaded by hand to unpack instead; may be repeated, as --url",
    )
    parser.add_argument("--force", action="store_true", help="download again and replace what is there")
    return parser


def _download_all(arguments: argparse.Namespace, transfer: Transfer) -> None:
    names = list(dict.fromkeys(arguments.datasets))
    by_user = {"urls": arguments.url, "archives": arguments.archive}
    if len(names) > 1 and any(by_user.values()):
        raise ConfigError(
            f"--url and --archive must come with one data set, got {len(names)} ({', '.join(names)}); run the command "
            f"once for each."
        )
    for name in names:
        download(DATASETS[name], arguments.root, **by_user, force=arguments.force, transfer=transfer)


def _kept(root: Path) -> str:
    parts = sorted((root / CACHE).rglob("*.part"))
    if not parts:
        return "Nothing was left half-written; run the same command again."
    listed = ", ".join(f"{path} ({path.stat().st_size / 1e6:.1f} MB)" for path in parts)
    return f"What has arrived is kept in {listed}; run the same command again to go on from there."
