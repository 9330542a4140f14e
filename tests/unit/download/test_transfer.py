from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from file_server import FileServer, serving

from prosr_lightning.download.transfer import Transfer, fetch
from prosr_lightning.errors import DownloadError, StorageError

BODY = bytes(range(256)) * 4000  # about 1 MB, several chunks
SUM = hashlib.sha256(BODY).hexdigest()


@pytest.fixture
def server() -> Iterator[FileServer]:
    with serving() as running:
        running.files["/set.zip"] = BODY
        yield running


class Told:
    """Collects what a transfer says, waits and shows."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.waited: list[float] = []
        self.shown: list[tuple[str, int, int | None, str]] = []
        self.transfer = Transfer(
            attempts=3, sleep=self.waited.append, say=self.said.append, progress=lambda *state: self.shown.append(state)
        )


@pytest.fixture
def told() -> Told:
    return Told()


def get(server: FileServer, folder: Path, told: Told, *, sha256: str | None = None) -> Path:
    target = folder / "set.zip"
    fetch(server.url("/set.zip"), target, label="set.zip", sha256=sha256, transfer=told.transfer)
    return target


def half_done(folder: Path, *, size: int, validator: str | None = '"one"', total: int = len(BODY)) -> None:
    (folder / "set.zip.part").write_bytes(BODY[:size])
    (folder / "set.zip.part.json").write_text(json.dumps({"validator": validator, "total": total}))


def test_fetches_the_file_and_leaves_nothing_else(server: FileServer, tmp_path: Path, told: Told) -> None:
    path = get(server, tmp_path, told, sha256=SUM)
    assert path.read_bytes() == BODY
    assert [entry.name for entry in tmp_path.iterdir()] == ["set.zip"]
    assert server.requests == [("/set.zip", None)]
    assert told.shown[-1] == ("set.zip", len(BODY), len(BODY), "1.0 of 1.0 MB")
    assert told.waited == []


def test_a_file_that_is_there_is_not_fetched_again(server: FileServer, tmp_path: Path, told: Told) -> None:
    get(server, tmp_path, told, sha256=SUM)
    get(server, tmp_path, told, sha256=SUM)
    assert len(server.requests) == 1


def test_resumes_with_exactly_the_missing_bytes(server: FileServer, tmp_path: Path, told: Told) -> None:
    half_done(tmp_path, size=1000)
    assert get(server, tmp_path, told, sha256=SUM).read_bytes() == BODY
    assert server.requests == [("/set.zip", "bytes=1000-")]
    assert told.shown[0][1] > 1000
    assert "resuming" in told.said[0]


def test_resumes_after_a_truncated_answer(server: FileServer, tmp_path: Path, told: Told) -> None:
    server.breaks["/set.zip"] = [10 * 65_536, 65_536]
    assert get(server, tmp_path, told, sha256=SUM).read_bytes() == BODY
    assert [wanted for _, wanted in server.requests] == [None, "bytes=655360-", "bytes=720896-"]
    assert told.waited == [1.0, 1.0]  # bytes were gained, so the pauses do not grow


def test_starts_over_where_the_server_cannot_resume(server: FileServer, tmp_path: Path, told: Told) -> None:
    server.ranges = False
    half_done(tmp_path, size=1000)
    assert get(server, tmp_path, told).read_bytes() == BODY
    assert server.requests == [("/set.zip", "bytes=1000-")]


def test_starts_over_where_the_file_has_changed(server: FileServer, tmp_path: Path, told: Told) -> None:
    half_done(tmp_path, size=1000, validator='"older"')
    (tmp_path / "set.zip.part").write_bytes(b"x" * 1000)
    assert get(server, tmp_path, told).read_bytes() == BODY


def test_starts_over_where_the_size_has_changed_and_nothing_else_tells(
    server: FileServer, tmp_path: Path, told: Told
) -> None:
    server.etags["/set.zip"] = ""
    half_done(tmp_path, size=1000, validator=None, total=5000)
    (tmp_path / "set.zip.part").write_bytes(b"x" * 1000)
    assert get(server, tmp_path, told).read_bytes() == BODY
    assert [wanted for _, wanted in server.requests] == ["bytes=1000-", None]


def test_starts_over_without_notes_on_the_part(server: FileServer, tmp_path: Path, told: Told) -> None:
    (tmp_path / "set.zip.part").write_bytes(b"x" * 1000)
    assert get(server, tmp_path, told).read_bytes() == BODY
    assert server.requests == [("/set.zip", None)]


def test_a_part_that_is_whole_is_only_renamed(server: FileServer, tmp_path: Path, told: Told) -> None:
    half_done(tmp_path, size=len(BODY))
    assert get(server, tmp_path, told, sha256=SUM).read_bytes() == BODY
    assert server.requests == [("/set.zip", f"bytes={len(BODY)}-")]


def test_always_truncated_gives_up_and_keeps_the_part(server: FileServer, tmp_path: Path, told: Told) -> None:
    server.ranges = False
    server.breaks["/set.zip"] = [5 * 65_536] * 10
    with pytest.raises(DownloadError, match=r"set\.zip could not be fetched, 3 attempts in a row failed: .*broke off"):
        get(server, tmp_path, told)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["set.zip.part", "set.zip.part.json"]
    assert (tmp_path / "set.zip.part").stat().st_size == 5 * 65_536


def test_5xx_then_success(server: FileServer, tmp_path: Path, told: Told) -> None:
    server.failures["/set.zip"] = 2
    assert get(server, tmp_path, told).read_bytes() == BODY
    assert told.waited == [1.0, 2.0]
    assert "503" in told.said[0]


def test_5xx_forever(server: FileServer, tmp_path: Path, told: Told) -> None:
    server.failures["/set.zip"] = 1000
    with pytest.raises(DownloadError, match="3 attempts in a row failed: the server answered 503") as caught:
        get(server, tmp_path, told)
    assert server.url("/set.zip") in str(caught.value)
    assert len(server.requests) == 3
    assert list(tmp_path.iterdir()) == []


def test_404_is_not_tried_again(server: FileServer, tmp_path: Path, told: Told) -> None:
    with pytest.raises(DownloadError, match=r"answered 404 Not Found; give another address with --url"):
        fetch(server.url("/no.zip"), tmp_path / "no.zip", label="no.zip", sha256=None, transfer=told.transfer)
    assert len(server.requests) == 1


@pytest.mark.parametrize("url", ["no-scheme/set.zip", "ftp://127.0.0.1/set.zip"])
def test_an_address_that_cannot_work(url: str, tmp_path: Path, told: Told) -> None:
    with pytest.raises(DownloadError, match="check the address"):
        fetch(url, tmp_path / "set.zip", label="set.zip", sha256=None, transfer=told.transfer)
    assert told.waited == []


def test_no_server(tmp_path: Path, told: Told) -> None:
    with serving() as gone:
        url = gone.url("/set.zip")
    with pytest.raises(DownloadError, match="3 attempts in a row failed: no connection"):
        fetch(url, tmp_path / "set.zip", label="set.zip", sha256=None, transfer=told.transfer)
    assert told.waited == [1.0, 2.0]


def test_a_wrong_checksum_removes_the_file(server: FileServer, tmp_path: Path, told: Told) -> None:
    with pytest.raises(
        DownloadError, match=r"must have the sha256 0000.* \(published\), got another; the file was rem"
    ):
        get(server, tmp_path, told, sha256="0" * 64)
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_keeps_the_part(server: FileServer, tmp_path: Path) -> None:
    def interrupt(_label: str, done: int, _total: int | None, _unit: str) -> None:
        if done > 500_000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch(
            server.url("/set.zip"), tmp_path / "set.zip", label="s", sha256=None, transfer=Transfer(progress=interrupt)
        )
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["set.zip.part", "set.zip.part.json"]
    kept = (tmp_path / "set.zip.part").stat().st_size
    fetch(server.url("/set.zip"), tmp_path / "set.zip", label="s", sha256=SUM, transfer=Transfer())
    assert kept > 500_000
    assert server.requests[-1] == ("/set.zip", f"bytes={kept}-")


def test_this_machine_is_asked_without_a_proxy(
    server: FileServer, tmp_path: Path, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # the discard port: nobody listens
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    assert get(server, tmp_path, told).read_bytes() == BODY


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_disk_while_writing(server: FileServer, tmp_path: Path, told: Told) -> None:
    (tmp_path / "set.zip.part").symlink_to("/dev/full")
    with pytest.raises(StorageError, match=r"cannot be written: No space left on device; free space"):
        get(server, tmp_path, told)
    assert len(server.requests) == 1


def test_too_little_space_is_said_before_the_first_byte(
    server: FileServer, tmp_path: Path, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage)
    with pytest.raises(StorageError, match=r"must have 1 MB free for set\.zip, got 0 MB"):
        get(server, tmp_path, told)
    assert told.shown == []


def test_a_folder_that_cannot_be_made(server: FileServer, tmp_path: Path, told: Told) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot be written"):
        get(server, tmp_path / "file", told)
