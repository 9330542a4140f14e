"""A small HTTP server on this machine that can resume, break off and fail as it is told."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class FileServer(ThreadingHTTPServer):
    """Serves `files`, and notes every request.

    Set `ranges` to False for a server that cannot resume; `etags[path]` is "" for no ETag. `failures[path]`
    answers 503 so many times, `breaks[path]` lists after how many bytes of the body the next answers break off.
    """

    daemon_threads = True

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.etags: dict[str, str] = {}
        self.failures: dict[str, int] = {}
        self.breaks: dict[str, list[int]] = {}
        self.ranges = True
        self.requests: list[tuple[str, str | None]] = []
        super().__init__(("127.0.0.1", 0), _Handler)

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server_port}{path}"


class _Handler(BaseHTTPRequestHandler):
    server: FileServer

    def do_GET(self) -> None:
        wanted = self.headers.get("Range")
        self.server.requests.append((self.path, wanted))
        self.path = self.path.partition("?")[0]
        if self.server.failures.get(self.path, 0) > 0:
            self.server.failures[self.path] -= 1
            self._answer(503, b"busy", {})
        elif self.path not in self.server.files:
            self._answer(404, b"nothing here", {})
        else:
            self._send_file(self.server.files[self.path], wanted)

    def _send_file(self, body: bytes, wanted: str | None) -> None:
        etag = self.server.etags.get(self.path, '"one"')
        headers = {"ETag": etag} if etag else {}
        if wanted and self.server.ranges and self.headers.get("If-Range", etag) == etag:
            first = int(re.fullmatch(r"bytes=(\d+)-", wanted)[1])
            if first >= len(body):
                self._answer(416, b"", {"Content-Range": f"bytes */{len(body)}"})
            else:
                part = {"Content-Range": f"bytes {first}-{len(body) - 1}/{len(body)}"}
                self._answer(206, body[first:], headers | part)
        else:
            self._answer(200, body, headers)

    def _answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(body))} | headers).items():
            self.send_header(name, value)
        self.end_headers()
        breaks = self.server.breaks.get(self.path)
        self.wfile.write(body[: breaks.pop(0)] if breaks and status < 400 else body)

    def log_message(self, *_: object) -> None:
        """Stay silent."""


@contextmanager
def serving() -> Iterator[FileServer]:
    """Run a server while the block runs."""
    with FileServer() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
