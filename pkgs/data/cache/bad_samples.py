"""Samples that cannot be used: counted, listed in `bad_samples.csv`, not tried again, and a limit to them."""

from __future__ import annotations

import csv
import threading
from pathlib import Path
from typing import Final, final

from pkgs.data.items import DataError

HEADER: Final = ("id", "path", "reason")


class TooManyBadError(DataError):
    """So many samples are bad that the data set is at fault."""


def limit_of(samples: int, *, share: float, count: int) -> int:
    """Return how many samples may be bad: the smaller of share and count, but one unless `count` is 0."""
    return min(count, max(1, int(samples * share)))


@final
class BadSamples:
    """The bad samples of a run, across its attempts."""

    def __init__(self, *, limit: int, file: Path | None = None) -> None:
        """Take in what earlier attempts have listed.

        Args:
            limit: The run stops beyond so many.
            file: `bad_samples.csv` of the run; None: only counted (ranks other than 0).
        """
        self.limit, self.file = limit, file
        self.ids: set[str] = set()
        self._lock = threading.Lock()
        if file is not None and file.exists():
            with file.open(encoding="utf-8", errors="surrogateescape", newline="") as lines:
                rows = [row for row in csv.reader(lines) if len(row) == len(HEADER)]  # a torn line is no row
            self.ids = {row[0] for row in rows if tuple(row) != HEADER}

    def __len__(self) -> int:
        return len(self.ids)

    def add(self, name: str, *, path: str, reason: str) -> None:
        """Note a bad sample.

        Raises:
            TooManyBadError: If there are more than the limit now.
        """
        with self._lock:
            if name not in self.ids:
                self.ids.add(name)
                self._append((name, path, reason))
        if len(self.ids) > self.limit:
            listed = f" All are listed in {self.file}." if self.file else ""
            raise TooManyBadError(
                f"{len(self.ids)} samples cannot be used; the limit is {self.limit} (loader.bad_share, "
                f"loader.bad_count).{listed} The last one: {reason}"
            )

    def _append(self, row: tuple[str, ...]) -> None:
        if self.file is None:
            return
        new = not self.file.exists()
        with self.file.open("a+", encoding="utf-8", errors="surrogateescape", newline="") as lines:
            writer = csv.writer(lines, lineterminator="\n")
            if new:
                writer.writerow(HEADER)
            elif not _ends_whole(self.file):
                lines.write("\n")  # an earlier attempt was killed in the middle of its line
            writer.writerow([" ".join(word.split()) for word in row])


def _ends_whole(path: Path) -> bool:
    return path.read_bytes()[-1:] in (b"", b"\n")
