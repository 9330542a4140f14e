from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest

from prosr_lightning.download.placement import Checksums, replacing
from prosr_lightning.errors import DownloadError


def test_a_move_that_fails_brings_the_old_folder_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "set"
    target.mkdir()
    (target / "old.png").write_bytes(b"mine")
    rename = Path.rename

    def failing(self: Path, to: Path) -> Path:
        if (self / "new.png").exists():
            raise OSError(5, "Input/output error")
        return rename(self, to)

    def replace() -> None:
        with replacing(target, tmp_path / "cache" / "set") as folder:
            (folder / "new.png").write_bytes(b"")
            monkeypatch.setattr(Path, "rename", failing)

    with pytest.raises(OSError, match="Input/output error"):
        replace()
    assert (target / "old.png").read_bytes() == b"mine"
    assert list(tmp_path.iterdir()) == [target]


def test_only_the_folders_that_were_made_go_again(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    target = tmp_path / "mine" / "made" / "set"
    with suppress(KeyboardInterrupt), replacing(target, tmp_path / "mine" / "cache" / "set") as folder:
        assert folder.parents[1] == target.parent
        raise KeyboardInterrupt
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
    assert list((tmp_path / "mine").iterdir()) == []


def test_checksums_survive_and_are_compared(tmp_path: Path) -> None:
    record, file = tmp_path / "checksums.json", tmp_path / "a.bin"
    file.write_bytes(b"abc")
    first = Checksums(record)
    found = first.note("a", file, source="http://127.0.0.1/a")
    assert found == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # FIPS 180-2, B.1
    said: list[str] = []
    first.save(said.append)
    assert "recorded that of a in" in said[0]
    second = Checksums(record)
    assert second.get("a") == found
    second.note("a", file, source="elsewhere")
    second.save(said.append)
    assert len(said) == 1
    file.write_bytes(b"abd")
    with pytest.raises(DownloadError, match=rf"must have the sha256 {found}, got .* recorded on first use"):
        second.note("a", file, source="http://127.0.0.1/a")
