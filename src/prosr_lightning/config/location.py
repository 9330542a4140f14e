"""Where the configuration tree is."""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

from prosr_lightning.errors import ConfigError


def conf_dir() -> Path:
    """Return the folder of the configuration tree: inside an installed package, or `conf/` of a checkout.

    Raises:
        ConfigError: If neither is there.
    """
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "conf", package.parents[1] / "conf"):
        if (folder / "train.yaml").is_file():
            return folder
    raise ConfigError(f"The configuration tree must be at {package / 'conf'}, found nothing; reinstall the package.")


def conf_dirs() -> list[Path]:
    """Return the folder of the configuration tree, and the user's own, which `--config-dir` names."""
    words, own = sys.argv[1:], []
    for word, following in itertools.pairwise([*words, ""]):
        option, equals, value = word.partition("=")
        if option in ("--config-dir", "-cd"):
            own.append(Path(value if equals else following))
    return [conf_dir(), *(folder for folder in own if folder.is_dir())]
