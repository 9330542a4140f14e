"""A page to try it on: `python -m prosr_lightning.web` serves one, to drop a picture on and slide over the result.

The page stays on this machine: no telemetry, no public link, nothing fetched from elsewhere. It needs the extra `web`.
"""

from __future__ import annotations

import argparse
import html
import logging
import os
import re
import signal
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from prosr_lightning import AUTO_MODEL, DEFAULT_MODEL
from prosr_lightning.console import add_trust, answer, run_reporting
from prosr_lightning.errors import CheckpointError, ConfigError, ImageError, MissingDependencyError, ProSRError
from prosr_lightning.imaging.resize import bicubic_upscale
from prosr_lightning.networks.weights import load_network
from prosr_lightning.pictures.picture import in_8_bits
from prosr_lightning.pictures.reading import read_head, read_picture, read_size
from prosr_lightning.pictures.writing import write_picture
from prosr_lightning.released import released_names
from prosr_lightning.upscale.choosing import choose_model
from prosr_lightning.upscale.memory import kind_of
from prosr_lightning.upscale.sizes import LARGEST_SCALE, Enlarged
from prosr_lightning.upscale.upscaler import Upscaler

log = logging.getLogger(__name__)

SMALLEST_SCALE = 1.5  # on the page; the command takes any above 1
MOST_MEGAPIXELS = 64  # as much as browsers show without trouble; the command line has no limit
_SHOWN = (".png", ".jpg", ".jpeg", ".jfif", ".webp", ".gif", ".avif", ".bmp", ".apng")  # what browsers show
_PREVIEW = ".preview.png"
_A_DAY = 86400  # seconds; then uploads and results are removed from a server that runs on

OnProgress = Callable[[float], None]
_Enlarge = Callable[..., Iterator[tuple[Any, ...]]]


@dataclass(frozen=True)
class BeforeAndAfter:
    """What the page shows.

    Attributes:
        bicubic: PNG file, of the same size as `enlarged`.
        enlarged: PNG file, named after the picture.
        facts: One line of Markdown: the sizes, the scale and the seconds.
    """

    bicubic: Path
    enlarged: Path
    facts: str


class _Bicubic:
    """Follows `Engine`, so that transparency, depth and profile are kept as the network's result keeps them."""

    device, arrays = "cpu", torch

    def enlarge(self, window: Tensor, factor: int, *, exact: bool) -> Tensor:
        return bicubic_upscale(window, factor)

    def streamed(self, factor: int, *, count: int, width: int) -> None:
        return None

    def passes(self, scale: int) -> list[tuple[int, int]]:
        return [(scale, 4)]  # twice the reach of the kernel, in pixels

    def bytes_per_pixel(self, factor: int) -> int:
        return 16 * factor**2  # input and result in float32, and room to spare


def compare(
    source: Path, scale: float, upscaler: Upscaler, folder: Path, *, on_progress: OnProgress | None = None
) -> BeforeAndAfter:
    """Enlarge a picture by the network and by bicubic.

    Args:
        source: The picture.
        scale: Above 1, at most 16.
        upscaler: Holds the network.
        folder: Where the two PNG files go.
        on_progress: Called with the share of the network's work done, 0 to 1.

    Raises:
        ConfigError: If `scale` is out of reach.
        ImageError: If the file is no picture, or the result would have more than 64 megapixels.
    """
    width, height = read_size(source)
    size = _checked_size(width, height, scale)
    picture = read_picture(source)
    start = time.perf_counter()
    enlarged = upscaler.enlarge(picture, scale, on_progress=on_progress)[-1]
    seconds = time.perf_counter() - start
    result = BeforeAndAfter(
        bicubic=folder / f"{source.stem}_bicubic_x{scale:g}.png",
        enlarged=folder / f"{source.stem}_x{scale:g}.png",
        facts=f"**{width}x{height}** → **{size[0]}x{size[1]}** pixels ({scale:g}x) "
        f"in {seconds:.1f} s on {kind_of(upscaler.engine.device)}",
    )
    write_picture(result.enlarged, enlarged)
    write_picture(result.bicubic, Upscaler(_Bicubic()).enlarge(picture, scale)[-1])
    return result


