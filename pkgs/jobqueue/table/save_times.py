"""What the revs of a saved file tell about the moment when its editor had loaded it.

Moments are counted, not timed: each save that we took in and each write of ours is one. They last as long
as the process; what happened before it is moment 0.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, final

from pkgs.jobqueue.table.table import COLUMNS, Cells, whole

_KEPT: Final = 32  # writes of a row that are remembered; fewer only make the bounds less tight
NEVER: Final = 1 << 62
MARK: Final = slice(COLUMNS.index("progress"), None)
"""Of Cells: progress, message and rev, which tell one version of a row from the next."""


@final
class SaveTimes:
    """Bounds on when a file was loaded, from the versions of its rows."""

    def __init__(self) -> None:
        self._moment = 0
        self._born: dict[str, int] = {}
        self._in_force: dict[str, int] = {}
        self._ours: dict[str, int] = {}
        self._writes: dict[str, list[tuple[int, int]]] = {}

    def saw(self, name: str, *, new: bool) -> None:
        """Note that a user's edit of this row came into force."""
        self._moment += 1
        self._in_force[name] = self._moment
        self._ours.pop(name, None)
        if new:
            self._born[name] = self._moment

    def wrote(self, rows: Iterable[Cells]) -> None:
        """Note that we wrote these rows, in one file."""
        self._moment += 1
        for cells in rows:
            self._in_force[cells.id] = self._ours[cells.id] = self._moment
            rev = whole(cells.rev)
            if rev is not None:
                writes = self._writes.setdefault(cells.id, [])
                writes.append((rev, self._moment))
                del writes[:-_KEPT]

    def in_force_since(self, name: str) -> int:
        return self._in_force.get(name, 0)

    def born(self, name: str) -> int:
        """Return when the row was first seen, 0 if before this process."""
        return self._born.get(name, 0)

    def loaded_after(
        self,
        saved: Mapping[str, Cells],
        current: Mapping[str, Cells],
        versions: Callable[[str], Sequence[Cells]],
    ) -> int:
        """Return a moment after which the file was surely loaded: it shows a row as we wrote it then.

        Only the manager's progress, message and rev are proof, where they never were the same before: a
        status may be the user's own. -1 if there is no proof.
        """
        shown = [
            (moment, name)
            for name, moment in self._ours.items()
            if name in saved and saved[name] == current.get(name)
        ]
        for moment, name in sorted(shown, reverse=True):
            mark = current[name][MARK]
            if any(mark) and [version[MARK] for version in versions(name)].count(mark) == 1:
                return moment
        return -1

    def loaded_before(self, saved: Iterable[Cells]) -> int:
        """Return a moment before which the file was surely loaded: it shows a row that we replaced then."""
        earliest = NEVER
        for cells in saved:
            writes = self._writes.get(cells.id)
            rev = whole(cells.rev) if writes else None
            if writes is None or rev is None or rev >= writes[-1][0]:
                continue
            earliest = min(earliest, next(moment for number, moment in writes if number > rev))
        return earliest
