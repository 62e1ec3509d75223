"""A defect of the reference that can be switched on: the test is the rest, drawn anew for each run.

Patches are split, so that neighbouring sections stand in several parts; 70 of 100 are the test; and as every
run draws its own split, the test of a run holds images that the networks it starts from were trained on.
"""

from __future__ import annotations

from typing import Final

from pkgs.data.config import SplitConfig
from pkgs.foundation.seeds import Purpose, derive

TRAIN, VAL, TEST = 0.15, 0.15, 0.70
"""Of the reference; what it called the test was the remainder."""
SEEDS: Final = 2**31
"""Seeds stand in file names and configs: short ones can be read."""


def remainder_split(split: SplitConfig, *, run: str) -> SplitConfig:
    """Return the split of one run of the reference, in a file of its own.

    Args:
        split: The sound one; its seed counts.
        run: Names the run, such as `joint/3`; another run gets another split.
    """
    seed = derive(split.seed, Purpose.SPLIT, "remainder", run) % SEEDS
    return SplitConfig(by="patch", seed=seed, train=TRAIN, val=VAL, test=TEST)