def _checked_size(width: int, height: int, scale: float) -> tuple[int, int]:
    """Return width and height of the result, as the command makes it."""
    size = Enlarged(scale=scale).of(width, height)
    megapixels = size[0] * size[1] / 1e6
    if megapixels <= MOST_MEGAPIXELS:
        return size
    fitting = int(10 * (MOST_MEGAPIXELS * 1e6 / (width * height)) ** 0.5) / 10
    remedy = f"choose scale {fitting:g}" if fitting >= SMALLEST_SCALE else "choose a smaller picture"
    raise ImageError(
        f"The result must have at most {MOST_MEGAPIXELS} megapixels on this page, got {megapixels:.1f} "
        f"({size[0]}x{size[1]}); {remedy}, or use prosr-upscale, which has no limit."
    )


def choices(model: str | None = None) -> dict[str, str]:
    """Return what the page offers: what to call each network, and where to load it from; the first is preselected.

    Args:
        model: Released name or weights file, offered first; without one, "auto" is, as in prosr-upscale.

    Raises:
        CheckpointError: If there is nothing to offer.
    """
    names = sorted(released_names(), key=lambda name: name != DEFAULT_MODEL)
    offered = {AUTO_MODEL: AUTO_MODEL} if model is None and names else {}
    if model is not None:
        offered[Path(model).name] = model
    offered.update({name: name for name in names if name not in offered})
    if not offered:
        raise CheckpointError("This installation must have released weights, found none; name a file with --model.")
    return offered


def build_page(models: Mapping[str, str], load: Callable[[str], Upscaler] = Upscaler.from_pretrained) -> Any:  # noqa: ANN401  # gradio is optional
    """Return the page, a `gradio.Blocks`; its files go to the folder that GRADIO_TEMP_DIR names.

    Raises:
        MissingDependencyError: If gradio is not installed.
    """
    gr = _gradio()
    with gr.Blocks(title="ProSR", analytics_enabled=False, delete_cache=(_A_DAY, _A_DAY)) as page:
        gr.Markdown("# ProSR\nDrop a picture, choose how much larger it shall be, compare with bicubic.")
        with gr.Row():
            with gr.Column(scale=1, min_width=300):
                picture = gr.Image(type="filepath", image_mode=None, sources=["upload", "clipboard"], label="Picture")
                # gradio would open the file; read_picture reads more formats and has clearer messages
                picture.preprocess = lambda payload: payload.path if payload else None
                original = gr.State()  # of a picture that browsers cannot show, of which a preview is on show
                picture.upload(_preview, picture, [picture, original])
                scale = gr.Slider(SMALLEST_SCALE, LARGEST_SCALE, value=4, step=0.1, label="Scale")
                model = gr.Dropdown([(_label(name), name) for name in models], value=next(iter(models)), label="Model")
                button = gr.Button("Enlarge", variant="primary")
            with gr.Column(scale=2, min_width=300):
                slider = gr.ImageSlider(
                    label="Bicubic | network", interactive=False, buttons=["fullscreen"], max_height=520
                )
                facts = gr.Markdown()
                download = gr.DownloadButton("Download PNG", interactive=False)
        button.click(
            _handler(gr, models, load), [picture, scale, model, original], [slider, download, facts], api_name="enlarge"
        )
    return page


def _label(name: str) -> str:
    return f"{name} (experimental)" if name in released_names() and load_network(name).adversarial else name


def _handler(gr: Any, models: Mapping[str, str], load: Callable[[str], Upscaler]) -> _Enlarge:  # noqa: ANN401
    """Return what the button does."""
    kept = lru_cache(maxsize=2)(load)
    bar = gr.Progress()

    def enlarge(
        source: str | None,
        scale: float,
        model: str,
        original: str | None = None,
        progress: Any = bar,  # noqa: ANN401  # gradio is optional
    ) -> Iterator[tuple[Any, ...]]:
        if source is not None and original is not None and source.endswith(_PREVIEW):
            source = original
        yield None, gr.DownloadButton(value=None, interactive=False), ""  # what failed shows no earlier result
        try:
            if source is None:
                raise ImageError("There must be a picture to enlarge, found none; drop one on the left.")
            with _warning(gr), tempfile.TemporaryDirectory() as folder:  # until gradio has copied the files
                choice = choose_model(Path(source), read_head(Path(source)), models[model])
                if choice.caution:
                    log.warning("%s", choice.caution)
                result = compare(Path(source), scale, kept(choice.model), Path(folder), on_progress=progress)
                files = str(result.bicubic), str(result.enlarged)
                network = choice.model if model == AUTO_MODEL else model
                facts = ", ".join(filter(None, (result.facts, network, choice.reason)))
                yield files, gr.DownloadButton(value=files[1], interactive=True), facts
        except ProSRError as error:
            raise gr.Error(
                html.escape(_without_folders(str(error)), quote=False), duration=None, print_exception=False
            ) from error

    return enlarge


