"""The commands that generate synthetic aerial sets: `whu_phantom`, `alabama_phantom`, `datacentric_phantom`.

Part of `python -m utility.prepare_data`; only parses and calls.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

import typer

from pkgs.data.phantom.aerial_sets import SIZES_PX, Plan, generate, plan_of
from pkgs.data.phantom.object_events import OPERATIONS, NoiseConfig
from pkgs.data.whole_folder import Outcome, build_once
from pkgs.foundation.config import strict
from pkgs.foundation.registry import choose
from utility.set_building import Out, Seed, Workers, tell, threads

app = typer.Typer()

Size = Annotated[
    str,
    typer.Option(help=f"Side in pixels: {', '.join(SIZES_PX)} (demo: 64; full: 256, ten times as many)."),
]
Alpha = Annotated[bool, typer.Option("--alpha", help="Give the images a fourth channel, to be ignored.")]


@app.command(name="whu_phantom")
def whu_phantom(
    *, out: Out, size: Size = "demo", seed: Seed = 0, workers: Workers = 0, alpha: Alpha = False
) -> None:
    """Generate a synthetic aerial set with clean masks in the layout of WHU (no download)."""
    _build(out, lambda: replace(plan_of("whu", size, seed=seed), alpha=alpha), workers=workers)


@app.command(name="alabama_phantom")
def alabama_phantom(
    *, out: Out, size: Size = "demo", seed: Seed = 0, workers: Workers = 0, alpha: Alpha = False
) -> None:
    """Generate a synthetic aerial set with clean, inverted masks in the layout of Alabama (no download)."""
    _build(out, lambda: replace(plan_of("alabama", size, seed=seed), alpha=alpha), workers=workers)


@app.command(name="datacentric_phantom")
def datacentric_phantom(  # noqa: PLR0913 - one per option
    *,
    out: Out,
    size: Size = "demo",
    seed: Seed = 0,
    workers: Workers = 0,
    noise_rate: Annotated[float, typer.Option(help="Mean share of buildings that are hit; 0: clean.")] = 0.35,
    clean_cells: Annotated[float, typer.Option(help="Share of places where no building is hit.")] = 0.3,
    shares: Annotated[
        str,
        typer.Option(help="What a hit does, such as rotate=.6,drop=.4; what is not named does not occur."),
    ] = "",
    tile_shift: Annotated[
        float, typer.Option(help="Move all labels alike by this share of a patch's side.")
    ] = 0.0,
    layout: Annotated[
        Literal["first", "later"], typer.Option(help="Folder names: of the first or the later release.")
    ] = "first",
    alpha: Alpha = False,
) -> None:
    """Generate a synthetic aerial set with noisy masks and known truth, like DataCentric (no download)."""

    def plan() -> Plan:
        raw = {"noise_rate": noise_rate, "clean_cells": clean_cells, "tile_shift": tile_shift}
        given = {"shares": dict.fromkeys(OPERATIONS, 0.0) | _shares(shares)} if shares else {}
        noise = strict(NoiseConfig, raw | given, where="datacentric_phantom")
        base = plan_of("datacentric", size, seed=seed)
        return replace(base, noise=noise, layout=layout, alpha=alpha)

    _build(out, plan, workers=workers)


def _shares(text: str) -> dict[str, float]:
    """Return the numbers in `name=number,name=number`."""
    shares = {}
    for part in text.split(","):
        name, _, number = part.partition("=")
        choose("operation in --shares", dict.fromkeys(OPERATIONS), name.strip())
        try:
            shares[name.strip()] = float(number)
        except ValueError:
            raise ValueError(f"--shares {text}: {part!r} is not of the form rotate=.6.") from None
    return shares


def _build(out: Path, planned: Callable[[], Plan], *, workers: int) -> None:
    def build(bar: Callable[[int, int], None]) -> Outcome:
        plan = planned()
        return build_once(
            out,
            plan.recipe(),
            lambda draft: generate(
                draft, plan, workers=workers or threads(), tick=lambda count: bar(count, plan.images)
            ),
        )

    tell(out, build)
