"""Compiled loops of the ranking statistics, one turn per resample. To be imported where they are needed.

A resample is a whole number of copies per group (`weights_BG`), never a list of drawn patches: order and ties
of the scores are found once and serve every resample.
"""

# mypy: disable-error-code="no-untyped-def, no-untyped-call, untyped-decorator, misc"
# ruff: noqa: ANN001, ANN201, PLR0913, PLR0917 - numba finds types itself, takes arguments by place
from __future__ import annotations

import math

import numpy as np

from pkgs.foundation.compiled import Compiled


@Compiled
def agreement(ends, level, levels, group, weights_BG, tau_B, rho_B):
    """Write Kendall's tau-b and Spearman's rho of two scores into `tau_B` and `rho_B`, O(n log n) each.

    Members come in the rising order of the first score, whose ties end at `ends`; `level` is each one's rank
    in the second. A Fenwick tree counts the copies seen so far by level. Copies of one member are tied in
    both scores, which drops out: n0 - n1 = (N^2 - sum of squared tie groups) / 2.
    """
    tree, at, middle = np.zeros(levels + 1), np.zeros(levels), np.zeros(levels)
    for b in range(weights_BG.shape[0]):
        tree[:] = 0
        at[:] = 0
        for k in range(len(level)):
            at[level[k]] += weights_BG[b, group[k]]
        total, tied_second, spread_second = 0.0, 0.0, 0.0
        for k in range(levels):
            middle[k] = total + at[k] / 2  # the middle rank, up to a constant
            total += at[k]
            tied_second += at[k] * at[k]
        for k in range(levels):
            middle[k] -= total / 2
            spread_second += at[k] * middle[k] * middle[k]
            at[k] = 0
        seen, net, tied_first, spread_first, common, start = 0.0, 0.0, 0.0, 0.0, 0.0, 0
        for end in ends:
            block, block_middle = 0.0, 0.0
            for k in range(start, end):
                copies = weights_BG[b, group[k]]
                if copies == 0:
                    continue
                own = level[k]
                upto, node = 0.0, own + 1
                while node > 0:
                    upto += tree[node]
                    node &= node - 1
                net += copies * (2 * upto - at[own] - seen)  # below less above
                block += copies
                block_middle += copies * middle[own]
            for k in range(start, end):
                copies = weights_BG[b, group[k]]
                if copies == 0:
                    continue
                at[level[k]] += copies
                node = level[k] + 1
                while node <= levels:
                    tree[node] += copies
                    node += node & -node
            first = seen + block / 2 - total / 2
            common += first * block_middle
            spread_first += block * first * first
            tied_first += block * block
            seen += block
            start = end
        square = total * total
        tau_B[b] = 2 * net / math.sqrt((square - tied_first) * (square - tied_second))
        rho_B[b] = common / math.sqrt(spread_first * spread_second)


@Compiled
def separation(ends, positive, group, weights_BG, depths, auroc_B, ap_B, precision_BD):
    """Write how well a score tells positives (1) from the rest (0): AUROC, average precision, precision.

    Members come in the **falling** order of the score, whose ties end at `ends`. Ties count half in AUROC,
    share one step in average precision, and share the last places of a depth evenly. A depth q means the
    first ceil(q N) of N copies.
    """
    for b in range(weights_BG.shape[0]):
        wanted, total = 0.0, 0.0
        for k in range(len(group)):
            copies = weights_BG[b, group[k]]
            total += copies
            wanted += copies * positive[k]
        found, seen, area, average, start, depth = 0.0, 0.0, 0.0, 0.0, 0, 0
        for end in ends:
            block, hits = 0.0, 0.0
            for k in range(start, end):
                copies = weights_BG[b, group[k]]
                block += copies
                hits += copies * positive[k]
            start = end
            if block == 0:
                continue
            while depth < len(depths):
                reach = math.ceil(depths[depth] * total - 1e-9)
                if reach > seen + block:
                    break
                precision_BD[b, depth] = (found + hits * (reach - seen) / block) / reach
                depth += 1
            area += (block - hits) * (found + hits / 2)
            found += hits
            seen += block
            if hits > 0:
                average += hits * found / seen
        auroc_B[b] = area / (wanted * (total - wanted))
        ap_B[b] = average / wanted
