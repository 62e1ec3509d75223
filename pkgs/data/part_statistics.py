"""Mean and spread of the channels of a part's images, as they come out of the cache."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from pkgs.data.cache.recipe import BadItemError
from pkgs.data.channel_statistics import Sums
from pkgs.data.samples import Part


class MeanAndStd(NamedTuple):
    """Of each channel, in the codes of the cache: 0-255 for colours."""

    mean: tuple[float, ...]
    std: tuple[float, ...]


def statistics_of(part: Part, *, tick: Callable[[], None] = lambda: None) -> MeanAndStd:
    """Return the statistics over all pixels of the part, exact whatever the order of its samples.

    Samples that cannot be used are passed over; the loader lists them.

    Args:
        part: The training part; val and test must not be known.
        tick: Called after each image, for a heartbeat.

    Raises:
        DataError: If no sample can be used.
    """
    sums = Sums()
    for number in part.numbers:
        try:
            sums.add(part.cache.item(int(number))["image"])
        except BadItemError:
            continue
        tick()
    counted = sums.result()
    return MeanAndStd(counted.mean, counted.std)
