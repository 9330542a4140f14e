"""The page as a server, called as a browser calls it; skipped without the extra `web`."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import numpy as np
import pytest
import torch
from PIL import Image

from prosr_lightning.networks import Generator
from prosr_lightning.networks.weights import save_network

gradio_client = pytest.importorskip("gradio_client")
pytest.importorskip("gradio")

START = 90  # seconds; gradio takes some 10 to import on a busy machine


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Yield the address of a server with a tiny network; when it ends, no picture may be left behind."""
    folder = tmp_path_factory.mktemp("server")
    torch.manual_seed(0)
    save_network(folder / "tiny.safetensors", Generator(depth=1, channels=4))
    (folder / "temporary").mkdir()
    port = free_port()
    command = ["-m", "prosr_lightning.web", "--port", str(port), "--model", "tiny.safetensors"]
    environment = {**os.environ, "TMPDIR": str(folder / "temporary"), "OMP_NUM_THREADS": "1"}
    with (folder / "log").open("w") as log:
        process = subprocess.Popen([sys.executable, *command], cwd=folder, env=environment, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + START
        while f"Open http://127.0.0.1:{port}/" not in (folder / "log").read_text():
            assert process.poll() is None, (folder / "log").read_text()
            assert time.monotonic() < deadline, (folder / "log").read_text()
            time.sleep(0.2)
        yield f"http://127.0.0.1:{port}/"
    finally:
        process.terminate()
        code = process.wait(timeout=30)
    assert code == 0, (folder / "log").read_text()
    assert "ImageError" not in (folder / "log").read_text()  # what a user did wrong is no traceback
    assert not list((folder / "temporary").glob("prosr-web-*"))


@pytest.fixture
def client(server: str, tmp_path: Path):
    client = gradio_client.Client(server, verbose=False, download_files=str(tmp_path), analytics_enabled=False)
    yield client
    client.close()


def test_a_picture_is_enlarged_and_can_be_downloaded(client, tmp_path: Path) -> None:
    source = tmp_path / "photo.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)).save(source)
    [before, after], download, facts = client.predict(
        gradio_client.handle_file(str(source)), 2, "tiny.safetensors", api_name="/enlarge"
    )
    assert re.match(r"\*\*30x20\*\* → \*\*60x40\*\* pixels \(2x\) in [\d.]+ s on \w+, tiny.safetensors$", facts)
    named = Path(download["value"] if isinstance(download, dict) else download)
    assert named.name == "photo_x2.png"
    for path in (before, after, named):
        with Image.open(path) as image:
            assert image.size == (60, 40)
            assert image.format == "PNG"


def test_what_is_wrong_is_said(client, tmp_path: Path) -> None:
    (tmp_path / "notes.png").write_text("not a picture")
    with pytest.raises(gradio_client.exceptions.AppError, match="^notes.png must be an image, got a file that is none"):
        client.predict(
            gradio_client.handle_file(str(tmp_path / "notes.png")), 2, "tiny.safetensors", api_name="/enlarge"
        )
    with pytest.raises(gradio_client.exceptions.AppError, match="There must be a picture"):
        client.predict(None, 2, "tiny.safetensors", api_name="/enlarge")


def test_only_what_is_offered_can_be_loaded(client, tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "small.png")
    with pytest.raises(gradio_client.exceptions.AppError, match="not in the list of choices"):
        client.predict(
            gradio_client.handle_file(str(tmp_path / "small.png")), 2, "../other.safetensors", api_name="/enlarge"
        )


def test_the_page_asks_nobody_else(server: str) -> None:
    with urlopen(server) as answer:  # noqa: S310  # our own server
        page = answer.read().decode()
    loaded = re.findall(r"""<(?:script|link|img)\b[^>]*\b(?:src|href)=["'](?:https?:)?//([^/"']+)""", page)
    assert {host for host in loaded if host != server.split("/")[2]} == set()
    assert '"analytics_enabled":false' in page.replace(" ", "")
    assert "googleapis" not in page


def test_a_port_that_cannot_be_had_is_one_line(server: str, run_module, tmp_path: Path) -> None:
    save_network(tmp_path / "tiny.safetensors", Generator(depth=1, channels=4))
    taken = server.rstrip("/").rpartition(":")[2]
    finished = run_module("web", "--model", "tiny.safetensors", "--port", taken, check=False)
    assert finished.returncode == 1
    assert finished.stderr.splitlines() == [
        f"error: `--host` and `--port` must be free on this machine, got 127.0.0.1:{taken}; choose another port."
    ]
