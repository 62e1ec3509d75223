"""Columns of the tables that every training of a segmentation network writes. Loads no torch."""

from __future__ import annotations

from typing import Final

from pkgs.training.tables import CLOCK

SCORES: Final = ("iou", "dice", "accuracy", "iou_case", "dice_case", "ece_fg", "mce_fg", "brier", "nll")
TEST_SCORES: Final = (
    *SCORES, "mce_fg_100", "ece_top", "ece_image", "ece_adaptive", "ece_class", "ece_near", "ece_fg_scaled",
    "objects_found", "objects_false",
)  # fmt: skip
"""Those that the test adds; a validation stays cheap."""
COUNTS: Final = ("tp", "fp", "fn", "tn")
TRAIN_COLUMNS: Final = (*CLOCK, "loss", "grad_norm", "s")
VAL_COLUMNS: Final = (*CLOCK, *SCORES)
TEST_COLUMNS: Final = (*CLOCK, "weights", "source", "images", *TEST_SCORES, *COUNTS, "objects", "temperature")
