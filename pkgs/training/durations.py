"""One vocabulary for durations, one function for "is it time".

People write epochs or steps; code knows steps.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Literal, cast


@dataclass(frozen=True, slots=True)
class Duration:
    """So many steps, or so many passes over the data."""

    count: int
    unit: Literal["steps", "epochs"]

    @classmethod
    def parse(cls, text: str) -> Duration:
        """Read `300 steps` or `1 epoch`.

        Raises:
            ValueError: If it is neither.
        """
        match = re.fullmatch(r"\s*(\d+)\s+(step|epoch)s?\s*", text)
        if match is None or int(match[1]) < 1:
            raise ValueError(f"{text!r} is no duration; expected for instance '300 steps' or '100 epochs'")
        return cls(int(match[1]), cast(Literal["steps", "epochs"], match[2] + "s"))

    def steps(self, *, samples: int, batch: int) -> int:
        """Return the number of steps; n epochs see each of the samples at least n times."""
        return self.count if self.unit == "steps" else math.ceil(self.count * samples / batch)


def is_due(done: int, *, every: int, last: int) -> bool:
    """Say whether it is time after `done` steps; after the last step it always is."""
    return done % every == 0 or done == last
