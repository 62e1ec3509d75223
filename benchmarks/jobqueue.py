"""The queue beside its peers and against its own targets: `python -m benchmarks.jobqueue`.

What is measured and how: docs/performance.md. Progress goes to standard error, figures to standard output.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from functools import partial
from pathlib import Path

from benchmarks.catalog import CONTESTANTS, OURS, install_peers
from benchmarks.contestant import Contestant
from benchmarks.figures import Figures
from benchmarks.limits import measure_limits
from benchmarks.machine import Say, facts, progress
from benchmarks.measures import guarded, measure_kill, measure_noop_runs, measure_rows_and_footprint
from benchmarks.own_measures import own_steps
from benchmarks.tables import put_between_marks, render, versions_line
from pkgs.foundation import exit_codes
from pkgs.foundation.files import write_whole


def main(arguments: Sequence[str]) -> int:
    """Measure, then print the tables or the JSON, and write the page if asked to."""
    options = parse(arguments)
    try:
        if options.install_peers:
            install_peers()
        contestants = choose_contestants(options.only)
        if options.write:
            put_between_marks(options.write.read_text(encoding="utf-8"), "")  # fail before the long part
    except (OSError, ValueError) as error:
        sys.stderr.write(f"{error}\n")
        return exit_codes.USAGE
    header = describe(arguments)
    figures = measure(contestants, repeats=options.repeats, say=progress())
    tables = render(figures, header=header)
    if options.write:
        page = put_between_marks(options.write.read_text(encoding="utf-8"), tables)
        write_whole(options.write, page)
    print(json.dumps(figures.as_json(ours=OURS.name), indent=1) if options.json else tables)
    return exit_codes.OK


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.jobqueue",
        description="Measure the queue beside its peers, each in a fresh environment. A peer that is not "
        "installed is printed as absent. Takes about eight minutes; nothing else should run meanwhile.",
        epilog="JSON names: <queue>.<measure>.median|low|high|count, ratio.<peer>.<measure>[.low|.high] "
        "(ours over the peer), note.<queue>.<measure>. Units are in the names: _s, _mb, _percent, _ratio.",
    )
    parser.add_argument("--json", action="store_true", help="print the figures by name instead of tables")
    parser.add_argument(
        "--write", type=Path, metavar="PAGE", help="put the tables between the marks of a page"
    )
    parser.add_argument(
        "--repeats", type=int, default=5, help="of each measurement, each in a fresh environment"
    )
    parser.add_argument("--only", default="", metavar="A,B", help=f"of: {', '.join(CONTESTANTS)}")
    parser.add_argument("--install-peers", action="store_true", help="first fill .venv-peers from PyPI")
    options = parser.parse_args(arguments)
    if options.repeats < 1:
        parser.error(f"--repeats {options.repeats}: at least 1 is expected.")
    return options


def choose_contestants(only: str) -> list[Contestant]:
    """Return the contestants named, those that are installed; empty: all of them.

    Raises:
        ValueError: If a name is unknown; the nearest one is named.
    """
    names = [name.strip() for name in only.split(",") if name.strip()] or list(CONTESTANTS)
    for name in names:
        if name not in CONTESTANTS:
            near = get_close_matches(name, CONTESTANTS, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise ValueError(f"--only {name!r}: unknown queue.{hint} Known: {', '.join(CONTESTANTS)}.")
    return [CONTESTANTS[name] for name in names if CONTESTANTS[name].absent() is None]


def measure(contestants: Sequence[Contestant], *, repeats: int, say: Say) -> Figures:
    """Carry out everything. Repeats are the outer loop, so that a slow minute hurts all queues alike."""
    figures = Figures()
    say("what the machine allows")
    measure_limits(figures, rounds=10 * repeats)
    for index in range(repeats):
        for contestant in contestants:
            say(f"{contestant.name}: no-op runs, {index + 1} of {repeats}")
            noop_runs = partial(measure_noop_runs, figures, contestant, contestant.listed_runs)
            guarded(figures, contestant, "noop", noop_runs)
    for index in range(repeats):
        for contestant in filter(lambda c: c.kill_tested, contestants):
            say(f"{contestant.name}: kill -9, {index + 1} of {repeats}")
            guarded(figures, contestant, "kill", partial(measure_kill, figures, contestant))
    measure_rows_and_footprint(figures, contestants, repeats=repeats, say=say)
    if OURS in contestants:
        for words, act in own_steps(figures, repeats=repeats):
            say(f"{OURS.name}: {words}")
            guarded(figures, OURS, f"own.{words}", act)
    return figures


def describe(arguments: Sequence[str]) -> str:
    """Say when, on what and how, and what stands beside ours."""
    legend = "Each cell: median (smallest … largest of the repeats)."
    return f"{facts('benchmarks.jobqueue', arguments)}\n\nBeside ours: {versions_line()}.\n\n{legend}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
