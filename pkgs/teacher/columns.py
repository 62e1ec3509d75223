"""Columns of the tables that the training of a teacher writes. Loads no torch."""

from __future__ import annotations

from typing import Final

from pkgs.training.tables import CLOCK

KINDS: Final = ("corrupted", "true")
MEASURED: Final = ("teacher_map_bce", "teacher_image_mae")
"""Cross-entropy of r against t per pixel; |sigmoid(q) - mean t| per image."""
SCORES: Final = (
    "teacher_loss",
    *MEASURED,
    *(f"{name}_{kind}" for kind in KINDS for name in MEASURED),
)
PREDICTED: Final = ("mae", "bias", "spearman_image", "auroc", "ap", "aurc")
"""Of `error_prediction.csv`, for falsified masks; in test.csv with `teacher_` before them."""
TRAIN_COLUMNS: Final = (*CLOCK, "loss", "teacher_pred", "teacher_gt", "grad_norm")
VAL_COLUMNS: Final = (*CLOCK, *SCORES)
TEST_COLUMNS: Final = (
    *CLOCK,
    "weights",
    "source",
    "images",
    *SCORES,
    *(f"teacher_{name}" for name in PREDICTED),
)
