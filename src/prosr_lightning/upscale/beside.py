"""Pictures one after the other through one device; the next is read, and the last is written, beside the computing."""

from __future__ import annotations

import queue
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np

from prosr_lightning.imaging.io import Pixels
from prosr_lightning.pictures.picture import Picture
from prosr_lightning.pictures.rows import PixelRows
from prosr_lightning.upscale.batch import Enlargement

Contents = tuple[Picture, PixelRows]

_BANDS_AHEAD = 2  # that wait to be written
_WRITERS = 2  # one may still compress a picture as a whole while the next already comes in rows
_LOOK_UP = 0.1  # seconds after which it is seen whether anybody still waits for rows


def enlarge_all(
    jobs: Iterable[Enlargement],
    *,
    read: Callable[[Path], Contents],
    enlarge: Callable[[Enlargement, PixelRows], PixelRows],
    write: Callable[[Path, Picture, PixelRows], None],
) -> Iterator[tuple[Enlargement, Exception | None]]:
    """Enlarge pictures; what goes wrong with one does not stop the others.

    Args:
        jobs: Taken one by one, one ahead of the work.
        read: Reads a picture, in a thread of its own.
        enlarge: Returns the enlarged rows, which are taken in this thread.
        write: Takes the rows, in another thread.

    Yields:
        Each job when it is finished, and what went wrong.
    """
    with ThreadPoolExecutor(1) as reader, ThreadPoolExecutor(_WRITERS) as writers:
        coming = ((job, reader.submit(read, job.source)) for job in jobs)
        writing: deque[tuple[Enlargement, Future[None]]] = deque()
        for job, contents in _one_ahead(coming):
            try:
                head, rows = contents.result()
                enlarged = enlarge(job, rows)
                handed = _Handed(enlarged)
                target = writers.submit(write, job.target, head, handed)
            except Exception as error:  # noqa: BLE001  # whoever asked for the picture is told
                yield job, error
                continue
            writing.append((job, target))
            handed.give_all(enlarged.bands(), target)
            while len(writing) >= _WRITERS or (writing and writing[0][1].done()):
                yield _finished(*writing.popleft())
        while writing:
            yield _finished(*writing.popleft())


def _finished(job: Enlargement, writing: Future[None]) -> tuple[Enlargement, Exception | None]:
    try:
        writing.result()
    except Exception as error:  # noqa: BLE001  # as above
        return job, error
    return job, None


def _one_ahead(
    items: Iterator[tuple[Enlargement, Future[Contents]]],
) -> Iterator[tuple[Enlargement, Future[Contents]]]:
    following = next(items, None)
    while (item := following) is not None:
        following = next(items, None)
        yield item


class _Handed:
    """Rows that one thread makes and another takes; follows `PixelRows`, but its rows can be had once."""

    def __init__(self, rows: PixelRows) -> None:
        self.shape, self.dtype = rows.shape, rows.dtype
        self._waiting: queue.Queue[Pixels | BaseException | None] = queue.Queue(_BANDS_AHEAD)

    def bands(self) -> Iterator[Pixels]:
        """Yield the rows, and raise what making them raised."""
        while (band := self._waiting.get()) is not None:
            if isinstance(band, BaseException):
                raise band
            yield band

    def give_all(self, bands: Iterator[np.ndarray], taker: Future[None]) -> None:
        """Make the rows, as long as there is somebody to take them."""
        try:
            for band in bands:
                if not self._give(band, taker):
                    return
            self._give(None, taker)
        except BaseException as error:
            self._give(error, taker)
            if not isinstance(error, Exception):
                raise

    def _give(self, band: Pixels | BaseException | None, taker: Future[None]) -> bool:
        while not taker.done():
            try:
                self._waiting.put(band, timeout=_LOOK_UP)
            except queue.Full:
                continue
            return True
        return False
