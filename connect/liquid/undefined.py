"""Names that the scope does not have."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NoReturn

from liquid import Undefined

from connect.liquid.trouble import NameLacking


class Missing(Undefined):
    """A name that is not in the data, where that is refused.

    It can be tested (`{% if user.nickname %}`) and defaulted; anything else that would use it raises NameLacking
    with the place at which the name was written.
    """

    __slots__ = ()

    force_liquid_default = True  # read by python-liquid's own `default`

    def _refuse(self) -> NoReturn:
        raise NameLacking(self.token)

    def __getitem__(self, key: str) -> object:
        return self

    def __contains__(self, item: object) -> bool:
        self._refuse()

    def __iter__(self) -> Iterator[Any]:
        self._refuse()

    def __reversed__(self) -> Iterable[Any]:
        self._refuse()

    def __len__(self) -> int:
        self._refuse()

    def __str__(self) -> str:
        self._refuse()

    def __int__(self) -> int:
        self._refuse()

    def __repr__(self) -> str:
        return f"Missing({self.name})"

    def poke(self) -> bool:
        self._refuse()
