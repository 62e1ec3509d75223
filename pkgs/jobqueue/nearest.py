"""The id that a misspelt one was probably meant to be, at a bounded cost however many ids there are."""

from __future__ import annotations

from collections.abc import Collection
from difflib import get_close_matches
from typing import Final, final

HINTS: Final = 20
"""Compared by letters so often in one table; later ones are only looked up by case and last part."""
POOL: Final = 400
"""Ids that one misspelt id is compared with."""


@final
class Nearest:
    """Finds near ids; the indices are built when the first one is asked for."""

    def __init__(self, ids: Collection[str]) -> None:
        self._ids = ids
        self._folded: dict[str, str] | None = None
        self._studies: dict[str, list[str]] = {}
        self._known: dict[str, str | None] = {}

    def to(self, wrong: str) -> str | None:
        """Return the id that is most like `wrong`, or None."""
        if wrong not in self._known:
            self._known[wrong] = self._find(wrong)
        return self._known[wrong]

    def _find(self, wrong: str) -> str | None:
        if self._folded is None:
            self._folded = {}
            for known in self._ids:
                self._folded.setdefault(known.casefold(), known)
                self._folded.setdefault(known.rpartition("/")[2].casefold(), known)
                self._studies.setdefault(known.rpartition("/")[0], []).append(known)
        same = self._folded.get(wrong.casefold()) or self._folded.get(wrong.rpartition("/")[2].casefold())
        if same or len(self._known) >= HINTS:
            return same
        pool = self._studies.get(wrong.rpartition("/")[0], [])[:POOL]
        if len(pool) < POOL:
            others = (known for known in self._ids if abs(len(known) - len(wrong)) <= 2)
            pool = [*pool, *(known for known, _ in zip(others, range(POOL - len(pool)), strict=False))]
        near = get_close_matches(wrong, pool, n=1)
        return near[0] if near else None
