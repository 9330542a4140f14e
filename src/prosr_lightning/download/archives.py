"""Take images out of a zip or tar archive that may come from anyone."""

from __future__ import annotations

import lzma
import posixpath
import re
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO

from prosr_lightning.errors import DownloadError, StorageError

_DAMAGED = (zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, NotImplementedError)


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What an archive may grow to. Photographs are compressed already, so honest archives stay far below.

    Args:
        total_bytes: All members together; DIV2K's largest archive has 3.5e9.
        ratio: All members together, over the size of the archive.
        ratio_floor: The ratio is not looked at up to this many bytes.
        members: Number of members.
    """

    total_bytes: int = 16 * 2**30
    ratio: int = 100  # deflate reaches 1032 at most; PNG files stay near 1, empty bitmaps near 50
    ratio_floor: int = 64 * 2**20
    members: int = 200_000


@dataclass(frozen=True, kw_only=True)
class _Member:
    name: str
    size: int
    is_file: bool
    is_special: bool
    link: str | None  # where a link leads, from the archive's root
    open: Callable[[], IO[bytes]]


def extract_images(archive: Path, target: Path, members: Sequence[str], *, limits: Limits | None = None) -> int:
    """Write the wanted members of an archive into one flat folder.

    The whole archive is looked through before the first byte is written, and refused if any member, wanted or not,
    is hostile. Only regular files are written, under names of our own making.

    Args:
        archive: A zip or a tar (plain, gzip, bzip2, xz), judged by its content.
        target: An existing folder.
        members: Patterns, tried in this order until one is found in a member's name; case does not matter. The groups
            `stem` and `suffix` make the file's name.
        limits: What the archive may grow to; the defaults of `Limits` if None.

    Returns:
        The number of files written; 0 if no pattern is found.

    Raises:
        DownloadError: If the file is no archive, is damaged or encrypted, holds two members for one name, or is refused
            for safety: a path that is absolute or climbs out, a link out of the target, a device, too large a content.
        StorageError: If the disk is full or the place cannot be written.
    """
    limits = limits or Limits()
    try:
        with _members(archive) as found:
            checked = list(_checked(archive, found, limits))
            wanted = _wanted(archive, checked, members)
            _check_space(target, sum(member.size for member in wanted.values()))
            for name, member in wanted.items():
                _write(archive, member, target / name)
            return len(wanted)
    except (StorageError, DownloadError):
        raise
    except _DAMAGED as error:
        raise DownloadError(f"{archive} is damaged: {error or type(error).__name__}; download it again.") from error
    except OSError as error:
        if error.errno is None:  # gzip and bz2 report damage so
            raise DownloadError(f"{archive} is damaged: {error}; download it again.") from error
        raise StorageError(
            f"{archive} cannot be unpacked into {target.parent}: {error.strerror}; free space or choose another folder "
            f"with --root."
        ) from error


@contextmanager
def _members(archive: Path) -> Iterator[Iterator[_Member]]:
    if tarfile.is_tarfile(archive):  # first: a tar whose last member is a zip looks like a zip too
        with tarfile.open(archive) as file:
            yield _tar_members(file)
    elif zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as packed:
            yield _zip_members(archive, packed)
    else:
        with archive.open("rb") as raw:
            begin = raw.read(32)
        hint = " (a web page)" if begin.lstrip().lower().startswith((b"<!doctype", b"<html")) else ""
        raise DownloadError(
            f"{archive} must be a zip or tar archive, but begins with {begin!r}{hint}; download it again."
        )


def _zip_members(archive: Path, file: zipfile.ZipFile) -> Iterator[_Member]:
    for info in file.infolist():
        if info.flag_bits & 0x1:  # APPNOTE.TXT, 4.4.4: bit 0 marks an encrypted file
            raise DownloadError(f"{archive} must not be encrypted, but {info.filename} is; unpack it by hand.")
        kind = stat.S_IFMT(info.external_attr >> 16)  # the upper half is the Unix mode, 0 where there is none
        link = None
        if kind == stat.S_IFLNK:
            to = file.read(info).decode(errors="replace") if info.file_size <= 4096 else "/"  # PATH_MAX
            link = _from_root(info.filename, to)
        yield _Member(
            name=info.filename,
            size=info.file_size,
            is_file=not info.is_dir() and kind in (0, stat.S_IFREG),
            is_special=kind not in (0, stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK),
            link=link,
            open=partial(file.open, info),
        )


def _tar_members(file: tarfile.TarFile) -> Iterator[_Member]:
    for info in file:
        link = None
        if info.issym():
            link = _from_root(info.name, info.linkname)
        elif info.islnk():
            link = info.linkname
        yield _Member(
            name=info.name,
            size=info.size,
            is_file=info.isreg() and not info.issparse(),
            is_special=info.isdev() or info.issparse(),
            link=link,
            open=partial(_open_tar_member, file, info),
        )


def _open_tar_member(file: tarfile.TarFile, info: tarfile.TarInfo) -> IO[bytes]:
    source = file.extractfile(info)
    if source is None:  # never for a regular file
        raise tarfile.ReadError(f"{info.name!r} has no content")
    return source


def _from_root(name: str, link: str) -> str:
    """Resolve a symbolic link's text against the folder of the link."""
    return posixpath.normpath(posixpath.join(posixpath.dirname(name), link.replace("\\", "/")))


