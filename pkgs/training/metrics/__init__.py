"""How good predictions are: streaming sums that merge over batches, ranks and files to the same bits.

`measure_...` turns a batch into sums, one for each image where not said otherwise; `+` and `merged` add them;
`.scores()` names the results; `PerGroup` keeps them apart by source, patient or volume; `as_state` and
`restore` bring them to disk and back. Counts are whole numbers and sums fixed point, so memory does not grow
with the number of pixels, and no order changes a bit. Ignored pixels never enter.
"""

from pkgs.training.metrics.calibration import (
    Calibration,
    ClassCalibration,
    measure_calibration,
    measure_calibration_of,
    measure_class_calibration,
    measure_class_calibration_of,
)
from pkgs.training.metrics.checks import IGNORE, UNKNOWN
from pkgs.training.metrics.classification import Confusion, Findings, measure_classes, measure_findings
from pkgs.training.metrics.fixed import UNIT
from pkgs.training.metrics.groups import PerGroup, collected
from pkgs.training.metrics.overlap import Overlap, by_class, measure_masks, measure_regions
from pkgs.training.metrics.pixels import HALF, PixelSums, measure, measure_overlap, measure_probability
from pkgs.training.metrics.ranking import PixelRanking, Ranking, measure_pixel_ranking, measure_ranking
from pkgs.training.metrics.regression import Regression, measure_regression
from pkgs.training.metrics.reliability import BINS, FINE_BINS, Point, Reliability, measure_reliability
from pkgs.training.metrics.states import restore
from pkgs.training.metrics.sums import Sums, defined, macro, merged
from pkgs.training.metrics.surface import Surface, measure_surface

__all__ = [
    "BINS",
    "FINE_BINS",
    "HALF",
    "IGNORE",
    "UNIT",
    "UNKNOWN",
    "Calibration",
    "ClassCalibration",
    "Confusion",
    "Findings",
    "Overlap",
    "PerGroup",
    "PixelRanking",
    "PixelSums",
    "Point",
    "Ranking",
    "Regression",
    "Reliability",
    "Sums",
    "Surface",
    "by_class",
    "collected",
    "defined",
    "macro",
    "measure",
    "measure_calibration",
    "measure_calibration_of",
    "measure_class_calibration",
    "measure_class_calibration_of",
    "measure_classes",
    "measure_findings",
    "measure_masks",
    "measure_overlap",
    "measure_pixel_ranking",
    "measure_probability",
    "measure_ranking",
    "measure_regions",
    "measure_regression",
    "measure_reliability",
    "measure_surface",
    "merged",
    "restore",
]
