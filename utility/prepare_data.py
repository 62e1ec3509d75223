"""Making and checking data sets: `python -m utility.prepare_data cem_phantom|whu_phantom|folder|whu|…`.

Only parses, calls, and tells. Safe to kill and to start again: a set that is whole is left as it is. The
releases of the first study are unpacked or fetched where they are not there; any other downloaded set is
looked through under the name of its layout and never changed.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from pkgs.data.catalog import READERS
from pkgs.data.config import SplitConfig
from pkgs.data.folder_set import FolderPlan, Foreground, convert, pair_files
from pkgs.data.items import DataError
from pkgs.data.phantom.generate import SIZES_PX, Plan, generate
from pkgs.data.prepare_release import From, Prepared, prepare
from pkgs.data.release import RELEASES, Bar
from pkgs.data.verify import Findings, told, verify
from pkgs.data.whole_folder import Outcome, build_once
from pkgs.foundation import exit_codes
from pkgs.foundation.registry import choose
from utility import aerial_phantoms
from utility.set_building import Out, Seed, Workers, tell, threads

if TYPE_CHECKING:
    from rich.progress import TaskID

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help="Make a data set in the CEM-MitoLab layout, or check one.",
)

Root = Annotated[Path, typer.Option(help="Folder that holds the release, or will.")]
Archive = Annotated[Path | None, typer.Option(help="Unpack this zip file, if the release is not there.")]
Fetch = Annotated[bool, typer.Option("--fetch", help="Download it from EMPIAR, if it is not there.")]
Url = Annotated[str, typer.Option(help="Address of the archive, where EMPIAR's has changed.")]
Sha256 = Annotated[str, typer.Option(help="What the archive must have; else the first one is noted.")]

app.add_typer(aerial_phantoms.app)


@app.command(name="cem_phantom")
def cem_phantom(
    *,
    out: Out,
    size: Annotated[str, typer.Option(help=f"Side in pixels: {', '.join(SIZES_PX)} (demo is 64).")] = "demo",
    seed: Seed = 0,
    workers: Workers = 0,
) -> None:
    """Generate the synthetic electron-microscopy set (no download)."""

    def build(bar: Callable[[int, int], None]) -> Outcome:
        plan = Plan(side_px=choose("size", SIZES_PX, size), seed=seed)
        total = plan.sources * plan.patches + plan.pool_sources * plan.pool_patches
        return build_once(
            out,
            plan.recipe(),
            lambda draft: generate(
                draft, plan, workers=workers or threads(), tick=lambda count: bar(count, total)
            ),
        )

    tell(out, build)


@app.command()
def folder(  # noqa: PLR0913 - one per option
    *,
    images: Annotated[Path, typer.Option(help="Folder of grey images (.png, .tif, .bmp, .jpg).")],
    masks: Annotated[Path, typer.Option(help="Folder of masks with the same names.")],
    out: Out,
    foreground: Annotated[
        Foreground, typer.Option(help="Mask values that are the object: 255, 0, or nonzero.")
    ] = "nonzero",
    tile: Annotated[
        int, typer.Option(help="Cut into square tiles of this side; 0: whole images.", min=0)
    ] = 0,
    group_blocks: Annotated[
        int, typer.Option(help="Blocks of consecutive images, never split; 0: images are independent.", min=0)
    ] = 6,
    gap: Annotated[int, typer.Option(help="Images left out between two blocks.", min=0)] = 1,
) -> None:
    """Bring any folder of images and masks into the layout that the trainings read."""

    def build(bar: Callable[[int, int], None]) -> Outcome:
        plan = FolderPlan(images, masks, foreground, tile, group_blocks, gap)
        pairs = pair_files(plan)
        return build_once(
            out,
            plan.recipe(pairs),
            lambda draft: convert(draft, plan, pairs=pairs, tick=lambda count: bar(count, len(pairs))),
        )

    tell(out, build)


@app.command(name="cem_mitolab")
def cem_mitolab(  # noqa: PLR0913 - one per option
    *,
    root: Root,
    archive: Archive = None,
    fetch: Fetch = False,
    url: Url = "",
    sha256: Sha256 = "",
    workbook: Annotated[
        Path | None,
        typer.Option(help="Excel file about the sources; by default the release's, if it is there."),
    ] = None,
    split_by: Annotated[
        Literal["source", "patch"], typer.Option(help="source: no source in two parts. patch: leaks.")
    ] = "source",
    split_seed: Annotated[int, typer.Option(help="As data.split.seed of the trainings.")] = 42,
    min_sources: Annotated[int, typer.Option(help="As data.split.min_sources of the trainings.")] = 5,
) -> None:
    """Bring CEM-MitoLab (EMPIAR-11037) into a folder, check every file, and write the split.

    \b
    What lies there already, at whatever level, is taken as it is:
      python -m utility.prepare_data cem_mitolab --root datasets/cem
    From an archive, or from EMPIAR (goes on where it was stopped):
      python -m utility.prepare_data cem_mitolab --root datasets/cem --archive mito.zip
      python -m utility.prepare_data cem_mitolab --root datasets/cem --fetch
    """  # noqa: D301 - click wants the very character
    split = SplitConfig(by=split_by, seed=split_seed, min_sources=min_sources)
    source = From(root, archive, url, sha256, fetch=fetch)
    _exit(_prepared(lambda bar: prepare("cem_mitolab", source, bar=bar, workbook=workbook, split=split)))


@app.command(name="cem_1500k")
def cem_1500k(
    *, root: Root, archive: Archive = None, fetch: Fetch = False, url: Url = "", sha256: Sha256 = ""
) -> None:
    """Bring CEM1.5M (EMPIAR-11035), unlabelled, into a folder and check every file.

    \b
    Into the folder of the labelled set, so that one root serves both:
      python -m utility.prepare_data cem_1500k --root datasets/cem --archive cem.zip
      python -m utility.prepare_data cem_1500k --root datasets/cem --fetch
    """  # noqa: D301 - click wants the very character
    source = From(root, archive, url, sha256, fetch=fetch)
    _exit(_prepared(lambda bar: prepare("cem_1500k", source, bar=bar)))


def _prepared(work: Callable[[Bar], Prepared]) -> Prepared:
    """Run `work` under one progress bar per step; a fault is one sentence."""
    from rich.progress import (  # noqa: PLC0415 - `--help` and errors come without it
        BarColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:.0f} %"))
    try:
        with Progress(
            *columns, TimeRemainingColumn(), disable=not sys.stderr.isatty(), transient=True
        ) as progress:
            tasks: dict[str, TaskID] = {}

            def bar(what: str, done: int, total: int) -> None:
                if what not in tasks:
                    tasks[what] = progress.add_task(what, total=None)
                progress.update(tasks[what], completed=done, total=total or None)

            return work(bar)
    except ValueError as error:
        print(error, file=sys.stderr)
        raise typer.Exit(exit_codes.USAGE) from None
    except OSError as error:
        print(
            f"{error.filename or 'The disk'}: {error.strerror or error}. Give the same command again.",
            file=sys.stderr,
        )
        raise typer.Exit(exit_codes.FAILED) from None


def _exit(prepared: Prepared) -> None:
    """Say what is there now; a sample that cannot be used is a failure."""
    for sentence in prepared.said:
        print(sentence)
    for sentence in prepared.warnings:
        print(f"Warning: {sentence}", file=sys.stderr)
    _report(prepared.findings)


def _add_check(name: str) -> None:
    """Add the command that looks through a set of the layout `name`."""

    @app.command(name=name, help=f"Check a downloaded set of the layout {name}: pairs, sizes, types, counts.")
    def check(
        *, root: Annotated[Path, typer.Option(help="Where it was unpacked; nothing is changed.")]
    ) -> None:
        from rich.progress import Progress  # noqa: PLC0415 - `--help` and errors come without it

        reader = READERS[name]()
        try:
            samples = reader.samples(root)
        except DataError as error:
            print(error, file=sys.stderr)
            raise typer.Exit(exit_codes.USAGE) from None
        with Progress(disable=not sys.stderr.isatty(), transient=True) as progress:
            task = progress.add_task(f"reading {root}", total=len(samples))
            findings = verify(reader, samples, tick=lambda: progress.update(task, advance=1))
        _report(findings)


for _name in READERS.keys() - RELEASES.keys():
    _add_check(_name)


def _report(findings: Findings) -> None:
    """Say what was found; a sample that cannot be used is a failure, something odd is not."""
    print(told(findings))
    for sentence in findings.warnings:
        print(f"Warning: {sentence}", file=sys.stderr)
    if findings.faults:
        print("\n".join(findings.faults), file=sys.stderr)
        raise typer.Exit(exit_codes.USAGE)


if __name__ == "__main__":
    app()
