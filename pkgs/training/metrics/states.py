"""Sums from what `Sums.as_state` left in a JSON file or a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, Final

from pkgs.foundation.registry import choose
from pkgs.training.metrics.calibration import Calibration, ClassCalibration
from pkgs.training.metrics.classification import Confusion, Findings
from pkgs.training.metrics.groups import PerGroup
from pkgs.training.metrics.overlap import Overlap
from pkgs.training.metrics.pixels import PixelSums
from pkgs.training.metrics.ranking import ClassRanking, PixelRanking, Ranking
from pkgs.training.metrics.regression import Regression
from pkgs.training.metrics.reliability import Reliability
from pkgs.training.metrics.sums import KIND, Sums
from pkgs.training.metrics.surface import Surface

KINDS: Final[dict[str, type[Sums]]] = {
    "Calibration": Calibration,
    "ClassCalibration": ClassCalibration,
    "ClassRanking": ClassRanking,
    "Confusion": Confusion,
    "Findings": Findings,
    "Overlap": Overlap,
    "PerGroup": PerGroup,
    "PixelRanking": PixelRanking,
    "PixelSums": PixelSums,
    "Ranking": Ranking,
    "Regression": Regression,
    "Reliability": Reliability,
    "Surface": Surface,
}


def restore(state: Mapping[str, Any]) -> Sums:
    """Return the sums of which `state` is the `as_state`.

    Raises:
        ValueError: If the kind is unknown or the fields are not those of the kind.
    """
    kind = choose("kind of sums", KINDS, str(state.get(KIND)))
    wanted = {field.name for field in fields(kind)}  # type: ignore[arg-type]
    found = set(state) - {KIND}
    if wanted != found:
        raise ValueError(
            f"Sums of kind {state[KIND]} have the fields {', '.join(sorted(wanted))}, "
            f"got {', '.join(sorted(found)) or 'none'}. Were they written by another version?"
        )
    return kind(**{name: _value(state[name]) for name in wanted})


def _value(value: Any) -> Any:  # noqa: ANN401 - fields of several types
    if isinstance(value, Mapping):
        return restore(value) if KIND in value else {key: _value(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return tuple(_value(each) for each in value)
    return value
