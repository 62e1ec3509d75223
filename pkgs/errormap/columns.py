"""Columns of the tables that judge a predictor of errors. Loads no torch."""

from __future__ import annotations

from typing import Final

WHO: Final = ("weights", "masks", "predictor")
NUMBERS: Final = (
    "mae", "bias", "slope", "pearson_image", "spearman_image", "pearson_pixel", "spearman_pixel",
    "auroc", "ap", "aurc", "aurc_excess", "mean_predicted", "mean_real",
)  # fmt: skip
TABLES: Final = {
    "error_prediction.csv": (*WHO, "source", "images", "pixels", *NUMBERS),
    "error_images.csv": (*WHO, "sample", "source", "predicted", "real"),
    "error_reliability.csv": (*WHO, "bin", "count", "sum_r", "sum_t"),
    "risk_coverage.csv": (*WHO, "coverage", "risk"),
    "error_sources.csv": (*WHO, "source", "aurc", "auroc", "spearman_image"),
}
"""By the name of the file below `predictions/`."""
