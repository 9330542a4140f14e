from __future__ import annotations

import hashlib
import io
import json
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from file_server import FileServer, serving
from PIL import Image

from prosr_lightning.data.benchmarks import find_dataset
from prosr_lightning.download import downloads as module
from prosr_lightning.download.catalogue import ANY_IMAGE, DATASETS, Archive, Dataset, Files, Part
from prosr_lightning.download.downloads import download
from prosr_lightning.download.transfer import Transfer
from prosr_lightning.errors import DataError, DownloadError, StorageError


def png(size: tuple[int, int] = (4, 3)) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", size).save(stream, "png")
    return stream.getvalue()


def zipped(*names: str, content: bytes | None = None) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as file:
        for name in names:
            file.writestr(name, png() if content is None else content)
    return stream.getvalue()


def part(*sources: Archive | Files, folder: str = "Tiny", count: int = 2, long_side: int | None = None) -> Part:
    return Part(folder=folder, count=count, sources=sources, members=(ANY_IMAGE,), long_side=long_side)


def tiny(*parts: Part, by_hand: str | None = None) -> Dataset:
    return Dataset(title="Tiny", parts=parts, terms="Free to use.", by_hand=by_hand)


@pytest.fixture
def server() -> Iterator[FileServer]:
    with serving() as running:
        running.files["/tiny.zip"] = zipped("in/a.png", "in/b.png")
        yield running


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def transfer(said: list[str]) -> Transfer:
    return Transfer(attempts=3, sleep=lambda _seconds: None, say=said.append)


def hidden(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob(".*"))


def test_a_data_set_from_nothing(server: FileServer, tmp_path: Path, transfer: Transfer, said: list[str]) -> None:
    root = tmp_path / "new" / "data"
    download(tiny(part(Archive(url=server.url("/tiny.zip")))), root, transfer=transfer)
    assert sorted(path.name for path in (root / "Tiny").iterdir()) == ["a.png", "b.png"]
    assert sorted(path.name for path in root.iterdir()) == ["Tiny", "checksums.json"]
    assert (root / "Tiny").stat().st_mode & 0o777 == (tmp_path / "new").stat().st_mode & 0o777
    assert said[0] == "Terms: Free to use."
    assert any("No checksum is published: recorded that of Tiny/tiny.zip" in line for line in said)


def test_a_complete_data_set_is_said_and_left_alone(
    server: FileServer, tmp_path: Path, transfer: Transfer, said: list[str]
) -> None:
    dataset = tiny(part(Archive(url=server.url("/tiny.zip"))))
    download(dataset, tmp_path, transfer=transfer)
    said.clear()
    download(dataset, tmp_path, transfer=transfer)
    assert len(server.requests) == 1
    assert said == [f"{tmp_path / 'Tiny'} is complete (2 images); not downloaded again. Use --force to do so."]


