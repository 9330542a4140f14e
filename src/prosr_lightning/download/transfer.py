"""Fetch one file over HTTP: resumed where it broke off, retried, checked. pooch does the hashing and the renaming."""

from __future__ import annotations

import ipaddress
import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pooch
import requests

from prosr_lightning.download.placement import require_space, storage_errors
from prosr_lightning.errors import DownloadError

_CHUNK = 1 << 16  # 64 KiB: at most this much is lost when a connection breaks off
_RETRIED = frozenset({408, 429})  # and every 5xx
_TIMEOUT = (10.0, 60.0)  # seconds to connect, and between two reads


class _BrokenOffError(Exception):
    """An attempt failed in a way that may pass."""


@dataclass(frozen=True, kw_only=True)
class Transfer:
    """How files are fetched, and who is told.

    Args:
        attempts: Failures in a row, without a byte gained, after which an address is given up.
        sleep: Waits the seconds it is given between attempts (1, 2, 4, ...).
        say: Called with one line about something the user should know.
        progress: Called with a label, how much is done, the total if known, and both in words.
    """

    attempts: int = 3
    sleep: Callable[[float], None] = time.sleep
    say: Callable[[str], None] = field(default=lambda _line: None)
    progress: Callable[[str, float, float | None, str], None] = field(default=lambda *_state: None)


def fetch(
    url: str, destination: Path, *, label: str, sha256: str | None, sha256_is: str = "published", transfer: Transfer
) -> None:
    """Bring a file to `destination`, unless it is there already with the right checksum.

    What has arrived is kept in `destination` + `.part`, also when the program is interrupted, and the next call asks
    the server only for the rest. A file with the wrong checksum is removed.

    Args:
        url: An http or https address. This machine itself is asked without a proxy, whatever the environment says.
        destination: Where the finished file shall be.
        label: What the file is called towards the user.
        sha256: The checksum it must have; None if none is known.
        sha256_is: Where `sha256` comes from, for the error.
        transfer: Retries and reporting.

    Raises:
        DownloadError: If the server does not deliver, or delivers something else than `sha256` says.
        StorageError: If the disk is full or the place cannot be written.
    """
    pooch.get_logger().setLevel("WARNING")  # what it tells at INFO is told through `transfer.say`
    downloader = _Resuming(part=destination.with_name(f"{destination.name}.part"), label=label, transfer=transfer)
    try:
        with storage_errors(destination.parent):
            pooch.retrieve(
                url,
                known_hash=f"sha256:{sha256}" if sha256 else None,
                fname=destination.name,
                path=destination.parent,
                downloader=downloader,
            )
    except ValueError as error:  # pooch's word for a checksum that differs; it has removed the file
        raise DownloadError(
            f"{label} from {url} must have the sha256 {sha256} ({sha256_is}), got another; the file was removed. Try "
            f"again, or give another address with --url."
        ) from error


