"""Pictures one after the other through one device; the next is read, and the last is written, beside the computing."""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Generic, TypeVar

from prosr_lightning.imaging.io import Pixels
from prosr_lightning.pictures.picture import Picture
from prosr_lightning.pictures.rows import PixelRows
from prosr_lightning.upscale.batch import Enlargement

Item = TypeVar("Item")
Frame = tuple[Picture, PixelRows]
Part = tuple[int, int]  # number of a frame from 0, and how many there are

_BANDS_AHEAD = 2  # that wait to be written
_WRITERS = 2  # one may still compress a picture as a whole while the next already comes in rows
_LOOK_UP = 0.1  # seconds after which it is seen whether anybody still waits for rows


def enlarge_all(
    jobs: Iterable[Enlargement],
    *,
    read: Callable[[Path], Sequence[Frame]],
    enlarge: Callable[[Enlargement, Part, PixelRows], PixelRows],
    write: Callable[[Path, Sequence[Frame]], None],
) -> Iterator[tuple[Enlargement, Exception | None]]:
    """Enlarge pictures; what goes wrong with one does not stop the others.

    Args:
        jobs: Taken one by one, one ahead of the work.
        read: Reads the frames of a picture, in a thread of its own.
        enlarge: Returns the enlarged rows of a frame, which are made in this thread.
        write: Takes the rows of each frame in turn, in another thread.

    Yields:
        Each job when it is finished, and what went wrong.
    """
    with ThreadPoolExecutor(1) as reader, ThreadPoolExecutor(_WRITERS) as writers:
        coming = ((job, reader.submit(read, job.source)) for job in jobs)
        writing: deque[tuple[Enlargement, Future[None]]] = deque()
        for job, contents in _one_ahead(coming):
            try:
                read_frames = contents.result()
                frames = [
                    (head, _Handed(enlarge(job, (number, len(read_frames)), rows)))
                    for number, (head, rows) in enumerate(read_frames)
                ]
            except Exception as error:  # noqa: BLE001  # whoever asked for the picture is told
                yield job, error
                continue
            taker = writers.submit(write, job.target, frames)
            writing.append((job, taker))
            for _, rows in frames:
                rows.make(taker)
            while len(writing) >= _WRITERS or (writing and writing[0][1].done()):
                yield _finished(*writing.popleft())
        while writing:
            yield _finished(*writing.popleft())


class Shared(Generic[Item]):
    """An iterable whose items go to whichever of several threads asks first.

    Args:
        items: Taken one by one.
    """

    def __init__(self, items: Iterable[Item]) -> None:
        self._items, self._lock = iter(items), threading.Lock()
        self.stopped = threading.Event()

    def __iter__(self) -> Iterator[Item]:
        while not self.stopped.is_set():
            with self._lock:
                try:
                    item = next(self._items)
                except StopIteration:
                    return
            yield item


def together(works: Sequence[Iterator[Item]], *, stop: Callable[[], None]) -> Iterator[Item]:
    """Run several iterators, each in a thread of its own, and yield what they make as it comes.

    Args:
        works: One alone is run in this thread.
        stop: Called when nobody wants more, such as after Ctrl-C, to have the threads end early.
    """
    if len(works) == 1:
        yield from works[0]
        return
    arrived: queue.SimpleQueue[tuple[Item] | BaseException | None] = queue.SimpleQueue()

    def run(work: Iterator[Item]) -> None:
        try:
            for item in work:
                arrived.put((item,))
            arrived.put(None)
        except BaseException as error:  # noqa: BLE001  # it is raised where the items are taken
            arrived.put(error)

    running = len(works)
    with ThreadPoolExecutor(running) as threads:
        try:
            for work in works:
                threads.submit(run, work)
            while running:
                message = arrived.get()
                if isinstance(message, BaseException):
                    raise message
                if message is None:
                    running -= 1
                else:
                    yield message[0]
        finally:
            stop()


def _finished(job: Enlargement, writing: Future[None]) -> tuple[Enlargement, Exception | None]:
    try:
        writing.result()
    except Exception as error:  # noqa: BLE001  # as above
        return job, error
    return job, None


def _one_ahead(items: Iterator[Item]) -> Iterator[Item]:
    following = next(items, None)
    while (item := following) is not None:
        following = next(items, None)
        yield item


class _Handed:
    """Rows that one thread makes and another takes; follows `PixelRows`, but its rows can be had once."""

    def __init__(self, rows: PixelRows) -> None:
        self.shape, self.dtype, self._rows = rows.shape, rows.dtype, rows
        self._waiting: queue.Queue[Pixels | BaseException | None] = queue.Queue(_BANDS_AHEAD)

    def bands(self) -> Iterator[Pixels]:
        """Yield the rows, and raise what making them raised."""
        while (band := self._waiting.get()) is not None:
            if isinstance(band, BaseException):
                raise band
            yield band

    def make(self, taker: Future[None]) -> None:
        """Make the rows, as long as there is somebody to take them."""
        try:
            for band in self._rows.bands():
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
