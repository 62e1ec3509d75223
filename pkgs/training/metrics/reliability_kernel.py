"""A compiled loop over probabilities and outcomes, for `reliability`. To be imported where it is needed."""

# mypy: disable-error-code="no-untyped-def, no-untyped-call, untyped-decorator, misc"
# ruff: noqa: ANN001, ANN201, PLR0913, PLR0917 - numba finds types itself, and takes arguments by place
from __future__ import annotations

import numpy as np
from numba.extending import register_jitable

from pkgs.foundation.compiled import Compiled

BLOCK = 4096
"""Pixels whose places and codes lie in the first-level cache; divides every span but a row's last."""
TURNS = 4
"""Tables filled by turns: pixels beside each other share a bin, and would wait for one another's sum."""


@Compiled
def tally(p, label, bins, ignore, unit, pack, span, count, sums, start, stop):
    """Add rows `start` .. `stop - 1` to count and sums [B, 2 bins + 1], as `reliability` lays them out."""
    columns = p.shape[1]
    places, codes = np.empty(BLOCK, np.int32), np.empty(BLOCK, np.int64)
    packed = np.zeros((TURNS, 2 * bins + 1), np.int64)
    for row in range(start, stop):
        for begin in range(0, columns, span):
            end = min(begin + span, columns)
            for at in range(begin, end, BLOCK):
                upto = min(at + BLOCK, end)
                encode(p[row, at:upto], label[row, at:upto], bins, ignore, unit, pack, places, codes)
                add(places, codes, packed, upto - at)
            for place in range(2 * bins + 1):
                for turn in range(TURNS):
                    count[row, place] += packed[turn, place] >> pack
                    sums[row, place] += packed[turn, place] & ((1 << pack) - 1)
                    packed[turn, place] = 0


@register_jitable
def encode(p, label, bins, ignore, unit, pack, places, codes):
    """Write each pixel's place in the table and its packed number."""
    width, last, none = np.float32(bins), np.float32(bins - 1), np.int32(2 * bins)
    for c in range(len(p)):
        place = 2 * np.int32(max(min(p[c] * width, last), np.float32(0))) + np.int32(label[c] == 1)
        places[c] = none if label[c] == ignore else place
        codes[c] = np.int64(np.rint(p[c] * np.float32(unit))) + (1 << pack)


@register_jitable
def add(places, codes, packed, count):
    first, second, third, fourth = packed[0], packed[1], packed[2], packed[3]
    whole = count - count % TURNS
    for c in range(0, whole, TURNS):
        first[places[c]] += codes[c]
        second[places[c + 1]] += codes[c + 1]
        third[places[c + 2]] += codes[c + 2]
        fourth[places[c + 3]] += codes[c + 3]
    for c in range(whole, count):
        first[places[c]] += codes[c]
