"""Commands configured by Hydra, whose users see one clear line for each mistake."""

from __future__ import annotations

import functools
import os
import re
import sys
from collections.abc import Callable, Iterable
from typing import Any

import hydra
from omegaconf import DictConfig

from prosr_lightning.config.location import conf_dir
from prosr_lightning.config.messages import user_message
from prosr_lightning.config.schema import validate
from prosr_lightning.errors import ConfigError


def hydra_main(config_name: str) -> Callable[[Callable[[DictConfig], Any]], Callable[[], None]]:
    """Turn `def main(cfg)` into a command whose users see one clear line for each mistake.

    Args:
        config_name: The primary configuration, without `.yaml`.

    Returns:
        A decorator. The command checks every key first, prints a `ProSRError` or a wrong override as "error: ..." and
        exits with 1 (130 after Ctrl-C); any other exception keeps its traceback.
    """

    def decorate(task: Callable[[DictConfig], Any]) -> Callable[[], None]:
        @functools.wraps(task)
        def checked(cfg: DictConfig) -> Any:  # noqa: ANN401  # the task's own type
            result: Any = None

            def job() -> None:
                nonlocal result
                validate(cfg, config_name)
                result = task(cfg)

            if code := run_reporting(job):
                raise SystemExit(code)  # passes through Hydra, which would add a line of its own
            return result

        def command() -> None:
            os.environ.setdefault("HYDRA_FULL_ERROR", "1")  # raise to us; Hydra would print and exit by itself
            wrapped = hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name=config_name)(checked)

            def checked_words() -> None:
                refuse_lists_for_groups(sys.argv[1:])
                wrapped()

            sys.exit(run_reporting(checked_words))

        command.__doc__ = task.__doc__
        return command

    return decorate


def refuse_lists_for_groups(overrides: Iterable[str]) -> None:
    """Refuse `levels=[2,4]`, `budget=null` and the like, on which Hydra itself stumbles.

    Args:
        overrides: The words of the command line.

    Raises:
        ConfigError: With the options of the group.
    """
    for override in overrides:
        match = re.match(r"([a-z_/]+)=(\[\s*\d|\d+$|null$|$)", override)
        optional = (
            match is not None and match.group(1) in ("experiment", "debug", "hparams_search") and "null" in override
        )
        if match and not optional and (conf_dir() / match.group(1)).is_dir():
            names = ", ".join(sorted(path.stem for path in (conf_dir() / match.group(1)).glob("*.yaml")))
            raise ConfigError(f"`{match.group(1)}` must be one of {names}, got {override!r}; choose one of them.")


def run_reporting(command: Callable[[], Any]) -> int:
    """Run a command and report what its user can mend in one line, without a traceback.

    Args:
        command: Takes nothing; what it returns is ignored.

    Returns:
        The exit code: 0, 1 after an error, 130 after Ctrl-C.
    """
    try:
        command()
    except KeyboardInterrupt:
        print("error: stopped by Ctrl-C.", file=sys.stderr)  # noqa: T201  # the command's message to its user
        return 130
    except Exception as error:
        message = user_message(error)
        if message is None:
            raise
        print(f"error: {message}", file=sys.stderr)  # noqa: T201  # the command's message to its user
        return 1
    return 0
