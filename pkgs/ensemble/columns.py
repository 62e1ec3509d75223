"""Columns of the tables that every training of a segmentation network writes. Loads no torch."""

from __future__ import annotations

from typing import Final

from pkgs.training.tables import CLOCK

SCORES: Final = ("iou", "dice", "accuracy", "iou_case", "dice_case", "ece_fg", "mce_fg", "brier", "nll")
COUNTS: Final = ("tp", "fp", "fn", "tn")
TRAIN_COLUMNS: Final = (*CLOCK, "loss", "grad_norm", "s")
VAL_COLUMNS: Final = (*CLOCK, *SCORES)
TEST_COLUMNS: Final = (*CLOCK, "weights", "source", "images", *SCORES, *COUNTS)
