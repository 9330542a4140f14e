from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from PIL import Image

from prosr_lightning.imaging.io import ProcessSettings
from prosr_lightning.pictures.guarding import reading


def beside(work: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=work)
    thread.start()
    return thread


def test_who_leaves_first_takes_nothing_from_who_stays() -> None:
    limit, filters = Image.MAX_IMAGE_PIXELS, list(warnings.filters)
    entered, leave, seen = threading.Event(), threading.Event(), list[int | None]()

    def stay() -> None:
        with reading("second", allow_huge=True):
            entered.set()
            assert leave.wait(10)
            seen.append(Image.MAX_IMAGE_PIXELS)

    with reading("first", allow_huge=True):
        staying = beside(stay)
        assert entered.wait(10)
    leave.set()
    staying.join(10)
    assert seen == [None]
    assert (limit, filters) == (Image.MAX_IMAGE_PIXELS, list(warnings.filters))


def test_who_wants_something_else_waits() -> None:
    settings, order = ProcessSettings(), list[str]()
    entered, leave = threading.Event(), threading.Event()

    @contextmanager
    def one_way() -> Iterator[None]:
        order.append("set one")
        yield
        order.append("restore one")

    @contextmanager
    def another() -> Iterator[None]:
        order.append("set another")
        yield

    def stay() -> None:
        with settings(one_way):
            entered.set()
            assert leave.wait(10)

    def follow() -> None:
        with settings(another):
            pass

    staying = beside(stay)
    assert entered.wait(10)
    following = beside(follow)
    following.join(0.1)
    assert following.is_alive()
    leave.set()
    staying.join(10)
    following.join(10)
    assert order == ["set one", "restore one", "set another"]


def test_what_fails_inside_is_restored() -> None:
    limit = Image.MAX_IMAGE_PIXELS
    with pytest.raises(Exception, match="the picture cannot be read"), reading("the picture", allow_huge=True):
        raise ValueError("damaged")
    assert limit == Image.MAX_IMAGE_PIXELS
