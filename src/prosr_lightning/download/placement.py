"""Put folders and records into the data directory whole or not at all."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import pooch

from prosr_lightning.errors import DataError, DownloadError, ProSRError, StorageError
from prosr_lightning.imaging.io import atomic_path


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


@contextmanager
def staging_folder(target: Path) -> Iterator[Path]:
    """Give an empty hidden folder beside `target`; in the end it goes, with parents made for it that are empty."""
    with storage_errors(target.parent):
        missing = [folder for folder in target.parents if not folder.exists()]
        target.parent.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        yield staging
    finally:
        shutil.rmtree(staging, ignore_errors=True)
        _remove_if_empty(missing)


@contextmanager
def cache_folder(cache: Path) -> Iterator[None]:
    """Have the folder `cache` for a while; it stays, with what is in it, unless it is empty in the end."""
    with storage_errors(cache):
        cache.mkdir(parents=True, exist_ok=True)
    try:
        yield
    finally:
        _remove_if_empty([cache, cache.parent])


def _remove_if_empty(folders: Sequence[Path]) -> None:
    for folder in folders:
        with suppress(OSError):  # not empty, or gone
            folder.rmdir()


def put_in_place(staging: Path, target: Path) -> None:
    """Move a finished folder to `target`; what was there goes only when the new one stands.

    Raises:
        StorageError: If it cannot be moved; the old folder is then back at its place.
    """
    with storage_errors(target.parent):
        umask = os.umask(0)
        os.umask(umask)
        staging.chmod(0o777 & ~umask)  # mkdtemp makes it private; give it what mkdir() would
        if not target.exists() and not target.is_symlink():
            staging.rename(target)
            return
        old = Path(tempfile.mkdtemp(prefix=f".{target.name}.old.", dir=target.parent))
        target.rename(old / target.name)
        try:
            staging.rename(target)
        except BaseException:
            (old / target.name).rename(target)
            old.rmdir()
            raise
        shutil.rmtree(old)  # a link in it goes, what it leads to stays


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
            with storage_errors(path):
                self._known = (
                    {key: dict(entry) for key, entry in json.loads(path.read_text()).items()} if path.is_file() else {}
                )
            self._sums = {key: str(entry["sha256"]) for key, entry in self._known.items()}
        except (ValueError, AttributeError, KeyError, TypeError) as error:
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

        Args:
            key: The file's name in the record.
            path: The file.
            source: Where it came from.

        Returns:
            Its sha256.

        Raises:
            DownloadError: If it differs from the record.
        """
        with storage_errors(path):
            found = str(pooch.file_hash(str(path), alg="sha256"))
        known = self.get(key)
        if known is None:
            self._new[key] = {"sha256": found, "source": source}
        elif known != found:
            raise DownloadError(f"{path} must have the sha256 {known}, got {found}. The first is {self.remedy}.")
        return found

    def save(self) -> str | None:
        """Write what was noted and new.

        Returns:
            One line that says so; None if there is nothing new.
        """
        if not self._new:
            return None
        with storage_errors(self._path.parent), atomic_path(self._path) as temporary:
            temporary.write_text(json.dumps(self._known | self._new, indent=1, sort_keys=True) + "\n")
        what = next(iter(self._new)) if len(self._new) == 1 else f"{len(self._new)} files"
        return f"No checksum is published: recorded that of {what} in {self._path}, it is compared from now on."
