from __future__ import annotations

import io
import shutil
import stat
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from prosr_lightning.download.archives import Limits, extract_images
from prosr_lightning.download.catalogue import ANY_IMAGE
from prosr_lightning.errors import DownloadError, StorageError

GOOD = {"set/a.png": b"first", "set/B.PNG": b"second", "set/readme.txt": b"text"}


def make_zip(path: Path, members: dict[str, bytes] = GOOD, *, compression: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as file:
        for name, content in members.items():
            file.writestr(name, content)
    return path


def make_tar(path: Path, *extra: tarfile.TarInfo, mode: str = "w") -> Path:
    with tarfile.open(path, mode) as file:
        for name, content in GOOD.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            file.addfile(info, io.BytesIO(content))
        for info in extra:
            file.addfile(info, io.BytesIO(b"x" * info.size))
    return path


def tar_member(name: str, *, kind: bytes = tarfile.REGTYPE, link: str = "", size: int = 0) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, link, size
    return info


def zip_with(path: Path, name: str, *, mode: int, content: bytes = b"x") -> Path:
    make_zip(path)
    with zipfile.ZipFile(path, "a") as file:
        info = zipfile.ZipInfo(name)
        info.create_system, info.external_attr = 3, mode << 16  # 3 is Unix
        file.writestr(info, content)
    return path


@pytest.fixture
def target(tmp_path: Path) -> Path:
    folder = tmp_path / "inside" / "target"
    folder.mkdir(parents=True)
    return folder


@pytest.mark.parametrize(
    "make",
    [
        make_zip,
        lambda path: make_zip(path, compression=zipfile.ZIP_DEFLATED),
        make_tar,
        lambda path: make_tar(path, mode="w:gz"),
        lambda path: make_tar(path, mode="w:bz2"),
        lambda path: make_tar(path, mode="w:xz"),
    ],
)
def test_takes_the_images_into_one_flat_folder(make: Callable[[Path], Path], tmp_path: Path, target: Path) -> None:
    assert extract_images(make(tmp_path / "archive"), target, [ANY_IMAGE]) == 2
    assert {path.name: path.read_bytes() for path in target.iterdir()} == {"a.png": b"first", "B.png": b"second"}


def test_the_first_pattern_that_finds_something_decides(tmp_path: Path, target: Path) -> None:
    members = {"x/image_SRF_2/img_001_SRF_2_HR.png": b"hr", "x/image_SRF_2/img_001_SRF_2_LR.png": b"lr"}
    patterns = [r"nothing/(?P<stem>a)(?P<suffix>b)", r"SRF_2/(?P<stem>img_\d{3})_SRF_2_HR(?P<suffix>\.png)$", ANY_IMAGE]
    assert extract_images(make_zip(tmp_path / "a.zip", members), target, patterns) == 1
    assert (target / "img_001.png").read_bytes() == b"hr"


def test_hidden_twins_of_macos_are_left_out(tmp_path: Path, target: Path) -> None:
    members = {"a.png": b"1", "__MACOSX/._a.png": b"2"}
    assert extract_images(make_zip(tmp_path / "a.zip", members), target, [ANY_IMAGE]) == 1


def test_nothing_wanted(tmp_path: Path, target: Path) -> None:
    assert extract_images(make_zip(tmp_path / "a.zip", {"readme.txt": b""}), target, [ANY_IMAGE]) == 0


def test_a_tar_that_ends_in_a_zip_is_a_tar(tmp_path: Path, target: Path) -> None:
    inner = make_zip(tmp_path / "inner.zip", {"other.png": b"no"}).read_bytes()
    path = make_tar(tmp_path / "a.tar")
    with tarfile.open(path, "a") as file:
        info = tar_member("inner.zip", size=len(inner))
        file.addfile(info, io.BytesIO(inner))
    assert zipfile.is_zipfile(path)
    extract_images(path, target, [ANY_IMAGE])
    assert sorted(entry.name for entry in target.iterdir()) == ["B.png", "a.png"]


def refused(path: Path, target: Path, why: str, *, limits: Limits | None = None) -> None:
    with pytest.raises(DownloadError, match=f"is refused, it may harm this machine: .*{why}"):
        extract_images(path, target, [ANY_IMAGE], limits=limits)
    assert list(target.iterdir()) == []
    assert sorted(entry.name for entry in target.parent.parent.iterdir()) == ["archive", "inside"]


@pytest.mark.parametrize(
    "name", ["../evil.png", "set/../../evil.png", "/evil.png", "..\\evil.png", "C:\\evil.png", "\\evil.png", ".."]
)
def test_paths_that_lead_out(name: str, tmp_path: Path, target: Path) -> None:
    refused(make_zip(tmp_path / "archive", GOOD | {name: b"x"}), target, "leads out of the target folder")
    refused(make_tar(tmp_path / "archive", tar_member(name)), target, "leads out of the target folder")


@pytest.mark.parametrize("link", ["/etc/passwd", "../../etc/passwd", "..\\..\\x", "b/../../../x"])
def test_links_that_lead_out(link: str, tmp_path: Path, target: Path) -> None:
    path = zip_with(tmp_path / "archive", "set/link.png", mode=stat.S_IFLNK | 0o777, content=link.encode())
    refused(path, target, r"the link 'set/link.png' leads out")
    refused(make_tar(tmp_path / "archive", tar_member("set/link.png", kind=tarfile.SYMTYPE, link=link)), target, "link")


def test_hard_links_that_lead_out(tmp_path: Path, target: Path) -> None:
    path = make_tar(tmp_path / "archive", tar_member("link.png", kind=tarfile.LNKTYPE, link="../../x"))
    refused(path, target, r"the link 'link.png' leads out")


def test_links_that_stay_inside_are_passed_over(tmp_path: Path, target: Path) -> None:
    links = [
        tar_member("set/s.png", kind=tarfile.SYMTYPE, link="../set/a.png"),
        tar_member("h.png", kind=tarfile.LNKTYPE, link="set/a.png"),
    ]
    assert extract_images(make_tar(tmp_path / "a.tar", *links), target, [ANY_IMAGE]) == 2
    path = zip_with(tmp_path / "a.zip", "set/s.png", mode=stat.S_IFLNK | 0o777, content=b"a.png")
    assert extract_images(path, target, [ANY_IMAGE]) == 2
    assert not any(entry.is_symlink() for entry in target.iterdir())


@pytest.mark.parametrize("kind", [tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE])
def test_devices(kind: bytes, tmp_path: Path, target: Path) -> None:
    refused(make_tar(tmp_path / "archive", tar_member("dev.png", kind=kind)), target, "a device")


def test_a_device_in_a_zip(tmp_path: Path, target: Path) -> None:
    refused(zip_with(tmp_path / "archive", "dev.png", mode=stat.S_IFCHR | 0o666), target, "a device")


def test_bombs(tmp_path: Path, target: Path) -> None:
    limits = Limits(ratio_floor=100_000)
    path = make_zip(tmp_path / "archive", {"a.png": bytes(1_000_000)}, compression=zipfile.ZIP_DEFLATED)
    refused(path, target, "more than 100 times its size", limits=limits)
    refused(make_tar(path, tar_member("b.png", size=1_000_000), mode="w:gz"), target, "100 times", limits=limits)
    refused(make_zip(path), target, "more than 10 bytes", limits=Limits(total_bytes=10))
    refused(make_zip(path), target, "more than 2 members", limits=Limits(members=2))


def test_the_limits_let_the_real_data_pass() -> None:
    assert Limits().total_bytes > 2 * 3_530_603_713  # DIV2K_train_HR.zip
    assert Limits().ratio_floor < Limits().total_bytes


def test_two_members_for_one_name(tmp_path: Path, target: Path) -> None:
    path = make_zip(tmp_path / "a.zip", {"HR/a.png": b"1", "LR/a.png": b"2"})
    with pytest.raises(DownloadError, match=r"'HR/a\.png' and 'LR/a\.png' are both a\.png"):
        extract_images(path, target, [ANY_IMAGE])


@pytest.mark.parametrize(
    ("content", "said"), [(b"<!DOCTYPE html><p>Sorry", "a web page"), (b"", "b''"), (b"\x00" * 5, "x00")]
)
def test_not_an_archive(content: bytes, said: str, tmp_path: Path, target: Path) -> None:
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(DownloadError, match=f"must be a zip or tar archive, but begins with .*{said}"):
        extract_images(tmp_path / "a.zip", target, [ANY_IMAGE])


@pytest.mark.parametrize("mode", ["w:gz", "w:bz2", "w:xz", "w"])
def test_a_tar_that_is_cut_short(mode: str, tmp_path: Path, target: Path) -> None:
    path = make_tar(tmp_path / "a.tar", tar_member("big.png", size=300_000), mode=mode)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    with pytest.raises(DownloadError, match=r"is damaged|must be a zip or tar archive"):
        extract_images(path, target, [ANY_IMAGE])


def test_a_zip_with_a_flipped_bit(tmp_path: Path, target: Path) -> None:
    path = make_zip(tmp_path / "a.zip")
    path.write_bytes(path.read_bytes().replace(b"first", b"fisrt"))
    with pytest.raises(DownloadError, match=r"a\.zip is damaged: Bad CRC-32"):
        extract_images(path, target, [ANY_IMAGE])


def test_an_encrypted_zip(tmp_path: Path, target: Path) -> None:
    path = make_zip(tmp_path / "a.zip", {"a.png": b"1"})
    content = bytearray(path.read_bytes())
    content[6] |= 1  # general purpose flags of the local header ...
    content[content.index(b"PK\x01\x02") + 8] |= 1  # ... and of the central directory
    path.write_bytes(content)
    with pytest.raises(DownloadError, match=r"must not be encrypted, but a\.png is"):
        extract_images(path, target, [ANY_IMAGE])


def test_too_little_space(tmp_path: Path, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=3)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage)
    with pytest.raises(StorageError, match="free to unpack"):
        extract_images(make_zip(tmp_path / "a.zip"), target, [ANY_IMAGE])


def test_a_target_that_cannot_be_written(tmp_path: Path, target: Path) -> None:
    (target / "a.png").symlink_to(tmp_path / "no" / "where.png")
    with pytest.raises(StorageError, match=r"cannot be unpacked into .*: No such file"):
        extract_images(make_zip(tmp_path / "a.zip"), target, [ANY_IMAGE])
