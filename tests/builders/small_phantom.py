"""`python -m tests.builders.small_phantom OUT`: the set of the demo study, with few and small images."""

from __future__ import annotations

import sys
from pathlib import Path

from pkgs.data.phantom.generate import Plan, generate
from pkgs.data.whole_folder import build_once

PLAN = Plan(side_px=32, seed=0, sources=24, patches=4, pool_sources=6, pool_patches=8)


def write_small_phantom(out: Path) -> None:
    """Write the set into `out`; safe to kill and to start again, as that of `utility.prepare_data` is."""
    build_once(out, PLAN.recipe(), lambda draft: generate(draft, PLAN, workers=1, tick=lambda _: None))


if __name__ == "__main__":
    write_small_phantom(Path(sys.argv[1]))
