"""Create the pages that compare tracked runs: `python -m prosr_lightning.dashboard ENTITY/PROJECT`."""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Sequence

from prosr_lightning.console import answer, run_reporting
from prosr_lightning.errors import ConfigError
from prosr_lightning.tracking.comparison import create, describe_pages, specification


def main(arguments: Sequence[str] | None = None) -> int:
    """Create a workspace and a report in Weights & Biases, or print what they would be."""
    options = _parser().parse_args(arguments)
    return run_reporting(lambda: _run(options))


def _run(options: argparse.Namespace) -> None:
    if not re.fullmatch(r"[^/\s]+/[^/\s]+", options.project):
        raise ConfigError(f"The project must be ENTITY/PROJECT, got {options.project!r}; ENTITY is your user or team.")
    entity, project = options.project.split("/")
    pages = describe_pages(entity, project, name=options.name, test_set=options.test_set)
    if options.dry_run:
        answer(json.dumps(specification(pages), indent=2))
        return
    for kind, address in create(pages).items():
        answer(f"{kind}: {address}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="prosr-dashboard", description=__doc__)
    parser.add_argument("project", metavar="ENTITY/PROJECT", help="where the runs are: logger.wandb.project")
    parser.add_argument("--name", default="Comparison", help="of the workspace and of the report")
    parser.add_argument("--test-set", default="Set5", help="test set of the scatter plots and the table of runs")
    parser.add_argument("--dry-run", action="store_true", help="print the specification as JSON, without network")
    return parser
