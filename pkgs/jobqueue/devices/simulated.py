"""Pretended GPUs, `--gpus sim:8x24G`: the whole queue runs, nothing is computed on them.

They have nothing but a size; what runs there counts by its reservation alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from time import monotonic
from typing import Final, final

from pkgs.jobqueue.devices.inventory import DeviceReading, Inventory

_GROUP: Final = re.compile(r"(?P<count>\d+)x(?P<size>\d+(?:\.\d+)?)(?P<unit>[GM])(?:i?B)?", re.IGNORECASE)
_MOST_DEVICES: Final = 4096
"""Far above any machine; a slip of the finger must not fill the memory."""


@final
class SimulatedSource:
    """Cards that are always there, always empty, and never wrong."""

    def __init__(self, sizes_mib: tuple[int, ...], *, clock: Callable[[], float] = monotonic) -> None:
        """Pretend one card per entry of `sizes_mib`."""
        self._clock = clock
        self._readings = tuple(
            DeviceReading(f"SIM-{index}", str(index), f"pretended {mib / 1024:g}G", total_mib=mib, used_mib=0)
            for index, mib in enumerate(sizes_mib)
        )

    def read(self) -> Inventory:
        """Return all cards, idle."""
        return Inventory(self._readings, kind="simulated", taken_s=self._clock())

    def newest(self) -> Inventory:
        """Return the same as `read`: there is nothing to wait for."""
        return self.read()

    def close(self) -> None:
        """Do nothing: there is no driver."""


def parse_simulated(text: str) -> tuple[int, ...]:
    """Return the sizes in MiB that `8x24G` or `4x80G+4x24G` describes, one per card.

    Raises:
        ValueError: If the text is anything else.
    """
    sizes: list[int] = []
    for part in text.split("+"):
        found = _GROUP.fullmatch(part.strip())
        count = int(found["count"]) if found else 0
        mib = _mib(found) if found else 0
        if count < 1 or mib < 1 or len(sizes) + count > _MOST_DEVICES:
            raise ValueError(
                f"--gpus: 'sim:{text}': {part.strip()!r} is not a number of cards and their memory, such as "
                f"sim:8x24G or sim:4x80G+4x24G (1 to {_MOST_DEVICES} cards)."
            )
        sizes += [mib] * count
    return tuple(sizes)


def _mib(group: re.Match[str]) -> int:
    return int(float(group["size"]) * (1024 if group["unit"].upper() == "G" else 1))
