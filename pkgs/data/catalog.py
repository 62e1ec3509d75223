"""The readers by the name of their folder layout."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from pkgs.data.readers.cem_mitolab import CemMitoLab

READERS: Final[Mapping[str, type[CemMitoLab]]] = {"cem_mitolab": CemMitoLab}
