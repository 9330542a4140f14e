"""The logger of Weights & Biases: one run, its axis, its pictures and its checkpoint."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from lightning.fabric.loggers.logger import rank_zero_experiment
from lightning.pytorch.loggers import WandbLogger
from lightning_utilities.core.rank_zero import rank_zero_only
from torch import nn

from prosr_lightning.errors import ConfigError
from prosr_lightning.tracking import AXIS
from prosr_lightning.tracking.values import without_folders

log = logging.getLogger(__name__)

_WATCHED = ("gradients", "parameters", "all")


@dataclass(frozen=True, kw_only=True)
class Identity:
    """What a run is called and found by, unless the configuration says otherwise.

    Attributes:
        name: Readable, from what the run changed: `memory-d10-x2_x4`.
        group: What it is compared within.
        tags: What it is filtered by.
        notes: What its user says of it.
    """

    name: str
    group: str
    tags: tuple[str, ...] = ()
    notes: str | None = None


class WeightsAndBiases(WandbLogger):
    """A run in Weights & Biases, or offline in `save_dir/wandb` for a later `wandb sync`.

    Everything is logged beside `steps`, the updates of the generator, so that a ProSRN and a ProSRGAN, which makes two
    updates a batch, share an axis. Where no account is configured the run is logged offline, without a question. A
    training never ends because its log does.

    Args:
        save_dir: Folder of the run; `wandb` is made in it.
        project: Where the runs go.
        entity: The user or team; None takes the account's own.
        name: None names the run after what it changes.
        group: None takes the sweep's folder, or the name of the task.
        job_type: What kind of job it is.
        tags: None takes experiment, method, structure, levels and budget.
        notes: Shown beside the run.
        id: Of the run to go on with; None goes on with that of the checkpoint, or begins another.
        offline: Log into the folder alone.
        log_model: Log the best checkpoint as an artifact when the training has finished.
        watch: Histograms of "gradients", "parameters" or "all" of the generator, every 100 updates; None draws none.

    Raises:
        ConfigError: If `watch` is none of these, or, when the run begins, if the server does not take it.
    """

    def __init__(
        self,
        *,
        save_dir: str | Path,
        project: str = "prosr_lightning",
        entity: str | None = None,
        name: str | None = None,
        group: str | None = None,
        job_type: str | None = "train",
        tags: Sequence[str] | None = None,
        notes: str | None = None,
        id: str | None = None,  # the name users know
        offline: bool = False,
        log_model: bool = False,
        watch: str | None = None,
    ) -> None:
        if watch is not None and watch not in _WATCHED:
            raise ConfigError(f"`watch` must be one of {', '.join(_WATCHED)} or null, got {watch!r}; choose one.")
        if not isinstance(log_model, bool):
            raise ConfigError(f"`log_model` must be true or false, got {log_model!r}; true logs the best checkpoint.")
        name, group, notes = (None if text is None else str(text) for text in (name, group, notes))
        tags = [tags] if isinstance(tags, str) else tags
        super().__init__(name=name, save_dir=save_dir, project=project, id=None if id is None else str(id))
        self._settings: dict[str, Any] = {
            "entity": entity,
            "group": group,
            "job_type": job_type,
            "tags": None if tags is None else tuple(str(tag) for tag in tags),
            "notes": notes,
        }
        self.wants_offline, self.wants_model, self.watched = offline, log_model, watch
        self.steps: Callable[[], int] = lambda: 0
        self._gone = False

    def describe(self, identity: Identity, *, continued: str | None) -> None:
        """Fill in what the configuration leaves open, before the run begins.

        Args:
            identity: Of a new run.
            continued: The id of the run that a checkpoint comes from; it keeps what it is called.
        """
        if self._id is None and continued is not None:
            self._id = continued
            return
        self._name = self._name or identity.name
        self._settings["group"] = self._settings["group"] or identity.group
        self._settings["notes"] = self._settings["notes"] or identity.notes
        if self._settings["tags"] is None:
            self._settings["tags"] = identity.tags

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:  # noqa: ANN401  # wandb has no types to speak of
        """The run, begun when it is first asked for."""
        if self._experiment is None:
            self._experiment = self._begin()
        return self._experiment

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Log values beside the updates done; Lightning's own step, which counts batches, is not used."""
        self._tell(lambda: self.experiment.log({**metrics, AXIS: self.steps()}))

    @rank_zero_only
    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401  # Lightning's signature
        """Log the resolved configuration as nested values, without this machine's folders."""
        super().log_hyperparams(without_folders(cast(Mapping[str, Any], params)))

    @rank_zero_only
    def watch_network(self, network: nn.Module) -> None:
        """Draw the histograms that were asked for."""
        if self.watched is not None:
            self.experiment.watch(network, log=self.watched, log_freq=100)

    @rank_zero_only
    def log_checkpoint(self, path: Path, *, description: str, metadata: Mapping[str, Any]) -> None:
        """Log a checkpoint as the artifact `model-<id>:best`, also offline, from where `wandb sync` sends it."""
        import wandb  # noqa: PLC0415  # only where it is used

        run = self.experiment
        artifact = wandb.Artifact(f"model-{run.id}", type="model", description=description, metadata=dict(metadata))
        artifact.add_file(str(path), name="model.ckpt")
        self._tell(lambda: run.log_artifact(artifact, aliases=["best", "latest"]))

    @rank_zero_only
    def log_summary(self, values: Mapping[str, Any]) -> None:
        """Log what the run came to."""
        self._tell(lambda: self.experiment.summary.update(dict(values)))

    def _tell(self, message: Callable[[], object]) -> None:
        """Log, and go on without where the process that takes it is gone, as after a signal to a whole job."""
        if self._gone:
            return
        try:
            message()
        except OSError as error:
            self._gone = True
            log.warning("Weights & Biases takes no more of this run, which goes on without it: %r", error)

    def _begin(self) -> Any:  # noqa: ANN401  # wandb has no types to speak of
        import wandb  # noqa: PLC0415  # only where it is used

        folder = Path(str(self._save_dir))
        folder.mkdir(parents=True, exist_ok=True)
        try:
            offline = self.wants_offline or _is_without_account(wandb, folder)
            run = wandb.init(
                project=self._project,
                name=self._name,
                id=self._id,
                dir=str(folder),
                resume="allow",
                mode="offline" if offline else None,
                reinit="finish_previous",
                **self._settings,
            )
        except (wandb.errors.UsageError, ValueError) as error:  # pydantic's are ValueErrors
            reason = " ".join(str(error).split())
            raise ConfigError(
                f"logger.wandb.* must be settings that wandb takes, got: {reason}; change them."
            ) from error
        except wandb.errors.Error as error:
            raise ConfigError(
                f"logger=wandb needs an account and a server that takes the run, got: {' '.join(str(error).split())}; "
                "logger.wandb.offline=true logs into the run folder instead, for a later `wandb sync`."
            ) from error
        run.define_metric(AXIS, hidden=True)
        run.define_metric("*", step_metric=AXIS, step_sync=True)
        return run


def _is_without_account(wandb: Any, folder: Path) -> bool:  # noqa: ANN401  # a module
    """Tell whether a run would have to ask for an account; say how to send it later."""
    if wandb.setup().settings.mode in ("offline", "dryrun", "disabled") or wandb.login(prompt=False, verify=False):
        return False
    log.warning(
        "No account of Weights & Biases is configured: logging offline. `wandb login`, then `wandb sync %s`, sends it.",
        folder / "wandb" / "offline-run-*",
    )
    return True
