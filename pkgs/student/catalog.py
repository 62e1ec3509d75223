"""The methods of this package by the name in the configuration. Loads torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from pkgs.student import alternating, expansion, joint, split, step
from pkgs.student.method import Common, StudentMethod

METHODS: Final[Mapping[str, Callable[[Common], StudentMethod[Any]]]] = {
    "supervised": step.build,
    "joint": joint.build,
    "split": split.build,
    "expansion": expansion.build,
    "alternating": alternating.build,
}
