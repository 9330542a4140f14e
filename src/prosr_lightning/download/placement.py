"""Put folders and records into the data directory whole or not at all."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import pooch

from prosr_lightning.errors import DataError, DownloadError, ProSRError, StorageError
from prosr_lightning.imaging.io import write_json


@contextmanager
def storage_errors(folder: Path) -> Iterator[None]:
    """Turn what the operating system says about `folder` into one clear error.

    Raises:
        StorageError: Instead of an `OSError` of the block; errors of ours pass.
    """
    try:
        yield
    except ProSRError:
        raise
    except OSError as error:
        reason = error.strerror or str(error)
        raise StorageError(
            f"{folder} cannot be written: {reason}; free space or choose another folder with --root."
        ) from error


def require_space(folder: Path, needed: int, *, purpose: str) -> None:
    """Refuse to begin what would fill the disk.

    Args:
        folder: Where it will be.
        needed: Bytes.
        purpose: For the message: "to unpack".

    Raises:
        StorageError: If fewer bytes are free.
    """
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise StorageError(
            f"{folder} must have {needed / 1e6:.0f} MB free {purpose}, got {free / 1e6:.0f} MB; free space or choose "
            "another folder with --root."
        )


@contextmanager
def replacing(target: Path, cache: Path) -> Iterator[Path]:
    """Give an empty hidden folder that becomes `target` when the block has ended well, and have `cache` until then.

    What was at `target` goes only when the new folder stands. After an error nothing has changed, only `cache` stays
    with what is in it. Empty folders that were made on the way go.
    """
    made = [folder for folder in target.parents if not folder.exists()]
    try:
        for folder in (cache, target.parent):
            folder.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=f".{target.name}.", dir=target.parent, ignore_cleanup_errors=True) as hidden:
            new, old = Path(hidden) / "new", Path(hidden) / "old"
            new.mkdir()
            yield new
            try:
                if os.path.lexists(target):
                    target.rename(old)  # a link goes, what it leads to stays
                new.rename(target)
            except BaseException:
                if os.path.lexists(old) and not os.path.lexists(target):
                    old.rename(target)
                raise
        shutil.rmtree(cache, ignore_errors=True)
    finally:
        for folder in (cache, cache.parent, *made):
            with suppress(OSError):  # not empty, or gone
                folder.rmdir()


class Checksums:
    """The sha256 sums that were recorded when a file without a published one was first used.

    Args:
        path: A JSON file; it need not exist.

    Raises:
        DataError: If the file is there and is not such a record.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._new: dict[str, dict[str, str]] = {}
        try:
            self._known = dict(json.loads(path.read_text())) if path.is_file() else {}
            self._sums = {key: str(entry["sha256"]) for key, entry in self._known.items()}
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(f"{path} must be a JSON record of checksums, but cannot be read; remove it.") from error

    @property
    def remedy(self) -> str:
        """What to do if a file differs from its record."""
        return f"recorded on first use in {self._path}; if you trust the new file, remove its entry there"

    def get(self, key: str) -> str | None:
        """Give the recorded sum of `key`, or None."""
        return self._sums.get(key)

    def note(self, key: str, path: Path, *, source: str) -> str:
        """Compare a file with its record, or remember it for `save`.

        Returns:
            Its sha256.

        Raises:
            DownloadError: If it differs from the record.
        """
        with storage_errors(path):
            checksum = str(pooch.file_hash(str(path), alg="sha256"))
        known = self.get(key)
        if known is None:
            self._new[key] = {"sha256": checksum, "source": source}
        elif known != checksum:
            raise DownloadError(f"{path} must have the sha256 {known}, got {checksum}. The first is {self.remedy}.")
        return checksum

    def save(self, say: Callable[[str], None]) -> None:
        """Write what was noted and new, and say so in one line."""
        if not self._new:
            return
        write_json(self._path, dict(sorted((self._known | self._new).items())))
        what = next(iter(self._new)) if len(self._new) == 1 else f"{len(self._new)} files"
        say(f"No checksum is published: recorded that of {what} in {self._path}, it is compared from now on.")
