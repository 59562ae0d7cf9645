# SPDX-License-Identifier: Apache-2.0
"""Mappings that are tables, too.

They have the methods of a mapping but are none to isinstance(): libraries that take tables look
for mappings first, and would take these for columns by name.
"""

from __future__ import annotations

from collections.abc import ItemsView, Iterator, KeysView, Mapping, ValuesView
from typing import Any, Generic, TypeVar, cast, overload

K = TypeVar("K")
V = TypeVar("V")
D = TypeVar("D")


class MappingLike(Generic[K, V]):
    """Needs __getitem__, __iter__ and __len__."""

    def __getitem__(self, key: Any) -> V:
        raise NotImplementedError

    def __iter__(self) -> Iterator[K]:
        raise NotImplementedError

    def __len__(self) -> int:
        raise NotImplementedError

    def __contains__(self, key: object) -> bool:
        try:
            self[key]
        except KeyError:
            return False
        return True

    def keys(self) -> KeysView[K]:
        """The keys."""
        return KeysView(self._mapping)

    def values(self) -> ValuesView[V]:
        """The values."""
        return ValuesView(self._mapping)

    def items(self) -> ItemsView[K, V]:
        """Keys with their values."""
        return ItemsView(self._mapping)

    @property
    def _mapping(self) -> Mapping[K, V]:
        return cast("Mapping[K, V]", self)

    @overload
    def get(self, key: Any) -> V | None: ...
    @overload
    def get(self, key: Any, default: D) -> V | D: ...
    def get(self, key: Any, default: Any = None) -> Any:
        """A value, or the default where there is none."""
        try:
            return self[key]
        except KeyError:
            return default
