"""Building a data set on the command line: a progress bar, one sentence at the end, exit codes."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated

import typer

from pkgs.data.items import DataError
from pkgs.data.whole_folder import MARK, Outcome
from pkgs.foundation import exit_codes
from pkgs.foundation.files import read_json

Out = Annotated[Path, typer.Option(help="Folder of the data set; a data sheet in it stays.")]
Seed = Annotated[int, typer.Option(help="Fixes every byte.")]
Workers = Annotated[int, typer.Option(help="Processes; 0: as many as this run has threads or cores.")]
SHARES = ("foreground_share", "empty_share", "mean_noise", "clean_share")
"""What is told of a set where `dataset.json` has it."""


def threads() -> int:
    """Return how many processes this run may keep busy: the queue hands out threads by OMP_NUM_THREADS."""
    given = os.environ.get("OMP_NUM_THREADS", "")
    return int(given) if given.isdecimal() and int(given) > 0 else len(os.sched_getaffinity(0))


def tell(out: Path, build: Callable[[Callable[[int, int], None]], Outcome]) -> None:
    """Run `build` under a progress bar; say what is there now, or in one sentence what is wrong."""
    from rich.progress import Progress  # noqa: PLC0415 - `--help` and errors come without it

    try:
        with Progress(disable=not sys.stderr.isatty(), transient=True) as progress:
            task = progress.add_task(f"writing {out}", total=None)
            outcome = build(lambda count, total: progress.update(task, advance=count, total=total))
    except (DataError, ValueError) as error:
        print(error, file=sys.stderr)
        raise typer.Exit(exit_codes.USAGE) from None
    except OSError as error:
        print(f"{out}: cannot be written ({error}).", file=sys.stderr)
        raise typer.Exit(exit_codes.FAILED) from None
    print(_sentence(out, outcome))


def _sentence(out: Path, outcome: Outcome) -> str:
    mark = read_json(out / MARK)
    facts: Mapping[str, object] = mark if isinstance(mark, dict) else {}
    pool = f", {facts['pool_images']} unlabelled" if "pool_images" in facts else ""
    shares = ", ".join(f"{word.replace('_', ' ')} {facts[word]}" for word in SHARES if word in facts)
    return f"{out} {outcome.value}: {facts.get('images')} labelled images{pool}, {shares}."
