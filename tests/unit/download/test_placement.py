from __future__ import annotations

from pathlib import Path

import pytest

from prosr_lightning.download.placement import Checksums, put_in_place, staging_folder
from prosr_lightning.errors import DownloadError, StorageError


def test_a_move_that_fails_brings_the_old_folder_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "set"
    target.mkdir()
    (target / "old.png").write_bytes(b"mine")
    rename = Path.rename

    def failing(self: Path, to: Path) -> Path:
        if (self / "new.png").exists():
            raise OSError(5, "Input/output error")
        return rename(self, to)

    with staging_folder(target) as staging:
        (staging / "new.png").write_bytes(b"")
        monkeypatch.setattr(Path, "rename", failing)
        with pytest.raises(StorageError, match="cannot be written: Input/output error"):
            put_in_place(staging, target)
    assert (target / "old.png").read_bytes() == b"mine"
    assert list(tmp_path.iterdir()) == [target]


def test_a_staging_folder_takes_only_its_own_parents_away(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    with staging_folder(tmp_path / "mine" / "made" / "set") as staging:
        assert staging.parent == tmp_path / "mine" / "made"
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
    assert list((tmp_path / "mine").iterdir()) == []


def test_checksums_survive_and_are_compared(tmp_path: Path) -> None:
    record, file = tmp_path / "checksums.json", tmp_path / "a.bin"
    file.write_bytes(b"abc")
    first = Checksums(record)
    found = first.note("a", file, source="http://127.0.0.1/a")
    assert found == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # FIPS 180-2, B.1
    assert "recorded that of a in" in (first.save() or "")
    second = Checksums(record)
    assert second.get("a") == found
    second.note("a", file, source="elsewhere")
    assert second.save() is None
    file.write_bytes(b"abd")
    with pytest.raises(DownloadError, match=rf"must have the sha256 {found}, got .* recorded on first use"):
        second.note("a", file, source="http://127.0.0.1/a")
