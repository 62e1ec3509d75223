"""The training core beside its peers: `python -m benchmarks.training`.

What is measured and how: docs/performance.md. Progress goes to standard error, figures to standard output.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Final

from benchmarks.figures import Figures
from benchmarks.limits import measure_compute
from benchmarks.machine import Say, facts, progress
from benchmarks.side_by_side import Measured
from benchmarks.tables import put_between_marks
from benchmarks.training_tables import BEGIN, END, as_json, render
from pkgs.foundation import exit_codes
from pkgs.foundation.files import write_whole
from pkgs.foundation.registry import choose

Measure = Callable[..., list[Measured]]


@dataclass(frozen=True, slots=True)
class Room:
    """One group of measures, in a module that is imported only when it is measured."""

    module: str
    """Offers `measure(*, repeats, quick) -> list[Measured]`."""
    owes: tuple[str, ...]
    """The measures that issue and documentation name: one that does not come has its row nevertheless."""


ROOMS: Final[Mapping[str, Room]] = {
    "cache": Room("benchmarks.training_cache", ("cache_vs_manager", "cache_vs_monai", "cache_vs_copy")),
    "transforms": Room("benchmarks.training_transforms", ("transforms_vs_kornia", "transforms_vs_monai")),
    "loop": Room("benchmarks.training_loop", ("loop_overhead",)),
    "calibration": Room("benchmarks.training_calibration", ("calibration_vs_torchmetrics",)),
}


@dataclass(slots=True)
class Found:
    """What came out of the rooms."""

    measured: list[Measured] = field(default_factory=list)
    missing: dict[str, str] = field(default_factory=dict)
    """Measures that did not come, and why."""
    machine: Figures = field(default_factory=Figures)
    """What the machine allows."""


def main(arguments: Sequence[str]) -> int:
    """Measure, then print the table or the JSON, and write the page if asked to."""
    options = parse(arguments)
    try:
        rooms = choose_rooms(options.only)
        if options.write:
            put_between_marks(_page(options.write), "", begin=BEGIN, end=END)  # fail before the long part
    except (OSError, ValueError) as error:
        sys.stderr.write(f"{error}\n")
        return exit_codes.USAGE
    header = describe(arguments)
    found = measure(rooms, repeats=options.repeats, quick=options.quick, say=progress())
    text = render(found.measured, found.missing, found.machine, header=header, quick=options.quick)
    if options.write:
        write_whole(options.write, put_between_marks(_page(options.write), text, begin=BEGIN, end=END))
    flat = as_json(found.measured, found.missing, found.machine)
    print(json.dumps(flat, indent=1) if options.json else text)
    return exit_codes.FAILED if found.missing else exit_codes.OK


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.training",
        description="Measure the training core beside its peers, repeat by repeat in turn. What is not "
        "installed or fails has a row that says so, and exit code 1. Nothing else should run meanwhile.",
        epilog="JSON names: <measure> is the median of ours over the peer, repeat by repeat, as a speed-up "
        "(more is better); <measure>.low and .high its range; .ours and .peer the medians in <measure>.unit; "
        ".target what is to be reached; .note. Only loop_overhead is a ratio of times, ours over bare: less "
        "is better. null where there is no figure. machine.<piece>.median, .low, .high: what it allows.",
    )
    parser.add_argument("--json", action="store_true", help="print the figures by name instead of a table")
    parser.add_argument(
        "--write", type=Path, metavar="PAGE", help="put the table between the marks of a page"
    )
    parser.add_argument("--repeats", type=int, default=5, help="of each measure")
    parser.add_argument("--only", default="", metavar="A,B", help=f"of: {', '.join(ROOMS)}")
    parser.add_argument("--quick", action="store_true", help="a rehearsal of some seconds; no result")
    options = parser.parse_args(arguments)
    if options.repeats < 1:
        parser.error(f"--repeats {options.repeats}: at least 1 is expected.")
    return options


def choose_rooms(only: str) -> dict[str, Room]:
    """Return the rooms named, all of them if none is.

    Raises:
        ValueError: If a name is unknown; the nearest one is named.
    """
    names = [name.strip() for name in only.split(",") if name.strip()] or list(ROOMS)
    return {name: choose("room", ROOMS, name) for name in names}


def measure(rooms: Mapping[str, Room], *, repeats: int, quick: bool, say: Say) -> Found:
    """Carry out everything; a room that fails costs its own rows and nothing else."""
    found = Found()
    say("what the machine allows")
    measure_compute(found.machine, rounds=3 * repeats, quick=quick)
    for name, room in rooms.items():
        say(f"{name}: {repeats} repeats")
        try:
            came = in_new_process(room.module, repeats=repeats, quick=quick)
        except Exception as error:  # noqa: BLE001 - whatever a peer raises, the other rooms are measured
            why = " ".join(f"{type(error).__name__}: {error}".split())
            say(f"{name}: failed: {why}")
            found.missing |= dict.fromkeys(room.owes, f"failed: {why}")
            continue
        found.measured += came
        absent = [owed for owed in room.owes if owed not in {one.name for one in came}]
        found.missing |= dict.fromkeys(absent, f"{room.module} gave no such figure")
    return found


def in_new_process(module: str, *, repeats: int, quick: bool) -> list[Measured]:
    """Carry out one room where no other has left memory in pieces, threads that spin, or settings."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(carry_out, module, repeats=repeats, quick=quick).result()


def carry_out(module: str, *, repeats: int, quick: bool) -> list[Measured]:
    """Carry out one room here."""
    act: Measure = importlib.import_module(module).measure
    return act(repeats=repeats, quick=quick)


def describe(arguments: Sequence[str]) -> str:
    """Say when, on what and how, with torch's threads and GPU."""
    import torch  # noqa: PLC0415 - `--help` needs none

    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "none"
    return (
        f"{facts('benchmarks.training', arguments)} torch on {torch.get_num_threads()} threads, GPU: {gpu}."
    )


def _page(path: Path) -> str:
    return path.read_text(encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
