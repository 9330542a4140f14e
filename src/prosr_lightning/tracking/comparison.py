"""The pages that compare tracked runs: a workspace and a report, with the same panels."""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType
from typing import Any

from prosr_lightning.errors import ConfigError, MissingDependencyError
from prosr_lightning.tracking import AXIS

_SCALES = (2, 4, 8)
_GROUPS = {  # what curves are averaged over, by the key of the run's configuration
    "depth": "model.generator.depth",
    "structure": "model.generator.structure",
    "levels": "network.levels",
    "method": "network.name",
}
_TRAINING = ("loss", "g_loss", "d_loss", "gradient_norm", "samples_per_second")
_TEXT = {
    "Convergence": "Validation PSNR in dB over the updates of the generator, the mean of the runs that share a value, "
    "from the lowest to the highest of them.",
    "Size and accuracy": "Each point is a run: learned values, or processor time, against PSNR in dB.",
    "Pictures": "The first validation image: LR, bicubic, the network and the original, in luminance.",
    "Training": "Single runs: what is minimised, the gradient before clipping, and HR patches a second.",
}


def describe_pages(entity: str, project: str, *, name: str, test_set: str) -> dict[str, Any]:
    """Describe both pages as objects of `wandb-workspaces`, without network or account.

    Args:
        entity: User or team.
        project: Where the runs are.
        name: Of both pages.
        test_set: Whose scores the scatter plots and the table show.

    Returns:
        A page each under `workspace` and `report`.

    Raises:
        MissingDependencyError: If `wandb-workspaces` is not installed.
    """
    try:
        import wandb_workspaces.reports.v2 as reports  # noqa: PLC0415  # only where it is used
        from wandb_workspaces import workspaces  # noqa: PLC0415  # only where it is used
    except ImportError as error:
        raise MissingDependencyError(
            "The pages that compare runs need wandb-workspaces, which is not installed; "
            "pip install 'prosr-lightning[dashboard]'."
        ) from error
    place = {"entity": entity, "project": project}
    columns = _columns(test_set)
    sections = _panels(reports, test_set)
    workspace = workspaces.Workspace(
        **place,
        name=name,
        sections=[workspaces.Section(name=title, panels=panels, is_open=True) for title, panels in sections.items()],
        settings=workspaces.WorkspaceSettings(x_axis=AXIS, max_runs=100),
        runset_settings=workspaces.RunsetSettings(pinned_columns=columns),
        auto_generate_panels=False,
    )
    blocks = [reports.TableOfContents()]
    for title, panels in _panels(reports, test_set).items():  # anew: a report places them
        blocks += [reports.H2(title), reports.P(_TEXT[title]), _grid(reports, panels)]
    table = reports.Runset(name="Runs", pinned_columns=columns, visible_columns=columns, lock_columns=True)
    blocks += [
        reports.H2("Runs"),
        reports.P("Table of runs, below; its filter and its grouping hold for the panels of this section."),
        reports.PanelGrid(runsets=[table], panels=[reports.RunComparer(diff_only=True, layout=_place(reports, 0, 24))]),
    ]
    report = reports.Report(
        **place,
        title=name,
        description="Made by `python -m prosr_lightning.dashboard`.",
        blocks=blocks,
        width="fluid",
    )
    return {"workspace": workspace, "report": report}


def specification(pages: Mapping[str, Any]) -> dict[str, Any]:
    """Return what `create` would send for each page, as plain values."""
    return {
        kind: page._to_model().model_dump(mode="json", by_alias=True, exclude_none=True) for kind, page in pages.items()
    }


def create(pages: Mapping[str, Any]) -> dict[str, str]:
    """Create the pages.

    Returns:
        Their addresses, under `workspace` and `report`.

    Raises:
        ConfigError: If there is no account, no such project, or no answer.
    """
    import wandb  # noqa: PLC0415  # only where it is used

    workspace, report = pages["workspace"], pages["report"]
    entity, project = report.entity, report.project
    for block in report.blocks:
        for runset in getattr(block, "runsets", []):
            runset.entity, runset.project = entity, project  # which makes sure that there is such a project
    try:
        if not wandb.login(prompt=False):
            raise ConfigError(
                "Creating pages needs an account of Weights & Biases, got none; run `wandb login` first, or add "
                "--dry-run to see them."
            )
        return {"report": report.save().url, "workspace": workspace.save().url}
    except ConfigError:
        raise
    except (wandb.errors.Error, OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise ConfigError(
            f"{entity}/{project} must be a project that your account can write to, got: {reason}; train with "
            "logger=wandb first, and send offline runs with `wandb sync`."
        ) from error


def _panels(reports: ModuleType, test_set: str) -> dict[str, list[Any]]:
    """Return the panels of each section."""
    config, summary = reports.Config, reports.SummaryMetric
    curves = [
        reports.LinePlot(
            title=f"val/psnr by {word}",
            x=AXIS,
            y=["val/psnr"],
            title_x="updates",
            title_y="dB",
            groupby=config(key),
            groupby_aggfunc="mean",
            groupby_rangefunc="minmax",
            max_runs_to_show=100,
        )
        for word, key in _GROUPS.items()
    ]
    scores = {f"{test_set} {scale}x": summary(f"test/{test_set}/x{scale}/psnr") for scale in _SCALES}
    scores["best val/psnr"] = summary("val/best")
    scatters = [
        reports.ScatterPlot(title=f"Parameters and {word}", x=config("network.parameters"), y=score, log_x=True)
        for word, score in scores.items()
    ]
    scatters.append(
        reports.ScatterPlot(
            title="Processor time and best val/psnr", x=summary("cpu_seconds"), y=scores["best val/psnr"]
        )
    )
    pictures = [
        reports.MediaBrowser(title=f"Validation image, {scale}x", media_keys=[f"val/panel/x{scale}"], num_columns=4)
        for scale in _SCALES
    ]
    training = [reports.LinePlot(title=f"train/{key}", x=AXIS, y=[f"train/{key}"]) for key in _TRAINING]
    return dict(zip(_TEXT, (curves, scatters, pictures, training), strict=True))


def _grid(reports: ModuleType, panels: list[Any]) -> Any:  # noqa: ANN401  # an optional package's
    """Place panels two in a row; a report does not place them by itself."""
    for number, panel in enumerate(panels):
        panel.layout = _place(reports, number, 12)
    return reports.PanelGrid(runsets=[reports.Runset(name="Runs")], panels=panels)


def _place(reports: ModuleType, number: int, width: int) -> Any:  # noqa: ANN401  # an optional package's
    return reports.Layout(x=width * (number % 2) % 24, y=8 * (number // 2), w=width, h=8)  # of 24 columns


def _columns(test_set: str) -> list[str]:
    """Return the columns of the table of runs, as the two pages address them."""
    keys = (*_GROUPS.values(), "network.parameters", "seed")
    config = [f"config:{key.partition('.')[0]}.value{''.join(key.partition('.')[1:])}" for key in keys]
    scores = [f"summary:test/{test_set}/x{scale}/psnr" for scale in _SCALES]
    return ["run:displayName", *config, "summary:val/best", *scores, "summary:seconds"]
