"""Mean and spread of the colours of known data sets, by layout: what a normalisation needs.

On 0-255, in the order R, G, B. Source: specs of the label-noise study, section 2.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple


class Colours(NamedTuple):
    """Of each channel, over all pixels of a set."""

    mean: tuple[float, ...]
    std: tuple[float, ...]


COLOURS: Final[Mapping[str, Colours]] = {
    "whu": Colours(
        mean=(72.62323902, 99.33869521, 82.94464024),
        std=(43.81751311, 42.46326449, 50.62061044),
    ),
    "alabama": Colours(
        mean=(83.00301721, 91.24630964, 87.26586959),
        std=(33.38048494, 36.60072106, 41.38057245),
    ),
    "datacentric": Colours(
        mean=(72.74413315, 99.76137101, 82.70024275),
        std=(36.28290664, 34.82507359, 41.48902725),
    ),
}
"""Those of WHU hold for images that were matched in colour to DataCentric."""