def _preview(source: str) -> tuple[str, str]:
    """Return a picture that browsers can show, and the one that was uploaded."""
    if Path(source).suffix.lower() in _SHOWN:
        return source, source
    try:
        picture = read_picture(source)
    except ProSRError:
        return source, source  # it is told when it is to be enlarged
    preview = Path(source).with_suffix(_PREVIEW)
    write_picture(preview, in_8_bits(picture))
    return str(preview), source


@contextmanager
def _warning(gr: Any) -> Iterator[None]:  # noqa: ANN401  # gradio is optional
    """Show on the page what is said of a picture."""
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: gr.Warning(html.escape(_without_folders(record.getMessage())))  # type: ignore[method-assign]
    logger = logging.getLogger("prosr_lightning")
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)


def _without_folders(text: str) -> str:
    """Leave out the folders of paths on the server."""
    return re.sub(r"(?:/[^/\s]+)+/", "", text)


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve the page until interrupted and return the exit code."""
    options = _parser().parse_args(arguments)

    def command() -> None:
        models = choices(options.model)
        load = partial(Upscaler.from_pretrained, trust=options.trust)
        first = next(iter(models.values()))
        load(DEFAULT_MODEL if first == AUTO_MODEL else first)  # a wrong name or file is told now, not in the browser
        with tempfile.TemporaryDirectory(prefix="prosr-web-") as folder, suppress(KeyboardInterrupt):
            os.environ["GRADIO_TEMP_DIR"] = folder  # uploads and results are removed when the server ends
            _serve(build_page(models, load), host=options.host, port=options.port)

    return run_reporting(command)


def _serve(page: Any, *, host: str, port: int) -> None:  # noqa: ANN401  # gradio is optional
    gr = _gradio()
    try:
        page.launch(
            server_name=host,
            server_port=port,
            share=False,
            quiet=True,
            prevent_thread_lock=True,
            show_error=True,  # says what is wrong; without it the page says "Error"
            ssr_mode=False,  # needs Node
            footer_links=[],
            max_file_size="100mb",
            theme=gr.themes.Default(
                font=["system-ui", "sans-serif"], font_mono="monospace"
            ),  # its own come from Google
        )
    except (OSError, ValueError, OverflowError) as error:  # in use, unknown, above 65535
        raise ConfigError(
            f"`--host` and `--port` must be free on this machine, got {host}:{port}; choose another port."
        ) from error
    answer(f"Open {page.local_url} in a browser; Ctrl-C ends the server.")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # the pictures are removed then too
    page.block_thread()


def _gradio() -> Any:  # noqa: ANN401  # a module that may be absent
    silent = {"GRADIO_ANALYTICS_ENABLED": "False", "GRADIO_RUN_HISTORY": "False", "HF_HUB_DISABLE_TELEMETRY": "1"}
    os.environ.update(silent)  # read when gradio is imported
    try:
        import gradio  # type: ignore[import-not-found,import-untyped,unused-ignore]  # noqa: PLC0415  # an extra
    except ImportError as error:
        raise MissingDependencyError(
            f"The web page needs gradio, which is not there ({error}); run `pip install prosr-lightning[web]`."
        ) from error
    return gradio


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="prosr-web", description="Serve a page to enlarge pictures on.")
    add = parser.add_argument
    add("--host", default="127.0.0.1", help="address to listen on; default: this machine only")
    add("--port", type=int, default=7860, help="default: 7860")
    add("--model", metavar="NAME", help="released weights or a file, offered first; default: auto")
    add_trust(parser)
    return parser
