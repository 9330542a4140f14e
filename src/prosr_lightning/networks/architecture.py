"""What rebuilds a network: the dotted path of its class and its constructor arguments, recorded by the class itself."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Mapping
from importlib import import_module
from typing import Any

from torch import nn

from prosr_lightning.errors import ConfigError

TARGET = "_target_"  # Hydra's word, so that an architecture reads like the YAML that it came from
_HOME = __name__.rpartition(".")[0]  # ours are named by the package that exports them, wherever their file is


class Rebuildable(nn.Module):
    """A module that remembers how it was built: every subclass records what its constructor was called with.

    Constructors take plain values (numbers, strings, lists and mappings of them), since files hold nothing else.
    """

    _arguments: dict[str, Any]

    def __init_subclass__(cls, **options: Any) -> None:  # noqa: ANN401  # the signature of object
        super().__init_subclass__(**options)
        build, signature = cls.__init__, inspect.signature(cls)
        if hasattr(build, "records"):  # inherited
            return

        @functools.wraps(build)
        def recording(self: Rebuildable, *args: Any, **arguments: Any) -> None:  # noqa: ANN401  # any constructor's
            build(self, *args, **arguments)
            if type(self).__init__ is recording:  # not where a subclass calls its parent's
                bound = signature.bind(*args, **arguments)
                bound.apply_defaults()
                self._arguments = _plain_arguments(type(self), bound)

        recording.records = True  # type: ignore[attr-defined]  # a mark for subclasses
        cls.__init__ = recording  # type: ignore[assignment]  # that is what a decorator of the class would do

    @property
    def arguments(self) -> dict[str, Any]:
        """The arguments of the constructor, defaults included, as plain values."""
        return dict(self._arguments)

    @property
    def architecture(self) -> dict[str, Any]:
        """What rebuilds this network: the dotted path of its class under "_target_", and the arguments."""
        return {TARGET: target_of(type(self)), **self.arguments}


def target_of(kind: type) -> str:
    """Return the dotted path of a class, as a `_target_` names it."""
    module = _HOME if kind.__module__.startswith(f"{_HOME}.") else kind.__module__
    return f"{module}.{kind.__qualname__}"


def import_by_path(path: str) -> Any:  # noqa: ANN401  # a class or a function
    """Return what a dotted path names; only ever called with what a user or a configuration says.

    Args:
        path: Such as `mypackage.MyNetwork`.

    Raises:
        ImportError: If there is no such module, or nothing of that name in it.

    Examples:
        >>> import_by_path("math.floor")(1.5)
        1
    """
    module, _, name = path.rpartition(".")
    try:
        return getattr(import_module(module), name)
    except (ValueError, AttributeError) as error:
        raise ImportError(str(error)) from error


def normalised(architecture: Mapping[str, Any]) -> dict[str, Any]:
    """Return an architecture as it is written today.

    Args:
        architecture: Of a file; earlier versions wrote the name of one of our classes under "name".

    Examples:
        >>> normalised({"name": "Generator", "depth": 4})
        {'_target_': 'prosr_lightning.networks.Generator', 'depth': 4}
    """
    arguments = dict(architecture)
    if TARGET not in arguments and "name" in arguments:
        return {TARGET: f"{_HOME}.{arguments.pop('name')}", **arguments}
    return arguments


def describe(architecture: Mapping[str, Any]) -> str:
    """Return an architecture as one would write it in Python.

    Examples:
        >>> describe({"_target_": "prosr_lightning.networks.Generator", "depth": 4})
        'Generator(depth=4)'
    """
    arguments = normalised(architecture)
    name = str(arguments.pop(TARGET, None)).rpartition(".")[-1]
    return f"{name}({', '.join(f'{key}={value}' for key, value in arguments.items())})"


def _plain_arguments(kind: type, bound: inspect.BoundArguments) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, value in bound.arguments.items():
        parameter = bound.signature.parameters[name]
        if parameter.kind is parameter.VAR_POSITIONAL and not value:
            continue
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.POSITIONAL_ONLY):
            raise ConfigError(f"`{name}` of {kind.__name__} must be an argument with a name, to be stored; write `*,`.")
        values |= value if parameter.kind is parameter.VAR_KEYWORD else {name: value}
    return {name: _plain(value, f"`{name}` of {kind.__name__}") for name, value in values.items()}


def _plain(value: Any, subject: str) -> Any:  # noqa: ANN401  # plain values
    if value is None or isinstance(value, bool):
        return value
    for kind in (int, float):  # itself, not numpy's number or a member of an enumeration, which is one too
        if isinstance(value, kind):
            return kind(value)
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, (list, tuple)):
        return [_plain(item, subject) for item in value]
    if isinstance(value, Mapping):
        return {str(key): _plain(item, subject) for key, item in value.items()}
    raise ConfigError(
        f"{subject} must be a number, a string, or a list or mapping of them, so that a file can hold it, got "
        f"{type(value).__name__}; let the constructor build it from such values."
    )
