"""Where the configuration tree is."""

from __future__ import annotations

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
