"""One evaluation, from its options to the table.

Logged names, where a logger is chosen: `test/<set>/x<scale>/psnr`, `test/<set>/x<scale>/ssim`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from hydra.utils import instantiate
from lightning.pytorch.loggers import Logger
from omegaconf import DictConfig, OmegaConf

from prosr_lightning.console import answer, progress_bar
from prosr_lightning.data.benchmarks import find_benchmarks
from prosr_lightning.errors import ConfigError
from prosr_lightning.evaluate.methods import Peer
from prosr_lightning.evaluate.peers import peer_name
from prosr_lightning.evaluate.running import evaluate_folder, evaluate_network, evaluate_peer
from prosr_lightning.imaging.degradation import BICUBIC, Bicubic, Degradation
from prosr_lightning.metrics.protocol import get_protocol
from prosr_lightning.networks import SRNetwork, count_parameters, multiply_adds_by_scale
from prosr_lightning.networks.weights import load_network
from prosr_lightning.released import released_names
from prosr_lightning.runs.scores import RunInfo, SummaryRow, summarise, write_results
from prosr_lightning.tables import Table, terminal
from prosr_lightning.upscale.chain import require_tile
from prosr_lightning.upscale.engines import choose_device


@dataclass(frozen=True, kw_only=True)
class EvaluateOptions:
    """What `conf/evaluate.yaml` says, key by key; the comments are there."""

    data_dir: Path
    output_dir: Path
    method: str | None = None
    ckpt_path: str | None = None
    trusted_networks: str | Sequence[str] = ()
    sr_dir: str | None = None
    benchmarks: str | Sequence[str] = "all"
    scales: int | Sequence[int] = (2, 4, 8)
    protocol: str = "paper"
    rounding: str | None = None
    ssim: str | None = None
    perceptual: Sequence[str] = ()
    lr_dir: str | None = None
    self_ensemble: bool = False
    bf16: bool = False
    chroma: str = "bicubic"
    save_images: bool = False
    device: str = "auto"
    tile: int | str = "auto"
    degradation: Degradation = field(default_factory=Bicubic)
    peer: Peer | None = None


def run(options: EvaluateOptions) -> tuple[list[SummaryRow], RunInfo]:
    """Score what the options name and write the results to `options.output_dir`.

    Returns:
        The means, and what the run was.

    Raises:
        ConfigError: If the options contradict each other or are not allowed.
        DataError: If a set or an image is missing or cannot be scored.
        CheckpointError: If the weights cannot be loaded.
    """
    _check_source(options)
    require_tile(options.tile)
    protocol = get_protocol(options.protocol, rounding=options.rounding, ssim=options.ssim)
    benchmarks = find_benchmarks(options.benchmarks, options.data_dir, lr_dir=options.lr_dir)
    scales = [options.scales] if isinstance(options.scales, int) else list(options.scales)
    device = str(choose_device(options.device))
    network, source, parameters, name = _load(options, device)
    info = RunInfo(
        method=options.method or name,
        protocol=protocol,
        source=source,
        parameters=parameters,
        multiply_adds={} if network is None else multiply_adds_by_scale(network, scales),
        self_ensemble=options.self_ensemble,
        bf16=options.bf16,
        chroma=options.chroma,
        lr_dir=options.lr_dir,
        degradation=options.degradation.name,
        device=device if network is not None else "cpu",
    )
    with progress_bar(f"Scoring {info.method}") as advance:
        save_dir = options.output_dir / "images" if options.save_images else None
        settings: dict[str, Any] = {"progress": advance, "measures": options.perceptual}
        if options.sr_dir is not None:
            scores = evaluate_folder(options.sr_dir, benchmarks, scales, protocol, **settings)
        elif options.peer is not None:
            settings |= {"degradation": options.degradation, "save_dir": save_dir}
            scores = evaluate_peer(options.peer, benchmarks, scales, protocol, **settings)
        else:
            for key in ("self_ensemble", "bf16", "tile", "chroma", "degradation"):
                settings[key] = getattr(options, key)
            scores = evaluate_network(
                network, benchmarks, scales, protocol, device=info.device, save_dir=save_dir, **settings
            )
    write_results(options.output_dir, scores, info)
    return summarise(scores), info


def results_table(rows: Sequence[SummaryRow], info: RunInfo) -> Table:
    """Lay the means out, with the protocol in the caption."""
    extra = list(rows[0].perceptual) if rows else []
    lines = [
        (
            row.dataset,
            f"{row.scale}x",
            f"{row.psnr_db:.2f}",
            f"{row.ssim:.4f}",
            *(f"{row.perceptual[key]:.4f}" for key in extra),
            str(row.num_images),
            "" if row.seconds != row.seconds else f"{row.seconds:.2f}",  # not a number for finished pictures
        )
        for row in rows
    ]
    titles = ("Set", "Scale", "PSNR (dB)", "SSIM", *extra, "Images", "s / image")
    return Table.of_text(titles, lines, caption=info.caption)


def _check_source(options: EvaluateOptions) -> None:
    """Exactly one of bicubic, weights, another program and a folder of results must be named."""
    named = [f"ckpt_path={options.ckpt_path}"] if options.ckpt_path is not None else []
    named += [f"sr_dir={options.sr_dir}"] if options.sr_dir is not None else []
    named += ["peer"] if options.peer is not None else []
    named += ["method=bicubic"] if options.method == "bicubic" else []
    if not named and options.method is not None:
        raise ConfigError(
            f"method={options.method} is only a name for what is scored; add ckpt_path=..., peer=... or sr_dir=..., or "
            f"choose method=bicubic. Released weights: {', '.join(released_names()) or 'none in this installation'}."
        )
    if len(named) != 1:
        raise ConfigError(
            "One of method=bicubic, ckpt_path=..., peer=... and sr_dir=... must be given, got "
            f"{' and '.join(named) or 'none'}; released weights: "
            f"{', '.join(released_names()) or 'none in this installation'}."
        )
    if options.lr_dir is not None and options.degradation.name != BICUBIC:
        raise ConfigError(
            f"`degradation` has no meaning for LR images that are given, got {options.degradation.name} and lr_dir="
            f"{options.lr_dir}; leave one of them out."
        )
    for key in ("self_ensemble", "bf16"):
        if options.peer is not None and getattr(options, key):
            raise ConfigError(f"`{key}` has no meaning for another program, got {getattr(options, key)}; leave it out.")
    for key in ("self_ensemble", "bf16", "save_images", "lr_dir"):
        if options.sr_dir is not None and getattr(options, key):
            raise ConfigError(
                f"`{key}` has no meaning for finished pictures, got {getattr(options, key)}; leave it out."
            )


def _load(options: EvaluateOptions, device: str) -> tuple[SRNetwork | None, str | None, int | None, str]:
    """Return the network, where it or the results come from, its number of learned values, and a name."""
    if options.sr_dir is not None:
        return None, options.sr_dir, None, Path(options.sr_dir).name
    if options.peer is not None:
        return None, None, None, peer_name(options.peer)
    if options.ckpt_path is None:
        return None, None, 0, "bicubic"
    trust = options.trusted_networks
    loaded = load_network(options.ckpt_path, device=device, trust=[trust] if isinstance(trust, str) else trust)
    network = loaded.network
    path = Path(options.ckpt_path)
    name = path.stem
    if path.suffix == ".ckpt":  # named after its training, which may be a ProSRGAN's
        name = loaded.metadata.get("config", {}).get("test", {}).get("method") or network.title
    return network, options.ckpt_path, count_parameters(network), name


def _log(logger: Logger, rows: Sequence[SummaryRow], info: RunInfo) -> None:
    values = {f"test/{row.dataset}/x{row.scale}/psnr": row.psnr_db for row in rows}
    values |= {f"test/{row.dataset}/x{row.scale}/ssim": row.ssim for row in rows}
    logger.log_hyperparams({"method": info.method, "protocol": info.protocol.name, "source": info.source})
    logger.log_metrics(values)
    logger.save()
    logger.finalize("success")


def evaluate(cfg: DictConfig) -> None:
    """Score what a configuration names, print the table and log it.

    Args:
        cfg: The composed and validated `conf/evaluate.yaml`.

    Raises:
        ConfigError: If no set or no scale is named, and as `run`.
        DataError: As `run`.
        CheckpointError: As `run`.
    """
    settings = cast("dict[str, object]", OmegaConf.to_container(cfg, resolve=True))
    for key in ("paths", "logger", "task_name", "degradation", "peer"):
        settings.pop(key, None)
    for key, example in (("benchmarks", "[Set5]"), ("scales", "[2,4,8]")):
        if not settings[key]:
            raise ConfigError(f"`{key}` must name at least one, got {settings[key]!r}; choose e.g. {key}={example}.")
    options = EvaluateOptions(
        data_dir=Path(cfg.paths.data_dir),
        output_dir=Path(cfg.paths.output_dir),
        degradation=instantiate(cfg.degradation, _convert_="all"),
        peer=None if cfg.get("peer") is None else instantiate(cfg.peer, _convert_="all"),
        **settings,  # type: ignore[arg-type]  # a test compares the keys of conf/evaluate.yaml with the fields
    )
    rows, info = run(options)
    answer(terminal(results_table(rows, info)))
    answer(f"Run folder: {options.output_dir}")
    for node in (cfg.logger or {}).values():
        if node is not None:
            _log(instantiate(node, _convert_="all"), rows, info)
