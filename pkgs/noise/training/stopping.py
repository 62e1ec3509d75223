"""Early stopping as the reference did it; the sound form is the loop's own patience.

`stop_total`: bad validations of the whole run count, whatever comes between. `skip_first`: the first one is
bad, and never the best.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final, final

from torch import Tensor

from pkgs.training.config import TrainingConfig

JUDGED: Final = "judged"
"""Column of val.csv by which `best` is chosen under `skip_first`."""


@final
class EarlyStop:
    """Counts bad validations; a `loop.Follower`, so that a resumed run counts on."""

    def __init__(self, config: TrainingConfig, *, total: bool, skip_first: bool) -> None:
        self.best_config, self.patience = config.best, config.patience
        self.total, self.skip_first = total, skip_first
        self.validations, self.bad, self.best = 0, 0, math.nan

    @property
    def over(self) -> bool:
        """Whether there were too many."""
        return 0 < self.patience <= self.bad

    def judged(self, value: float) -> float:
        """Take note of a validation, and return the value by which `best` is to be chosen."""
        self.validations += 1
        if self.skip_first and self.validations == 1:
            self.bad += 1
            return math.inf if self.best_config.mode == "min" else -math.inf
        if math.isnan(self.best) or self.best_config.improves(value, on=self.best):
            self.best, self.bad = value, self.bad if self.total else 0
        else:
            self.bad += 1
        return value

    def update(self, happened: Tensor | None, /) -> None:
        """Do nothing: steps do not count."""
        del happened

    def state_dict(self) -> Mapping[str, Any]:
        return {"validations": self.validations, "bad": self.bad, "best": self.best}

    def load_state_dict(self, state: Mapping[str, Any], /) -> None:
        self.validations, self.bad, self.best = state["validations"], state["bad"], state["best"]
