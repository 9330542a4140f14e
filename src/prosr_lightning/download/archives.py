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
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tarfile import TarInfo
from typing import IO

from prosr_lightning.download.placement import require_space
from prosr_lightning.errors import DownloadError, ProSRError, StorageError

_DAMAGED = (zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, NotImplementedError)
_KINDS = {
    0: tarfile.REGTYPE,
    stat.S_IFREG: tarfile.REGTYPE,
    stat.S_IFDIR: tarfile.DIRTYPE,
    stat.S_IFLNK: tarfile.SYMTYPE,
}


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
        with _opened(archive) as (listed, open_member):
            wanted = _wanted(archive, list(_checked(archive, listed, limits)), members)
            require_space(target.parent, sum(member.size for member in wanted.values()), purpose="to unpack")
            for name, member in wanted.items():
                with open_member(member) as source, (target / name).open("wb") as file:
                    shutil.copyfileobj(source, file, 1 << 20)
                    written = file.tell()
                if written != member.size:
                    raise DownloadError(
                        f"{archive} is damaged: {member.name!r} has {written} of {member.size} bytes; "
                        "download it again."
                    )
            return len(wanted)
    except ProSRError:
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
def _opened(archive: Path) -> Iterator[tuple[Iterable[TarInfo], Callable[[TarInfo], IO[bytes]]]]:
    """Give the members of an archive, those of a zip in tar's terms too, and what opens a regular one of them."""
    if tarfile.is_tarfile(archive):  # first: a tar whose last member is a zip looks like a zip too
        with tarfile.open(archive) as file:
            yield file, file.extractfile  # type: ignore[misc]  # None for others than regular files
    elif zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as packed:
            yield (
                (_tar_info(archive, packed, info) for info in packed.infolist()),
                lambda member: packed.open(member.name),
            )
    else:
        with archive.open("rb") as raw:
            begin = raw.read(32)
        hint = " (a web page)" if begin.lstrip().lower().startswith((b"<!doctype", b"<html")) else ""
        raise DownloadError(
            f"{archive} must be a zip or tar archive, but begins with {begin!r}{hint}; download it again."
        )


def _tar_info(archive: Path, file: zipfile.ZipFile, info: zipfile.ZipInfo) -> TarInfo:
    if info.flag_bits & 0x1:  # APPNOTE.TXT, 4.4.4: bit 0 marks an encrypted file
        raise DownloadError(f"{archive} must not be encrypted, but {info.filename} is; unpack it by hand.")
    member = TarInfo(info.filename)
    member.size = info.file_size
    mode = info.external_attr >> 16  # the upper half is the Unix mode, 0 where there is none
    member.type = _KINDS.get(stat.S_IFMT(mode), tarfile.CHRTYPE)
    if member.isreg() and info.is_dir():
        member.type = tarfile.DIRTYPE
    if member.issym():
        member.linkname = file.read(info).decode(errors="replace") if info.file_size <= 4096 else "/"  # PATH_MAX
    return member


def _checked(archive: Path, members: Iterable[TarInfo], limits: Limits) -> Iterator[TarInfo]:
    """Pass members on, and stop at the first that is hostile (before the data of a bomb are decompressed)."""
    total, packed = 0, archive.stat().st_size
    for count, member in enumerate(members, start=1):
        total += member.size
        if _leaves(member.name):
            _refuse(archive, f"the path {member.name!r} leads out of the target folder")
        if _leaves(_link_target(member)):
            _refuse(archive, f"the link {member.name!r} leads out of the target folder")
        if member.isdev() or member.issparse():
            _refuse(archive, f"{member.name!r} is a device or another special file")
        if count > limits.members:
            _refuse(archive, f"it holds more than {limits.members} members")
        if total > limits.total_bytes:
            _refuse(archive, f"it unpacks to more than {limits.total_bytes} bytes")
        if total > limits.ratio_floor and total > limits.ratio * packed:
            _refuse(archive, f"it unpacks to more than {limits.ratio} times its size")
        yield member


def _link_target(member: TarInfo) -> str:
    """Resolve a link from the archive's root, as hard links are already; empty for what is none."""
    if member.issym():
        return posixpath.normpath(posixpath.join(posixpath.dirname(member.name), member.linkname.replace("\\", "/")))
    return member.linkname if member.islnk() else ""


def _leaves(name: str) -> bool:
    name = name.replace("\\", "/")
    return name.startswith("/") or re.match(r"[A-Za-z]:", name) is not None or ".." in name.split("/")


def _refuse(archive: Path, why: str) -> None:
    raise DownloadError(f"{archive} is refused, it may harm this machine: {why}; get it from a source you trust.")


def _wanted(archive: Path, members: Sequence[TarInfo], patterns: Sequence[str]) -> dict[str, TarInfo]:
    files = [member for member in members if member.isreg()]
    for pattern in patterns:
        wanted: dict[str, TarInfo] = {}
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
