"""What knows typed attributes, as streams of anyio and requests do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from anyio import TypedAttributeProvider


class Known(TypedAttributeProvider):
    """Knows the attributes that it is given."""

    def __init__(self, attributes: Mapping[Any, Any]) -> None:
        self._attributes = attributes

    @property
    def extra_attributes(self) -> Mapping[Any, Callable[[], Any]]:
        get = self._attributes.__getitem__
        return {key: partial(get, key) for key in self._attributes}
