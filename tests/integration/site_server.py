"""The built site, served, and a browser that looks at it."""

from __future__ import annotations

import http.server
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from documents import REPOSITORY

SITE = REPOSITORY / "site"
_MADE = (
    "docs/demo/ort/ort.wasm.min.mjs",
    "docs/demo/model/prosrn_light_step_x2.json",
    "docs/notebooks/1_quickstart.md",
)
_WEIGHTS = REPOSITORY / "src" / "prosr_lightning" / "released" / "prosrn_light.safetensors"
# of a computer without graphics, WebGPU all the same
WEBGPU = ("--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader", "--enable-features=Vulkan")


class _Handler(http.server.SimpleHTTPRequestHandler):
    extensions_map = http.server.SimpleHTTPRequestHandler.extensions_map | {".mjs": "text/javascript"}

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def build_site() -> None:
    """Build it with warnings as errors; skips where `make site` has never run."""
    missing = [name for name in _MADE if not (REPOSITORY / name).is_file()]
    if not missing and (REPOSITORY / _MADE[1]).stat().st_mtime < _WEIGHTS.stat().st_mtime:
        missing = [f"{_MADE[1]} of the present weights"]
    zensical = shutil.which("zensical", path=str(Path(sys.executable).parent)) or shutil.which("zensical")
    if missing or zensical is None:
        pytest.skip(f"run `make site` first: {', '.join(missing) or 'zensical'} is not there")
    command = [zensical, "build", "--strict", "--clean"]
    built = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stdout + built.stderr


@contextmanager
def served() -> Iterator[tuple[str, http.server.ThreadingHTTPServer]]:
    """Serve the site; yields its address, and the server to stop."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, directory=str(SITE)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/", server
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def browsers() -> Iterator[Callable[..., Any]]:
    """Yield what starts a headless Chromium of the system with arguments of its own; skips without one."""
    playwright = pytest.importorskip("playwright.sync_api")
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if path is None:
        pytest.skip("there is no Chromium")
    with playwright.sync_playwright() as started:
        yield lambda *arguments: started.chromium.launch(executable_path=path, args=["--no-sandbox", *arguments])
