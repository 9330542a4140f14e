"""What a class or function of a configuration takes, read from its source where that says it.

Torch and Lightning need seconds to be imported, and a mistyped key should be told at once.
"""

from __future__ import annotations

import ast
import functools
import inspect
import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from hydra.utils import get_object

_READ = ("prosr_lightning", "lightning", "torch")  # what is always installed; anybody else's code is imported
_KEEPING = ("final", "_defaults_from_env_vars")  # decorators that keep the signature; the second is Lightning's
_PLAIN = ("ABC",)  # bases that take nothing
_Definition = ast.ClassDef | ast.FunctionDef


def signature_of(target: str) -> inspect.Signature:
    """Return what a class, without its instance, or a function takes.

    Args:
        target: Where it is: `torch.optim.Adam`.

    Returns:
        Of what was not imported, annotations are their texts and defaults that are no literals have them as `repr`.

    Raises:
        Exception: Whatever its import raises.
    """
    module, _, name = target.rpartition(".")
    if module.partition(".")[0] in _READ and (read := _read(module, name)) is not None:
        return read
    return inspect.signature(get_object(target))


def _read(module: str, name: str) -> inspect.Signature | None:
    """Return what the source says; None where it takes an import to know."""
    place = _definition(module, name)
    if place is None:
        return None
    module, node = place
    if isinstance(node, ast.ClassDef):
        return _of_class(module, node)
    return None if node.decorator_list else _signature(node)


def _of_class(module: str, node: ast.ClassDef) -> inspect.Signature | None:
    decorators = [decorator for decorator in map(ast.unparse, node.decorator_list) if decorator not in _KEEPING]
    methods = {part.name: part for part in node.body if isinstance(part, ast.FunctionDef)}
    own = methods.get("__init__")
    bases = [base for base in map(ast.unparse, node.bases) if base not in _PLAIN]
    if len(decorators) == 1 and decorators[0].startswith("dataclass(kw_only=True"):
        return inspect.Signature(list(_fields(module, node).values()))
    if decorators or node.keywords or "__new__" in methods:  # a metaclass is among the keywords
        return None
    if own is not None:
        plain = all(ast.unparse(decorator) in _KEEPING for decorator in own.decorator_list)
        return _signature(own, bound=True) if plain else None
    if len(bases) == 1:
        return _read(module, bases[0])
    return None if bases else inspect.Signature()


def _fields(module: str, node: ast.ClassDef) -> dict[str, inspect.Parameter]:
    """Return what a dataclass of keywords takes, its inherited fields first."""
    fields: dict[str, inspect.Parameter] = {}
    for base in reversed(node.bases):
        place = _definition(module, ast.unparse(base))
        if place is not None and isinstance(above := place[1], ast.ClassDef) and above.decorator_list:
            fields |= _fields(place[0], above)
    for part in node.body:
        if not isinstance(part, ast.AnnAssign) or not isinstance(part.target, ast.Name):
            continue
        kind, value = ast.unparse(part.annotation), "" if part.value is None else ast.unparse(part.value)
        if not kind.startswith("ClassVar") and not re.match(r"field\(.*init=False", value):
            fields[part.target.id] = _parameter(
                part.target.id, inspect.Parameter.KEYWORD_ONLY, part.value, part.annotation
            )
    return fields


def _definition(module: str, name: str) -> tuple[str, _Definition] | None:
    """Return the class or function that a module binds to a name, and the module that defines it."""
    file = _file(module)
    if file is None:
        return None
    bound: tuple[str, _Definition] | None = None
    for node in _body(file):
        if isinstance(node, _Definition) and node.name == name:
            bound = module, node
        elif isinstance(node, ast.Assign) and name in map(ast.unparse, node.targets):
            bound = None
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            for alias in node.names:
                if (alias.asname or alias.name) == name:
                    bound = _definition(node.module, alias.name)
    return bound


def _file(module: str) -> Path | None:
    """Return the source of a module, without importing the packages above it."""
    top, *parts = module.split(".")
    spec = find_spec(top)
    if spec is None or not spec.submodule_search_locations:
        return None
    path = Path(spec.submodule_search_locations[0]).joinpath(*parts)
    return next((file for file in (path / "__init__.py", path.with_suffix(".py")) if file.is_file()), None)


@functools.cache
def _body(file: Path) -> list[ast.stmt]:
    """Return the statements of a module, also those for type checkers: names that are imported when first used."""
    body = ast.parse(file.read_text(encoding="utf-8")).body
    lazy = [node for node in body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"]
    return [*body, *(part for node in lazy for part in node.body)]


def _signature(node: ast.FunctionDef, *, bound: bool = False) -> inspect.Signature:
    """Return the signature of a definition, without `self` if it is bound."""
    taken, kinds = node.args, inspect.Parameter
    positional = [*taken.posonlyargs, *taken.args]
    missing: list[ast.expr | None] = [None] * (len(positional) - len(taken.defaults))
    rows = [
        *zip(positional, [*missing, *taken.defaults], [kinds.POSITIONAL_OR_KEYWORD] * len(positional), strict=True),
        *([(taken.vararg, None, kinds.VAR_POSITIONAL)] if taken.vararg else []),
        *(
            (argument, default, kinds.KEYWORD_ONLY)
            for argument, default in zip(taken.kwonlyargs, taken.kw_defaults, strict=True)
        ),
        *([(taken.kwarg, None, kinds.VAR_KEYWORD)] if taken.kwarg else []),
    ]
    return inspect.Signature(
        [_parameter(argument.arg, kind, default, argument.annotation) for argument, default, kind in rows[bound:]]
    )


def _parameter(name: str, kind: Any, default: ast.expr | None, annotation: ast.expr | None) -> inspect.Parameter:  # noqa: ANN401  # inspect's own
    empty = inspect.Parameter.empty
    return inspect.Parameter(
        name,
        kind,
        default=empty if default is None else _value(default),
        annotation=empty if annotation is None else ast.unparse(annotation),
    )


class _Text:
    """A default that is no literal."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return self.text


def _value(node: ast.expr) -> object:
    try:
        return ast.literal_eval(node)
    except ValueError:
        return _Text(ast.unparse(node))
