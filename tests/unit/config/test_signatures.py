import inspect
import re
import sys

import pytest
from hydra.utils import get_object

from prosr_lightning.config import conf_dir, signatures
from prosr_lightning.config.signatures import signature_of

TARGETS = sorted(
    {
        target
        for file in conf_dir().rglob("*.yaml")
        for target in re.findall(r"_target_: ([\w.]+)", file.read_text(encoding="utf-8"))
    }
)


@pytest.mark.parametrize("target", TARGETS)
def test_the_source_says_what_the_import_does(target, monkeypatch):
    taken = inspect.signature(get_object(target)).parameters
    monkeypatch.setattr(signatures, "get_object", None)  # no import is needed
    read = signature_of(target).parameters
    assert [(name, parameter.kind) for name, parameter in read.items()] == [
        (name, parameter.kind) for name, parameter in taken.items()
    ]
    for name, parameter in taken.items():
        told, default = read[name].default, parameter.default
        if isinstance(default, (int, float)) and re.fullmatch(r"[A-Z_]+", repr(told)):
            assert getattr(inspect.getmodule(get_object(target)), repr(told)) == default  # a constant of the module
        elif "factory" not in repr(default):
            assert told == default or told is default
        assert (parameter.default is inspect.Parameter.empty) == (read[name].default is inspect.Parameter.empty)


@pytest.mark.parametrize(
    "target", ["torch.optim.Adamm", "lightning.pytorch.callback.Timer", "prosr_lightning.nothing.X"]
)
def test_what_is_not_there_is_what_its_import_says(target):
    with pytest.raises(Exception, match=r"Error (locating|loading)|Are you sure"):
        signature_of(target)


@pytest.mark.parametrize(
    ("source", "taken"),
    [
        ("class Own:\n    def __init__(self, a, /, b=1, *rest, c: 'int' = 2, **more): ...", ["a", "b", "rest", "c", "more"]),
        ("class Base:\n    def __init__(self, a): ...\nclass Own(Base): ...", ["a"]),
        ("import functools\ndef bare(f):\n    return lambda self, b: None\nclass Own:\n    @bare\n    def __init__(self, a): ...", ["b"]),
        ("class Meta(type):\n    def __call__(cls, b): ...\nclass Own(metaclass=Meta):\n    def __init__(self, a): ...", ["b"]),
        ("class Own:\n    def __new__(cls, b): ...\n    def __init__(self, a): ...", ["b"]),
        ("class Own:\n    def __init__(self, a): ...\nOwn = lambda b: None", ["b"]),
        ("import dataclasses\n@dataclasses.dataclass\nclass Own:\n    b: int", ["b"]),
    ],
)  # fmt: skip
def test_a_source_that_does_not_say_it_is_imported(source, taken, tmp_path, monkeypatch):
    (tmp_path / "own_package_of_a_test").mkdir()
    (tmp_path / "own_package_of_a_test" / "__init__.py").write_text(source, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(signatures, "_READ", ("own_package_of_a_test",))
    monkeypatch.delitem(sys.modules, "own_package_of_a_test", raising=False)
    assert list(signature_of("own_package_of_a_test.Own").parameters) == taken