@dataclass(frozen=True, kw_only=True)
class _Resuming:
    """A downloader for pooch. `part` and its `.json` (the file's validator and size) outlive an interruption."""

    part: Path
    label: str
    transfer: Transfer

    def __call__(self, url: str, output_file: str, _pooch: object) -> None:
        best, failures = self._size(), 0
        while True:
            try:
                self._attempt(url)
                break
            except (_BrokenOffError, requests.RequestException) as error:
                _raise_if_hopeless(url, error)
                failures = 1 if self._size() > best else failures + 1
                best = max(best, self._size())
                self._pause_or_give_up(url, failures, error)
        self.part.replace(output_file)
        self._notes.unlink(missing_ok=True)

    def _pause_or_give_up(self, url: str, failures: int, error: Exception) -> None:
        if failures >= self.transfer.attempts:
            raise DownloadError(
                f"{url} could not be fetched, {failures} attempts in a row failed: {_reason(error)}. Check the "
                f"connection and try again later, give another address with --url, or a file "
                "fetched by hand with --archive."
            ) from error
        pause = 2.0 ** (failures - 1)
        self.transfer.say(f"{self.label}: {_reason(error)}; trying again in {pause:.0f} s")
        self.transfer.sleep(pause)

    def _attempt(self, url: str) -> None:
        offset, notes = self._resume_point()
        headers = {"Accept-Encoding": "identity"}  # so that sizes count bytes of the file itself
        if offset:
            headers["Range"] = f"bytes={offset}-"
            if notes["validator"]:
                headers["If-Range"] = notes["validator"]
        with requests.Session() as session:
            session.trust_env = not _is_this_machine(url)
            with session.get(url, headers=headers, stream=True, timeout=_TIMEOUT) as response:
                self._receive(url, response, offset, notes)

    def _receive(self, url: str, response: requests.Response, offset: int, notes: dict[str, Any]) -> None:
        status = response.status_code
        if status in (206, 416):
            first, total = _content_range(response)
            if status == 416 and total == offset:
                return  # everything had arrived, only the renaming was missing
            if first != offset or (notes["total"] and total != notes["total"]):
                self.part.unlink(missing_ok=True)
                raise _BrokenOffError("the file has changed on the server, starting over")
            self.transfer.say(f"{self.label}: resuming after {offset / 1e6:.1f} MB")  # 1 MB = 10^6 bytes
        elif status == 200:
            offset, total = 0, _content_length(response)
            self._notes.write_text(json.dumps({"validator": _validator(response), "total": total}))
        elif status >= 500 or status in _RETRIED:
            raise _BrokenOffError(f"the server answered {status} {response.reason}".rstrip())
        else:
            raise DownloadError(
                f"{url} could not be fetched, the server answered {status} {response.reason}; give another address "
                f"with --url, or a file downloaded by hand with --archive."
            )
        self._write(response, offset, total)

    def _write(self, response: requests.Response, offset: int, total: int | None) -> None:
        require_space(self.part.parent, (total or 0) - offset, purpose=f"for {self.label}")
        done = offset
        with self.part.open("ab" if offset else "wb") as file:
            for chunk in response.iter_content(_CHUNK):
                file.write(chunk)
                done += len(chunk)
                amount = f"{done / 1e6:.1f} {'' if total is None else f'of {total / 1e6:.1f} '}MB"
                self.transfer.progress(self.label, done, total, amount)
        if total is not None and done != total:
            raise _BrokenOffError(f"the connection ended after {done} of {total} bytes")

    @property
    def _notes(self) -> Path:
        return self.part.with_name(f"{self.part.name}.json")

    def _size(self) -> int:
        return self.part.stat().st_size if self.part.exists() else 0

    def _resume_point(self) -> tuple[int, dict[str, Any]]:
        """Give the bytes that can be built upon; 0 where nothing tells which file they belong to."""
        try:
            notes = json.loads(self._notes.read_text())
            return self._size(), {"validator": notes["validator"], "total": notes["total"]}
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return 0, {"validator": None, "total": None}


def _validator(response: requests.Response) -> str | None:
    etag = response.headers.get("ETag", "")
    if etag and not etag.startswith("W/"):  # RFC 9110, 13.1.5: If-Range takes no weak validator
        return etag
    return response.headers.get("Last-Modified")


def _content_length(response: requests.Response) -> int | None:
    if response.headers.get("Content-Encoding", "identity") != "identity":
        return None  # it would count the encoded bytes
    length = response.headers.get("Content-Length", "")
    return int(length) if length.isdigit() else None


def _content_range(response: requests.Response) -> tuple[int | None, int | None]:
    """Give the first byte's position and the size of the whole file."""
    match = re.fullmatch(r"bytes (?:(\d+)-\d+|\*)/(\d+|\*)", response.headers.get("Content-Range", "").strip())
    if match is None:
        return None, None
    first, total = match.groups()
    return (int(first) if first else None), (None if total == "*" else int(total))


def _is_this_machine(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _raise_if_hopeless(url: str, error: Exception) -> None:
    """Raise for what no further attempt changes: the address itself, or an untrusted certificate."""
    if isinstance(error, ValueError | requests.exceptions.SSLError | requests.TooManyRedirects):
        raise DownloadError(f"{url} cannot be fetched: {_reason(error)}; check the address.") from error


def _reason(error: Exception) -> str:
    if isinstance(error, requests.Timeout):
        return "the server did not answer in time"
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return "the connection broke off"
    if isinstance(error, requests.ConnectionError) and not isinstance(error, requests.exceptions.SSLError):
        return "no connection to the server"
    return str(error)
