"""`record`: like a frozen dataclass, but nothing is compiled for it."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import pickle
from typing import Any

import pytest

from anyio_websocket import ConnectionStatistics, ServerStatistics
from anyio_websocket._record import record


@record()
class Point:
    """A point."""

    x: int
    y: int = 0

    def __post_init__(self) -> None:
        if self.x < 0:
            raise ValueError("x")


@dataclasses.dataclass(frozen=True, slots=True)
class Model:
    """What `Point` is compared with."""

    x: int
    y: int = 0


@record(kw_only=True)
class Named(Point):
    """A point with a name."""

    name: str


@record()
class Own:
    """What has methods of its own keeps them."""

    x: int

    def __init__(self, text: str) -> None:
        object.__setattr__(self, "x", int(text))

    def __repr__(self) -> str:
        return "own"


def signature(cls: type) -> str:
    found = inspect.signature(cls)
    return str(found.replace(return_annotation=found.empty))


def test_it_is_what_dataclass_makes() -> None:
    point, model = Point(1, y=2), Model(1, y=2)
    assert repr(point) == repr(model).replace("Model", "Point")
    assert (point, hash(point)) == (Point(1, 2), hash(model))
    assert point not in (Point(1), model, (1, 2))
    assert signature(Point) == signature(Model)
    assert dataclasses.asdict(point) == {"x": 1, "y": 2}
    assert dataclasses.replace(point, x=3) == Point(3, 2)
    assert [field.name for field in dataclasses.fields(Point)] == ["x", "y"]
    assert Point.__slots__ == Model.__slots__  # type: ignore[attr-defined]
    match point:
        case Point(x, y):
            assert (x, y) == (1, 2)
    for other in (copy.copy(point), copy.deepcopy(point)):
        assert other == point
    assert pickle.loads(pickle.dumps(point)) == point


def test_it_cannot_be_changed() -> None:
    point = Point(1)
    with pytest.raises(dataclasses.FrozenInstanceError, match="'x'"):
        point.x = 2  # type: ignore[misc]
    with pytest.raises(dataclasses.FrozenInstanceError, match="'z'"):
        point.z = 2  # type: ignore[attr-defined]
    with pytest.raises(dataclasses.FrozenInstanceError, match="'x'"):
        del point.x
    assert point == Point(1, 0)


@pytest.mark.parametrize(
    ("cls", "args", "values", "message"),
    [
        (Point, (1, 2, 3), {}, r"Point\(\) takes at most 2 positional arguments"),
        (Point, (1,), {"x": 1}, r"Point\(\) got multiple values for argument 'x'"),
        (Point, (), {"y": 1}, r"Point\(\) missing a required argument: 'x'"),
        (Point, (1,), {"z": 1}, r"Point\(\) got an unexpected keyword argument 'z'"),
        (ConnectionStatistics, (1,), {}, "takes at most 0 positional arguments"),
    ],
)
def test_arguments_are_checked(
    cls: type, args: tuple[int, ...], values: dict[str, Any], message: str
) -> None:
    with pytest.raises(TypeError, match=message):
        cls(*args, **values)


def test_fields_are_inherited() -> None:
    assert repr(Named(1, name="a")) == "Named(x=1, y=0, name='a')"
    assert signature(Named) == "(x: 'int', y: 'int' = 0, *, name: 'str')"
    with pytest.raises(ValueError, match="x"):  # of __post_init__
        Named(-1, name="a")
    names = list(inspect.signature(ServerStatistics).parameters)
    assert names[: len(dataclasses.fields(ConnectionStatistics))] == [
        field.name for field in dataclasses.fields(ConnectionStatistics)
    ]


def test_methods_of_its_own_stay() -> None:
    own = Own("5")
    assert (own.x, repr(own), own) == (5, "own", Own("5"))
    assert signature(Own) == "(text: 'str')"

    class Derived(Point):
        def __init__(self, text: str) -> None:
            super().__init__(int(text))

    assert signature(Derived) == "(text: 'str')"
    assert Derived("5").x == 5
