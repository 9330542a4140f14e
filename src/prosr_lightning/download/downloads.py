"""Bring a data set into the data directory: fetch, check, unpack, count, and only then put in place."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

from PIL import Image

from prosr_lightning.data.benchmarks import NUM_IMAGES, find_dataset, image_files, listed
from prosr_lightning.download.archives import extract_images
from prosr_lightning.download.catalogue import Archive, Dataset, Files, Part
from prosr_lightning.download.placement import Checksums, replacing, storage_errors
from prosr_lightning.download.transfer import Transfer, fetch
from prosr_lightning.errors import DataError, DownloadError, ProSRError, StorageError

CACHE = ".downloads"  # below the data directory: unfinished and not yet unpacked files
CHECKSUMS = "checksums.json"  # below the data directory: what was recorded on first use

_Source = Archive | Files | Path
_Given = TypeVar("_Given", str, Path)


def download(
    dataset: Dataset,
    root: Path,
    *,
    urls: Sequence[str] = (),
    archives: Sequence[Path] = (),
    force: bool = False,
    transfer: Transfer | None = None,
) -> None:
    """Bring one data set below `root`, unless it is there and complete.

    Args:
        dataset: An entry of the catalogue.
        root: The data directory; made if missing.
        urls: Addresses of archives to use instead of the catalogue's. Of a data set with several folders, an address
            whose file name contains a folder's name serves this folder only.
        archives: Archives downloaded by hand, assigned in the same way; they are left where they are.
        force: Download again and replace the folders that are there.
        transfer: Retries and reporting; the defaults of `Transfer` if None.

    Raises:
        DataError: If the data set must be fetched by hand, holds a wrong number of images or unreadable ones, a folder
            is there that is not the data set, or no given address or archive serves one of its folders.
        DownloadError: If no address delivers, a checksum differs, or an archive is damaged or refused for safety.
        StorageError: If the disk is full or `root` cannot be written.
    """
    transfer = transfer or Transfer()
    by_user = bool(urls or archives)
    renew = force and (by_user or dataset.by_hand is None)
    with storage_errors(root):
        missing = [part for part in dataset.parts if renew or not _is_complete(part, root, transfer)]
    if not missing:
        return
    if dataset.by_hand is not None and not by_user:
        folder = root / missing[0].folder
        transfer.say(dataset.by_hand.format(folder=folder))
        raise DataError(
            f"{folder} must hold {missing[0].count} images, found none; {dataset.title} has to be fetched by hand, "
            f"follow the steps above."
        )
    transfer.say(f"Terms: {dataset.terms}")
    unserved = []
    for part in missing:
        sources: list[_Source] = list(part.sources)
        if by_user:
            sources = [*_serving(archives, part, dataset), *(Archive(url=url) for url in _serving(urls, part, dataset))]
        if sources:
            _install_from_any(part, root, sources, transfer)
        else:
            unserved.append(part)
    if unserved:
        names = " and ".join(part.leaf for part in unserved)
        raise DataError(
            f"{dataset.title} must have {names}, but no given --url or --archive is for it; give one whose file name "
            f"contains the folder's name, or run `python -m prosr_lightning.download {dataset.name} --root {root}`."
        )


def _is_complete(part: Part, root: Path, transfer: Transfer) -> bool:
    """Say whether the folder is complete, in any layout that evaluation reads; raise if it holds something else."""
    folder = root / part.folder
    images: Sequence[Path] = image_files(folder)
    if part.folder in NUM_IMAGES:
        with suppress(DataError):  # told below, with what this command can do about it
            images = find_dataset(part.folder, root).images
            folder = images[0].parent
    if len(images) == part.count:
        transfer.say(f"{folder} is complete ({part.count} images); not downloaded again. Use --force to do so.")
        return True
    if folder.is_dir() and any(folder.iterdir()):
        raise DataError(
            f"{folder} must hold {part.count} images, found {len(images)}; complete it by hand, or use --force to "
            f"replace the folder."
        )
    return False


def _serving(sources: Sequence[_Given], part: Part, dataset: Dataset) -> list[_Given]:
    """Pick the addresses or files that name this part, and those that name no part at all."""
    others = [other.leaf for other in dataset.parts if other != part]
    names = [(source, _file_name(str(source))) for source in sources]
    return [source for source, name in names if part.leaf in name or not any(leaf in name for leaf in others)]


def _file_name(address: str) -> str:
    path = urlsplit(address).path if "://" in address else address
    return Path(path).name or "download"


def _install_from_any(part: Part, root: Path, sources: Sequence[_Source], transfer: Transfer) -> None:
    errors: list[ProSRError] = []
    for source in sources:
        if errors:
            transfer.say(f"{errors[-1]}\n{part.leaf}: going on with the next address")
        try:
            _install(part, root, source, transfer)
            return
        except StorageError:
            raise
        except (DownloadError, DataError) as error:
            errors.append(error)
    if len(errors) == 1:
        raise errors[0]
    listed = "; ".join(f"({number}) {str(error).rstrip('.')}" for number, error in enumerate(errors, start=1))
    raise DownloadError(f"{part.leaf} could not be had from any of {len(errors)} addresses: {listed}.") from errors[-1]


def _install(part: Part, root: Path, source: _Source, transfer: Transfer) -> None:
    """Fill a hidden folder from one source, check it, and move it to its place.

    What was fetched stays in the cache when the network, the disk or the user stops the work, and goes when it is bad.
    """
    target, cache = root / part.folder, root / CACHE / part.leaf
    with storage_errors(root):
        checksums = Checksums(root / CHECKSUMS)
        with replacing(target, cache) as folder:
            if isinstance(source, Files):
                _fetch_files(part, source, cache, checksums=checksums, transfer=transfer)
            else:
                archive = _get_archive(part, source, cache, checksums, transfer)
            try:
                if isinstance(source, Files):
                    for name, _ in source.items(part.count):
                        shutil.copyfile(cache / name, folder / name)
                else:
                    transfer.say(f"{part.leaf}: unpacking {archive}")
                    extract_images(archive, folder, part.members)
                _verify(part, folder, source)
            except (DownloadError, DataError):
                shutil.rmtree(cache, ignore_errors=True)
                raise
        checksums.save(transfer.say)
    transfer.say(f"{target} is complete ({part.count} images).")


def _fetch_files(part: Part, source: Files, cache: Path, *, checksums: Checksums, transfer: Transfer) -> None:
    """Fetch images one by one; the bar counts files, for they are small."""
    transfer.say(f"{part.leaf}: fetching {part.count} images from {_origin(source)}")
    silent = replace(transfer, progress=lambda *_: None)
    for done, (name, url) in enumerate(source.items(part.count), start=1):
        key = f"{part.folder}/{name}"
        fetch(url, cache / name, label=key, sha256=checksums.get(key), sha256_is=checksums.remedy, transfer=silent)
        checksums.note(key, cache / name, source=url)
        transfer.progress(part.leaf, done, part.count, f"{done} of {part.count} files")


def _get_archive(part: Part, source: Archive | Path, cache: Path, checksums: Checksums, transfer: Transfer) -> Path:
    """Give the path of a source's archive, checked against what is published or was recorded."""
    name = _file_name(_origin(source))
    key = f"{part.folder}/{name}"
    if isinstance(source, Path):
        archive = source
        if not archive.is_file():
            raise DataError(f"--archive must be a zip or tar file, found none at {archive}; check the path.")
    else:
        archive = cache / f"{hashlib.sha256(source.url.encode()).hexdigest()[:8]}-{name}"  # mirrors must not mix
        expected = source.sha256 or checksums.get(key)
        whence = "published with the data set" if source.sha256 else checksums.remedy
        transfer.say(f"{part.leaf}: fetching {source.url}")
        fetch(source.url, archive, label=name, sha256=expected, sha256_is=whence, transfer=transfer)
        if source.sha256:
            transfer.say(f"{name} has the published checksum.")
            return archive
    checksum = checksums.note(key, archive, source=_origin(source))
    published = {
        _file_name(mirror.url): mirror.sha256
        for mirror in part.sources
        if isinstance(mirror, Archive) and mirror.sha256
    }
    if name in published:
        verdict = "has" if checksum == published[name] else "does NOT have"
        transfer.say(f"{name} {verdict} the checksum published for the official archive of this name.")
    return archive


def _origin(source: _Source) -> str:
    if isinstance(source, Files):
        return source.url.rsplit("/", maxsplit=1)[0]
    return str(source) if isinstance(source, Path) else source.url


def _verify(part: Part, folder: Path, source: _Source) -> None:
    """Check the number of the images, that each has a readable header, and the size where that tells copies apart."""
    origin = _origin(source)
    images, unreadable, longest = image_files(folder), [], 0
    if len(images) != part.count:
        raise DataError(
            f"{part.leaf} must hold {part.count} images, found {len(images)} in {origin}; give another source with "
            f"--url or --archive."
        )
    for path in images:
        try:
            with Image.open(path) as image:
                longest = max(longest, *image.size)
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
            unreadable.append(path.name)
    if unreadable:
        raise DataError(
            f"{part.leaf} must hold images only, but {len(unreadable)} of {origin} cannot be read "
            f"({listed(unreadable)}); give another source with --url or --archive."
        )
    if part.long_side is not None and longest < part.long_side:
        raise DataError(
            f"{part.leaf} must have images of at least {part.long_side} pixels on the long side, found {longest} in "
            f"{origin}: this is the shrunken copy; give another source with --url or --archive."
        )