def _checked(archive: Path, members: Iterator[_Member], limits: Limits) -> Iterator[_Member]:
    """Pass members on, and stop at the first that is hostile (before the data of a bomb are decompressed)."""
    total, packed = 0, archive.stat().st_size
    for count, member in enumerate(members, start=1):
        total += member.size
        if _leaves(member.name):
            _refuse(archive, f"the path {member.name!r} leads out of the target folder")
        if member.link is not None and _leaves(member.link):
            _refuse(archive, f"the link {member.name!r} leads out of the target folder")
        if member.is_special:
            _refuse(archive, f"{member.name!r} is a device or another special file")
        if count > limits.members:
            _refuse(archive, f"it holds more than {limits.members} members")
        if total > limits.total_bytes:
            _refuse(archive, f"it unpacks to more than {limits.total_bytes} bytes")
        if total > limits.ratio_floor and total > limits.ratio * packed:
            _refuse(archive, f"it unpacks to more than {limits.ratio} times its size")
        yield member


def _leaves(name: str) -> bool:
    name = name.replace("\\", "/")
    return name.startswith("/") or re.match(r"[A-Za-z]:", name) is not None or ".." in name.split("/")


def _refuse(archive: Path, why: str) -> None:
    raise DownloadError(f"{archive} is refused, it may harm this machine: {why}; get it from a source you trust.")


def _wanted(archive: Path, members: Sequence[_Member], patterns: Sequence[str]) -> dict[str, _Member]:
    files = [member for member in members if member.is_file]
    for pattern in patterns:
        wanted: dict[str, _Member] = {}
        for member in files:
            match = re.search(pattern, member.name.replace("\\", "/"), flags=re.IGNORECASE)
            if match is None:
                continue
            name = match["stem"] + match["suffix"].lower()
            if name in wanted:
                raise DownloadError(
                    f"{archive} must hold each image once, but {wanted[name].name!r} and {member.name!r} are both "
                    f"{name}; pack only the high-resolution images."
                )
            wanted[name] = member
        if wanted:
            return wanted
    return {}


def _check_space(target: Path, needed: int) -> None:
    free = shutil.disk_usage(target).free
    if needed > free:
        raise StorageError(
            f"{target.parent} must have {needed / 1e6:.0f} MB free to unpack, got {free / 1e6:.0f} MB; free space or "
            f"choose another folder with --root."
        )


def _write(archive: Path, member: _Member, path: Path) -> None:
    with member.open() as source, path.open("wb") as file:
        shutil.copyfileobj(source, file, 1 << 20)
        written = file.tell()
    if written != member.size:
        raise DownloadError(
            f"{archive} is damaged: {member.name!r} has {written} of {member.size} bytes; download it again."
        )
