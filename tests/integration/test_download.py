"""The command `python -m prosr_lightning.download`, against a server on this machine."""

from __future__ import annotations

import functools
import io
import os
import signal
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from PIL import Image

from prosr_lightning.download import main, transfer

SOURCES = Path(transfer.__file__).resolve().parents[2]


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None: ...


class _Dripping(BaseHTTPRequestHandler):
    """Sends a first piece of 1 MB and then leaves the client waiting."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "1000000")
        self.send_header("ETag", '"drip"')
        self.end_headers()
        self.wfile.write(bytes(200_000))
        self.wfile.flush()
        time.sleep(60)

    def log_message(self, *_: object) -> None: ...


def _serve(handler: object) -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        server.block_on_close = False
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
def site(tmp_path: Path) -> Path:
    folder = tmp_path / "site"
    folder.mkdir()
    return folder


@pytest.fixture
def address(site: Path) -> Iterator[str]:
    yield from _serve(functools.partial(_Quiet, directory=str(site)))


@pytest.fixture
def dripping() -> Iterator[str]:
    yield from _serve(_Dripping)


def put_zip(path: Path, *names: str) -> None:
    stream = io.BytesIO()
    Image.new("RGB", (4, 4)).save(stream, "png")
    with zipfile.ZipFile(path, "w") as file:
        for name in names:
            file.writestr(name, stream.getvalue())


def run(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "prosr_lightning.download", *arguments]
    environment = os.environ | {"PYTHONPATH": str(SOURCES)}
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=60, check=False)


def test_the_command_from_another_directory(site: Path, address: str, tmp_path: Path) -> None:
    put_zip(site / "set5.zip", *[f"Set5/{number}.png" for number in range(5)])
    done = run("set5", "--url", f"{address}/set5.zip", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "data" / "Set5").iterdir())) == 5
    assert done.stderr == ""
    assert "Terms: Set5" in done.stdout
    assert "No checksum is published: recorded that of Set5/set5.zip" in done.stdout
    assert "set5.zip: 0.0 of 0.0 MB" in done.stdout  # a plain line, no bar and no escape codes
    assert "\x1b" not in done.stdout


def test_div2k_in_its_layout(site: Path, address: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put_zip(site / "DIV2K_train_HR.zip", *[f"DIV2K_train_HR/{number:04d}.png" for number in range(1, 801)])
    put_zip(site / "DIV2K_valid_HR.zip", *[f"DIV2K_valid_HR/{number:04d}.png" for number in range(801, 901)])
    urls = [f"--url={address}/DIV2K_{split}_HR.zip" for split in ("train", "valid")]
    assert main(["div2k", "--root", str(tmp_path / "data"), *urls]) == 0
    assert len(list((tmp_path / "data" / "DIV2K" / "DIV2K_train_HR").glob("0*.png"))) == 800
    assert (tmp_path / "data" / "DIV2K" / "DIV2K_valid_HR" / "0900.png").is_file()
    assert "does NOT have the checksum published for the official archive" in capsys.readouterr().out
    assert main(["div2k", "--root", str(tmp_path / "data")]) == 0  # needs no network
    assert capsys.readouterr().out.count("is complete") == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["set5", "--url", "{address}/gone.zip"], "{address}/gone.zip could not be fetched, the server answered 404"),
        (["set5", "--url", "{address}/four.zip"], "Set5 must hold 5 images, found 4 in {address}/four.zip"),
        (["set5", "--url", "{address}/evil.zip"], "is refused, it may harm this machine: the path '../evil.png'"),
        (["set5", "--url", "{address}/page.zip"], "must be a zip or tar archive, but begins with b'<html>'"),
        (["set5", "--url", "{address}/four.zip", "--url", "{address}/gone.zip"], "from any of 2 addresses"),
        (["set5", "--archive", "no.zip"], "--archive must be a zip or tar file, found none at no.zip"),
        (["set5", "set14", "--url", "{address}/four.zip"], "--url and --archive must come with one data set, got 2"),
        (["manga109"], "Manga109 has to be fetched by hand, follow the steps above"),
        (["set5", "--url", "{address}/four.zip", "--root", "{site}/four.zip"], "four.zip cannot be written"),
    ],
)
def test_errors_are_one_line_and_leave_nothing(
    *, arguments: list[str], said: str, site: Path, address: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    put_zip(site / "four.zip", *[f"{number}.png" for number in range(4)])
    put_zip(site / "evil.zip", *[f"{number}.png" for number in range(5)], "../evil.png")
    (site / "page.zip").write_text("<html>")
    root = tmp_path / "data"
    filled = [argument.format(address=address, site=site) for argument in arguments]
    assert main(["--root", str(root), *filled]) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert said.format(address=address) in error
    assert not root.exists() or list(root.iterdir()) == []
    assert not (tmp_path / "evil.png").exists()


@pytest.mark.parametrize("arguments", [[], ["set6"], ["set5", "--rot", "x"]])
def test_a_mistyped_command_line(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "usage:" in capsys.readouterr().err


def _listen_to_ctrl_c() -> None:
    """Undo what a shell does to commands that it starts in the background, as some CI runners do."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_ctrl_c_says_what_is_kept(dripping: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "prosr_lightning.download", "set5", "--url", f"{dripping}/set5.zip"]
    environment = os.environ | {"PYTHONPATH": str(SOURCES)}
    with subprocess.Popen(
        command,
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=_listen_to_ctrl_c,  # noqa: PLW1509  # it only resets a signal
    ) as process:
        deadline = time.monotonic() + 30
        while not [path for path in tmp_path.rglob("*.part") if path.stat().st_size]:
            assert time.monotonic() < deadline
            assert process.poll() is None
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=30)
    assert process.returncode == 130
    assert error.startswith("error: Interrupted. What has arrived is kept in data/.downloads/Set5/")
    assert "run the same command again to go on from there" in error
    assert [path.name for path in (tmp_path / "data").iterdir()] == [".downloads"]