def test_force_replaces_the_folder_by_a_checked_one(server: FileServer, tmp_path: Path, transfer: Transfer) -> None:
    dataset = tiny(part(Archive(url=server.url("/tiny.zip"))))
    (tmp_path / "Tiny").mkdir()
    (tmp_path / "Tiny" / "old.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"Tiny must hold 2 images, found 1; .*--force"):
        download(dataset, tmp_path, transfer=transfer)
    assert server.requests == []
    download(dataset, tmp_path, force=True, transfer=transfer)
    assert sorted(path.name for path in (tmp_path / "Tiny").iterdir()) == ["a.png", "b.png"]
    assert hidden(tmp_path) == []


def test_a_failed_force_leaves_the_old_folder(server: FileServer, tmp_path: Path, transfer: Transfer) -> None:
    server.files["/tiny.zip"] = zipped("a.png")
    (tmp_path / "Tiny").mkdir()
    (tmp_path / "Tiny" / "old.png").write_bytes(b"mine")
    with pytest.raises(DataError, match="must hold 2 images, found 1 in http"):
        download(tiny(part(Archive(url=server.url("/tiny.zip")))), tmp_path, force=True, transfer=transfer)
    assert (tmp_path / "Tiny" / "old.png").read_bytes() == b"mine"
    assert hidden(tmp_path) == []


def test_force_on_a_link_keeps_what_it_leads_to(server: FileServer, tmp_path: Path, transfer: Transfer) -> None:
    (tmp_path / "far").mkdir()
    (tmp_path / "far" / "old.png").write_bytes(b"mine")
    (tmp_path / "Tiny").symlink_to(tmp_path / "far")
    download(tiny(part(Archive(url=server.url("/tiny.zip")))), tmp_path, force=True, transfer=transfer)
    assert not (tmp_path / "Tiny").is_symlink()
    assert (tmp_path / "far" / "old.png").read_bytes() == b"mine"


def test_a_published_checksum(server: FileServer, tmp_path: Path, transfer: Transfer, said: list[str]) -> None:
    right = hashlib.sha256(server.files["/tiny.zip"]).hexdigest()
    download(tiny(part(Archive(url=server.url("/tiny.zip"), sha256=right))), tmp_path, transfer=transfer)
    assert "tiny.zip has the published checksum." in said
    assert not (tmp_path / "checksums.json").exists()


def test_a_wrong_published_checksum(server: FileServer, tmp_path: Path, transfer: Transfer) -> None:
    source = Archive(url=server.url("/tiny.zip"), sha256="0" * 64)
    with pytest.raises(DownloadError, match=r"sha256 0{64} \(published with the data set\), got another; the file was"):
        download(tiny(part(source, folder="T/Tiny")), tmp_path / "data", transfer=transfer)
    assert list(tmp_path.iterdir()) == []  # not even the folders it had to make


def test_a_recorded_checksum_is_compared_from_then_on(server: FileServer, tmp_path: Path, transfer: Transfer) -> None:
    dataset = tiny(part(Archive(url=server.url("/tiny.zip"))))
    download(dataset, tmp_path, transfer=transfer)
    record = json.loads((tmp_path / "checksums.json").read_text())
    assert record["Tiny/tiny.zip"]["sha256"] == hashlib.sha256(server.files["/tiny.zip"]).hexdigest()
    download(dataset, tmp_path, force=True, transfer=transfer)
    server.files["/tiny.zip"] = zipped("in/a.png", "in/c.png")
    with pytest.raises(DownloadError, match=r"recorded on first use in .*checksums\.json; if you trust the new file"):
        download(dataset, tmp_path, force=True, transfer=transfer)
    assert sorted(path.name for path in (tmp_path / "Tiny").iterdir()) == ["a.png", "b.png"]
    assert hidden(tmp_path) == []  # the other file was removed
    (tmp_path / "tiny.zip").write_bytes(server.files["/tiny.zip"])
    with pytest.raises(DownloadError, match="recorded on first use"):
        download(dataset, tmp_path, archives=[tmp_path / "tiny.zip"], force=True, transfer=transfer)
    assert (tmp_path / "tiny.zip").exists()


def test_a_damaged_record_is_an_error(server: FileServer, tmp_path: Path, transfer: Transfer) -> None:
    (tmp_path / "checksums.json").write_text('{"Tiny/tiny.zip": 3}')
    with pytest.raises(DataError, match=r"checksums\.json must be a JSON record of checksums"):
        download(tiny(part(Archive(url=server.url("/tiny.zip")))), tmp_path, transfer=transfer)


def test_the_next_mirror_serves(server: FileServer, tmp_path: Path, transfer: Transfer, said: list[str]) -> None:
    server.failures["/busy.zip"] = 1000
    sources = [Archive(url=server.url(path)) for path in ("/busy.zip", "/gone.zip", "/tiny.zip")]
    download(tiny(part(*sources)), tmp_path, transfer=transfer)
    assert [path for path, _ in server.requests] == ["/busy.zip"] * 3 + ["/gone.zip", "/tiny.zip"]
    assert sum("going on with the next address" in line for line in said) == 2


def test_a_bad_archive_is_dropped_and_the_next_mirror_serves(
    server: FileServer, tmp_path: Path, transfer: Transfer
) -> None:
    server.files["/evil.zip"] = zipped("a.png", "b.png", "../c.png")
    server.files["/page.zip"] = b"<html>please log in</html>"
    sources = [Archive(url=server.url(path)) for path in ("/evil.zip", "/page.zip", "/tiny.zip")]
    download(tiny(part(*sources)), tmp_path, transfer=transfer)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["Tiny", "checksums.json"]
    assert list(json.loads((tmp_path / "checksums.json").read_text())) == ["Tiny/tiny.zip"]


def test_when_all_mirrors_fail_all_are_named(server: FileServer, tmp_path: Path, transfer: Transfer) -> None:
    server.failures["/busy.zip"] = 1000
    urls = [server.url("/busy.zip"), server.url("/gone.zip")]
    with pytest.raises(DownloadError, match="could not be had from any of 2 addresses") as caught:
        download(tiny(part(*[Archive(url=url) for url in urls])), tmp_path, transfer=transfer)
    for expected in [*urls, "503", "404"]:
        assert expected in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_single_files_are_kept_when_the_work_breaks_off(
    server: FileServer, tmp_path: Path, transfer: Transfer, said: list[str]
) -> None:
    source = Files(url=server.url("/img_{number:03d}_HR.png"), name="img_{number:03d}.png")
    server.files |= {f"/img_00{number}_HR.png": png((number, 1)) for number in (1, 2)}
    with pytest.raises(DownloadError, match=r"img_003_HR\.png could not be fetched, the server answered 404"):
        download(tiny(part(source, count=3)), tmp_path, transfer=transfer)
    assert not (tmp_path / "Tiny").exists()
    server.files["/img_003_HR.png"] = png((3, 1))
    server.requests.clear()
    download(tiny(part(source, count=3)), tmp_path, transfer=transfer)
    assert server.requests == [("/img_003_HR.png", None)]
    for number in (1, 2, 3):
        assert (tmp_path / "Tiny" / f"img_00{number}.png").read_bytes() == png((number, 1))
    assert sorted(json.loads((tmp_path / "checksums.json").read_text())) == [f"Tiny/img_00{n}.png" for n in (1, 2, 3)]
    assert any("recorded that of 3 files" in line for line in said)
    assert hidden(tmp_path) == []


def test_files_that_are_no_images(server: FileServer, tmp_path: Path, transfer: Transfer) -> None:
    server.files["/tiny.zip"] = zipped("a.png", "b.png", content=b"<html>")
    with pytest.raises(DataError, match=r"but 2 of http.* cannot be read \(a\.png, b\.png\)"):
        download(tiny(part(Archive(url=server.url("/tiny.zip")))), tmp_path, transfer=transfer)
    assert list(tmp_path.iterdir()) == []


def test_a_shrunken_copy(server: FileServer, tmp_path: Path, transfer: Transfer) -> None:
    with pytest.raises(
        DataError, match=r"at least 8 pixels on the long side, found 4 in .*: this is the shrunken copy"
    ):
        download(tiny(part(Archive(url=server.url("/tiny.zip")), long_side=8)), tmp_path, transfer=transfer)


def test_an_archive_downloaded_by_hand(tmp_path: Path, transfer: Transfer, said: list[str]) -> None:
    content = zipped("a.png", "b.png")
    (tmp_path / "tiny.zip").write_bytes(content)
    official = Archive(url="http://127.0.0.1:9/tiny.zip", sha256=hashlib.sha256(content).hexdigest())
    download(tiny(part(official)), tmp_path / "data", archives=[tmp_path / "tiny.zip"], transfer=transfer)
    assert (tmp_path / "tiny.zip").read_bytes() == content
    assert len(list((tmp_path / "data" / "Tiny").iterdir())) == 2
    assert "tiny.zip has the checksum published for the official archive of this name." in said


def test_an_archive_that_is_missing(tmp_path: Path, transfer: Transfer) -> None:
    with pytest.raises(
        DataError, match=r"--archive must be a zip or tar file, found none at .*no\.zip; check the path"
    ):
        download(tiny(part()), tmp_path / "data", archives=[tmp_path / "no.zip"], transfer=transfer)


def test_given_addresses_go_to_the_part_they_name(server: FileServer, tmp_path: Path, transfer: Transfer) -> None:
    dataset = tiny(part(folder="T/T_train", count=1), part(folder="T/T_valid", count=1))
    server.files |= {"/T_train.zip": zipped("1.png"), "/T_valid.zip": zipped("2.png")}
    with pytest.raises(DataError, match="Tiny must have T_valid, but no given --url or --archive is for it"):
        download(dataset, tmp_path, urls=[server.url("/T_train.zip")], transfer=transfer)
    assert (tmp_path / "T" / "T_train" / "1.png").exists()
    download(dataset, tmp_path, urls=[server.url("/T_valid.zip?of=T_train")], transfer=transfer)
    assert (tmp_path / "T" / "T_valid" / "2.png").exists()
    assert [path for path, _ in server.requests] == ["/T_train.zip", "/T_valid.zip?of=T_train"]


def test_a_full_disk_while_unpacking_keeps_the_archive(
    server: FileServer, tmp_path: Path, transfer: Transfer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise StorageError("the disk is full")

    dataset = tiny(part(Archive(url=server.url("/tiny.zip"))))
    with monkeypatch.context() as patch:
        patch.setattr(module, "extract_images", full)
        with pytest.raises(StorageError):
            download(dataset, tmp_path, transfer=transfer)
    assert not (tmp_path / "Tiny").exists()
    download(dataset, tmp_path, transfer=transfer)
    assert len(server.requests) == 1


@pytest.mark.parametrize("root", ["file", "file/below"])
def test_a_root_that_cannot_be_written(root: str, server: FileServer, tmp_path: Path, transfer: Transfer) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match=r"cannot be written: .*choose another folder with --root"):
        download(tiny(part(Archive(url=server.url("/tiny.zip")))), tmp_path / root, transfer=transfer)


def test_what_has_to_be_fetched_by_hand(tmp_path: Path, transfer: Transfer, said: list[str]) -> None:
    dataset = DATASETS["manga109"]
    for force in (False, True):
        with pytest.raises(DataError, match=r"Manga109 must hold 109 images, found none; .* follow the steps above"):
            download(dataset, tmp_path, force=force, transfer=transfer)
    for expected in ("http://www.manga109.org", str(tmp_path / "Manga109"), "109 image files", "--archive"):
        assert expected in said[0]
    (tmp_path / "Manga109").mkdir()
    for number in range(108):
        (tmp_path / "Manga109" / f"{number}.png").write_bytes(png())
    with pytest.raises(DataError, match="must hold 109 images, found 108"):
        download(dataset, tmp_path, transfer=transfer)
    (tmp_path / "Manga109" / "108.jpg").write_bytes(png())
    said.clear()
    download(dataset, tmp_path, transfer=transfer)
    assert "is complete (109 images)" in said[0]


def test_layouts_that_evaluation_reads_count_as_complete(tmp_path: Path, transfer: Transfer, said: list[str]) -> None:
    folder = tmp_path / "Set5" / "HR"
    folder.mkdir(parents=True)
    for number in range(5):
        (folder / f"{number}.png").write_bytes(png())
    download(DATASETS["set5"], tmp_path, transfer=transfer)
    assert f"{folder} is complete (5 images)" in said[0]


def test_what_is_downloaded_is_found_by_evaluation(tmp_path: Path, transfer: Transfer) -> None:
    names = ["baby", "bird", "butterfly", "head", "woman"]
    with tarfile.open(tmp_path / "benchmark.tar", "w") as file:
        for folder in ("Set5/HR", "Set5/LR_bicubic/X2", "Set14/HR"):
            for name in names:
                info = tarfile.TarInfo(f"benchmark/{folder}/{name}.png")
                info.size = len(png())
                file.addfile(info, io.BytesIO(png()))
    download(DATASETS["set5"], tmp_path / "data", archives=[tmp_path / "benchmark.tar"], transfer=transfer)
    found = find_dataset("Set5", tmp_path / "data")
    assert [path.stem for path in found.images] == names
