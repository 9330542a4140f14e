from __future__ import annotations

import errno

import pytest
from filelock import FileLock, Timeout

from prosr_lightning.errors import ConfigError
from prosr_lightning.runs.folder import lock_folder, set_log_aside, take_lock


def test_a_lock_keeps_others_out_until_it_is_released(tmp_path):
    lock = take_lock(tmp_path / "a.lock")
    with pytest.raises(Timeout):
        take_lock(tmp_path / "a.lock")
    lock.release()
    take_lock(tmp_path / "a.lock").release()


@pytest.mark.parametrize("error", [NotImplementedError(), OSError(errno.ENOLCK, "No locks available")])
def test_a_file_system_without_locks_keeps_nobody_out(tmp_path, monkeypatch, error):
    def acquire(self, timeout):
        raise error

    monkeypatch.setattr(FileLock, "acquire", acquire)
    assert take_lock(tmp_path / "a.lock") is None
    assert lock_folder(tmp_path / "run", "The run in") is None


@pytest.mark.parametrize("number", [errno.EACCES, errno.ENOSPC, errno.EROFS])
def test_what_else_is_wrong_with_a_place_is_not_taken_for_a_missing_lock(tmp_path, monkeypatch, number):
    def acquire(self, timeout):
        raise OSError(number, "no")

    monkeypatch.setattr(FileLock, "acquire", acquire)
    with pytest.raises(OSError, match="no") as caught:
        take_lock(tmp_path / "a.lock")
    assert caught.value.errno == number


def test_a_folder_that_is_in_use_is_named(tmp_path):
    lock = lock_folder(tmp_path / "run", "The run in")
    with pytest.raises(ConfigError, match="The run in .*run must not run twice, but it is running"):
        lock_folder(tmp_path / "run", "The run in")
    lock.release()


def test_a_log_without_a_line_does_not_stay(tmp_path):
    """A process that is killed at its first update leaves the logger's settings alone."""
    (tmp_path / "csv").mkdir()
    (tmp_path / "csv" / "hparams.yaml").write_text("depth: 4")
    set_log_aside(tmp_path)
    assert list(tmp_path.iterdir()) == []
