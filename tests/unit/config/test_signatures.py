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
        told = read[name].default
        if not isinstance(told, signatures._Text):
            assert told == parameter.default
        elif re.fullmatch(r"[A-Z_]+", repr(told)):  # a constant of the module
            assert getattr(inspect.getmodule(get_object(target)), repr(told)) == parameter.default
        assert (parameter.default is inspect.Parameter.empty) == (read[name].default is inspect.Parameter.empty)


@pytest.mark.parametrize("target", ["torch.optim.Adamm", "lightning.pytorch.nothing.A", "prosr_lightning.nothing.A"])
def test_what_is_not_there_is_what_its_import_says(target):
    with pytest.raises(Exception, match=r"Error (locating|loading)|Are you sure"):
        signature_of(target)


TAKES_A = "    def __init__(self, a): ...\n"
SOURCES = {
    "every kind": ("class Own:\n    def __init__(self, a, /, b=1, *c, d: 'int' = 2, **e): ...", "abcde"),
    "a base": (f"class Base:\n{TAKES_A}class Own(Base): ...", "a"),
    "a decorator": (f"def other(f):\n    return lambda self, b: None\nclass Own:\n    @other\n{TAKES_A}", "b"),
    "a metaclass": (f"class Meta(type):\n    def __call__(cls, b): ...\nclass Own(metaclass=Meta):\n{TAKES_A}", "b"),
    "another constructor": (f"class Own:\n    def __new__(cls, b): ...\n{TAKES_A}", "b"),
    "bound again": (f"class Own:\n{TAKES_A}Own = lambda b: None", "b"),
    "a dataclass": ("import dataclasses\n@dataclasses.dataclass\nclass Own:\n    b: int", "b"),
}


@pytest.mark.parametrize(("source", "taken"), SOURCES.values(), ids=SOURCES)
def test_what_the_source_does_not_say_plainly_is_imported(source, taken, tmp_path, monkeypatch):
    (tmp_path / "own_package_of_a_test").mkdir()
    (tmp_path / "own_package_of_a_test" / "__init__.py").write_text(source, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(signatures, "_READ", ("own_package_of_a_test",))
    monkeypatch.delitem(sys.modules, "own_package_of_a_test", raising=False)
    assert "".join(signature_of("own_package_of_a_test.Own").parameters) == taken
