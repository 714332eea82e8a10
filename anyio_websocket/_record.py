"""`record`: a frozen dataclass for which nothing is compiled.

`dataclasses.dataclass` writes the source of five methods for each class and compiles
it. For a class of ten fields this takes a millisecond, and each program that imports
the package would wait for it. Here all classes have the same methods, which look at the
fields when they are called.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, Field, FrozenInstanceError, dataclass, fields
from inspect import Parameter, Signature
from typing import Any, Final, TypeVar, dataclass_transform

_T = TypeVar("_T")


@dataclass_transform(frozen_default=True)
def record(*, kw_only: bool = False) -> Callable[[type[_T]], type[_T]]:
    """Make a class a dataclass that is frozen and has slots.

    What the class defines itself stays. In all else it is like those that `dataclass`
    makes: `dataclasses.asdict` and the like take its instances, and so do ``match``
    and `pickle`. A default cannot be a factory.

    :param kw_only: whether its fields are passed by name

    """

    def decorate(cls: type[_T]) -> type[_T]:
        made = dataclass(init=False, repr=False, eq=False, slots=True, kw_only=kw_only)(
            cls
        )
        own = set(vars(made))
        for name in _SHARED:
            if name not in own:
                setattr(made, name, vars(_Methods)[name])
        return made

    return decorate


class _SignatureOfFields:
    def __get__(self, instance: object, cls: Any) -> Signature:
        if cls.__init__ is not _Methods.__init__:
            raise AttributeError("__signature__")  # it is that of this __init__
        return Signature([_parameter(field) for field in fields(cls)])


def _parameter(field: Field[Any]) -> Parameter:
    return Parameter(
        field.name,
        Parameter.KEYWORD_ONLY if field.kw_only else Parameter.POSITIONAL_OR_KEYWORD,
        default=Parameter.empty if field.default is MISSING else field.default,
        annotation=field.type,
    )


class _Methods:
    __dataclass_fields__: dict[str, Field[Any]]
    __match_args__: tuple[str, ...]
    __signature__ = _SignatureOfFields()

    def __init__(self, /, *args: Any, **values: Any) -> None:
        called = f"{type(self).__name__}()"
        names = self.__match_args__
        if len(args) > len(names):
            raise TypeError(f"{called} takes at most {len(names)} positional arguments")
        for name, value in zip(names, args, strict=False):
            if name in values:
                raise TypeError(f"{called} got multiple values for argument {name!r}")
            values[name] = value
        for name, field in self.__dataclass_fields__.items():
            value = values.pop(name, field.default)
            if value is MISSING:
                raise TypeError(f"{called} missing a required argument: {name!r}")
            object.__setattr__(self, name, value)
        for name in values:
            raise TypeError(f"{called} got an unexpected keyword argument {name!r}")
        post_init: Callable[[], None] | None = getattr(self, "__post_init__", None)
        if post_init is not None:
            post_init()

    def __repr__(self) -> str:
        shown = [
            f"{name}={getattr(self, name)!r}" for name in self.__dataclass_fields__
        ]
        return f"{type(self).__qualname__}({', '.join(shown)})"

    def __getstate__(self) -> list[Any]:
        return [getattr(self, name) for name in self.__dataclass_fields__]

    def __setstate__(self, state: list[Any]) -> None:
        for name, value in zip(self.__dataclass_fields__, state, strict=True):
            object.__setattr__(self, name, value)

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return self.__getstate__() == other.__getstate__()

    def __hash__(self) -> int:
        return hash(tuple(self.__getstate__()))

    def __setattr__(self, name: str, value: object) -> None:
        raise FrozenInstanceError(f"cannot assign to field {name!r}")

    def __delattr__(self, name: str) -> None:
        raise FrozenInstanceError(f"cannot delete field {name!r}")


_SHARED: Final = (
    *("__init__", "__signature__", "__repr__", "__eq__", "__hash__"),
    *("__setattr__", "__delattr__", "__getstate__", "__setstate__"),
)
