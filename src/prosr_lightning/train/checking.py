"""Settings of a training run that follow from others, and those that must be refused before any work begins."""

from __future__ import annotations

import copy
import inspect
import logging
from collections.abc import Sequence
from pathlib import Path

import torch
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.utils import get_class, instantiate
from omegaconf import DictConfig, OmegaConf

from prosr_lightning.config.ranks import started_processes
from prosr_lightning.errors import ConfigError
from prosr_lightning.evaluate.scoring import find_measure
from prosr_lightning.lit.base import LitSuperResolution
from prosr_lightning.metrics.perceptual import require_measure
from prosr_lightning.metrics.protocol import get_protocol
from prosr_lightning.networks import NETWORKS, ProgressiveNetwork, SRNetwork, levels_up_to
from prosr_lightning.networks.trial import try_out

log = logging.getLogger(__name__)

_PRECISIONS = ("32-true", "32", "bf16-mixed", "16-mixed")


def derive(cfg: DictConfig) -> DictConfig:
    """Return the configuration of a run: what follows from the choices filled in, resolved, read-only.

    Args:
        cfg: The composed and validated `conf/train.yaml`; it is not changed.

    Raises:
        ConfigError: If a setting, or two together, cannot work.
    """
    cfg = copy.deepcopy(cfg)
    OmegaConf.set_struct(cfg, value=False)
    fill_in(cfg)
    check(cfg)
    OmegaConf.resolve(cfg)
    require_optimizer(cfg)
    OmegaConf.set_readonly(cfg, value=True)
    return cfg


def fill_in(cfg: DictConfig) -> None:
    """Fill in what follows from the choice of the method: levels, scales that are scored, and its name.

    Args:
        cfg: The composed `conf/train.yaml`; it is changed.

    Raises:
        ConfigError: If the network can do none of the scales, or does not read a key that was given.
    """
    network = instantiate(cfg.model.generator, _convert_="all")
    if not isinstance(network, SRNetwork):
        raise ConfigError(
            "`model.generator` must be of a subclass of prosr_lightning.networks.SRNetwork, got "
            f"{type(network).__name__}; see docs/extending.md."
        )
    _require_own_depth(network)
    if cfg.scale is not None:
        cfg.levels = list(network.training_levels(cfg.scale))
    if type(network) not in NETWORKS:
        try_out(network, max(cfg.levels))
    if cfg.test.method is None:
        cfg.test.method = module_class(cfg).title or network.title
    for holder, key in ((cfg, "val_scales"), (cfg.test, "scales"), (cfg.test, "perceptual")):
        if isinstance(holder[key], (int, str)):
            holder[key] = [holder[key]]
    one_device = str(cfg.trainer.devices) == "1" and cfg.trainer.get("num_nodes", 1) == 1
    if one_device and str(cfg.trainer.strategy).startswith("ddp"):
        cfg.trainer.strategy = "auto"  # no process group is needed, which not every accelerator has
    wrong = [scale for scale in cfg.val_scales or () if network.scales is not None and scale not in network.scales]
    if wrong:
        raise ConfigError(
            f"`val_scales` must hold factors that this {cfg.test.method} can do, {list(network.scales or ())}, got "
            f"{wrong}; choose some of them."
        )
    scales = cfg.test.scales
    if cfg.test.benchmarks is None or network.scales is None or not OmegaConf.is_list(scales):
        return
    possible = [scale for scale in scales if scale in network.scales]
    if possible and len(possible) < len(scales):
        left_out = [scale for scale in scales if scale not in network.scales]
        log.warning("Not scored at %s, which this %s cannot do", left_out, cfg.test.method)
        cfg.test.scales = possible
    elif scales and not possible:
        raise ConfigError(
            f"`test.scales` must hold a factor that this {cfg.test.method} can do, {list(network.scales)}, got "
            f"{list(scales)}; choose one of them."
        )


def module_class(cfg: DictConfig) -> type[LitSuperResolution]:
    """Return the class of the LightningModule that a configuration names.

    Raises:
        ConfigError: If it is none of ours, nor made from one.
    """
    kind = get_class(cfg.model._target_)
    if not issubclass(kind, LitSuperResolution):
        raise ConfigError(
            "`model._target_` must be a subclass of prosr_lightning.lit.base.LitSuperResolution, got "
            f"{cfg.model._target_}; see docs/extending.md."
        )
    return kind


def trusted(cfg: DictConfig) -> list[str]:
    """Return the networks that files may ask for in a run: what the configuration builds, and what the user named."""
    named = cfg.trusted_networks
    return [cfg.model.generator._target_, *([named] if isinstance(named, str) else named)]


def _require_own_depth(network: SRNetwork) -> None:
    """Refuse `depth=` for a method that does not read it: a sweep would train the same network again and again."""
    words = HydraConfig.get().overrides.task if HydraConfig.initialized() else []
    if not isinstance(network, ProgressiveNetwork) and any(word.startswith("depth=") for word in words):
        raise ConfigError(
            f"`depth` belongs to method=prosrn, got it with {network.title}; leave it out, or "
            "see conf/method for the settings of this one."
        )


def check(cfg: DictConfig) -> None:
    """Refuse before the training what would fail after it.

    Raises:
        ConfigError: If the seed, or a key that is only read at the end, has a value that is not allowed.
    """
    if isinstance(cfg.seed, bool) or not isinstance(cfg.seed, int) or not 0 <= cfg.seed < 2**32:
        raise ConfigError(f"`seed` must be a whole number from 0 to 2^32 - 1, got {cfg.seed!r}; choose one.")
    _require_all_processes(cfg)
    if str(cfg.trainer.precision) not in _PRECISIONS:
        raise ConfigError(
            f"`trainer.precision` must be one of {', '.join(_PRECISIONS)}, got {cfg.trainer.precision}; the weights "
            "stay in float32."
        )
    if isinstance(cfg.trainer.max_time, (int, float)):
        raise ConfigError(
            f"`trainer.max_time` must be days, hours, minutes and seconds, such as 00:00:10:00, got "
            f"{cfg.trainer.max_time}; ten minutes are trainer.max_time=00:00:10:00."
        )
    if cfg.val_scales is not None:
        _require_different("val_scales", list(cfg.val_scales))
    if cfg.test.benchmarks is None:
        return
    get_protocol(cfg.test.protocol)
    scales = list(cfg.test.scales or [])
    if not scales:
        raise ConfigError("`test.scales` must name at least one factor, got none; choose [2, 4, 8].")
    for scale in scales:
        levels_up_to(scale)
    _require_different("test.scales", scales)
    method = cfg.test.method
    if not isinstance(method, str) or Path(method).name != method or method.lower() == "bicubic":
        raise ConfigError(f"`test.method` must be a plain name other than bicubic, got {method!r}; choose e.g. ProSRN.")
    for measure in cfg.test.perceptual:
        find_measure(measure)
        require_measure(measure)


def _require_all_processes(cfg: DictConfig) -> None:
    """Refuse processes that would train on their own, side by side in one folder."""
    started, devices, nodes = started_processes(), cfg.trainer.devices, cfg.trainer.get("num_nodes", 1)
    count = len(devices) if OmegaConf.is_list(devices) else int(devices) if str(devices).isdecimal() else None
    if started > 1 and count is not None and count * nodes != started:
        raise ConfigError(
            f"`trainer.devices` times `trainer.num_nodes` must be the number of processes that were started, "
            f"{started}, got {count} times {nodes}; with trainer=ddp, set trainer.devices to those of one node, and "
            "trainer.num_nodes."
        )


def say_recipe(cfg: DictConfig) -> None:
    """Warn of a method that its authors' recipe would train under this budget, if `conf/recipe` had one."""
    if not HydraConfig.initialized() or not GlobalHydra.instance().is_initialized():
        return
    choices = HydraConfig.get().runtime.choices
    budget, method = choices.get("budget"), choices.get("method")
    recipes = GlobalHydra.instance().config_loader().get_group_options("recipe")
    of_budget = [name.removeprefix(f"{budget}_") for name in recipes if name.startswith(f"{budget}_")]
    if method == "prosrn" or method in of_budget or not of_budget:
        return
    loss = (cfg.model.get("content") or {}).get("_target_", "the Charbonnier loss of Eq. 1")
    schedule = "no schedule" if cfg.scheduler is None else cfg.scheduler._target_
    log.warning(
        "No recipe for method=%s with budget=%s, so it trains as ProSRN does: %s, %s at %g, %s, crops of %s in batches "
        "of %d. A file recipe/%s_%s.yaml would be taken instead; conf/recipe has %s.",
        method,
        budget,
        loss,
        cfg.optimizer._target_,
        cfg.optimizer.get("lr", float("nan")),
        schedule,
        cfg.data.crop,
        cfg.data.batch_size,
        budget,
        method,
        ", ".join(of_budget),
    )


def _require_different(key: str, scales: Sequence[int]) -> None:
    if len(set(scales)) < len(scales):
        raise ConfigError(f"`{key}` must hold different factors, got {list(scales)}; name each once.")


def require_optimizer(cfg: DictConfig) -> None:
    """Build the optimizer for a single number, so that its wrong settings are known before any data is read.

    Raises:
        ConfigError: If it does not take its settings.
    """
    factory = instantiate(cfg.optimizer, _convert_="all")
    try:
        optimizer = factory([torch.nn.Parameter(torch.zeros(1))])
    except (TypeError, ValueError, RuntimeError) as error:
        raise ConfigError(
            f"`optimizer` must have settings that {cfg.optimizer._target_} takes, got: {error}; compare with "
            "conf/train.yaml."
        ) from error
    closure = inspect.signature(type(optimizer).step).parameters.get("closure")
    if closure is not None and closure.default is inspect.Parameter.empty:
        raise ConfigError(
            f"`optimizer` must step once a batch, got {cfg.optimizer._target_}, which evaluates the loss several times "
            "in one step; choose another, such as torch.optim.Adam."
        )
