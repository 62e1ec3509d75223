"""The figures as Markdown: for the terminal, and between two marks of docs/performance.md."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from benchmarks.catalog import CONTESTANTS, NEVER_MEASURED, OURS
from benchmarks.contestant import Contestant
from benchmarks.figures import Figures, Ratio, Summary
from benchmarks.limits import MACHINE
from benchmarks.measures import KILL_LINES, ROWS, SLOTS
from benchmarks.targets import Verdict, judge

BEGIN: Final = "<!-- figures:begin -->"
END: Final = "<!-- figures:end -->"
NONE: Final = "-"
LIMITS: Final = {
    "fork_exec_bash_s": "fork and exec of bash, to its end",
    "python_start_s": "start of a bare interpreter (`python -I -S`), which every shim is",
    "python_start_with_site_s": "start of a full interpreter, which every command pays",
    "fsync_4k_s": "write and fsync of 4 KiB",
    "sqlite_commit_s": "SQLite commit, WAL, synchronous=FULL",
}


def render(figures: Figures, *, header: str) -> str:
    """Return all tables."""
    parts = [
        header,
        f"### No-op runs on {SLOTS} slots", noop_table(figures),
        "### `add` and `status` beside a full queue", verbs_table(figures),
        "### At rest", idle_table(figures),
        "### kill -9 with 4 of 8 runs running, then started again", kill_table(figures),
        "### Ours against its targets", targets_table(figures),
        "### What the machine allows", limits_table(figures),
        "### Absent", absent_list(),
    ]  # fmt: skip
    return "\n\n".join(parts) + "\n"


def noop_table(figures: Figures) -> str:
    rows = []
    for contestant in CONTESTANTS.values():
        if contestant.absent():
            continue
        name = contestant.name
        rows.append(
            [
                name, contestant.durability,
                _cell(figures, name, "noop.s_per_run"), _times(figures, name, "noop.s_per_run"),
                _cell(figures, name, "noop.gap_median_s"), _cell(figures, name, "noop.gap_p99_s"),
                _times(figures, name, "noop.gap_median_s"), _cell(figures, name, "noop.first_start_s"),
            ]
        )  # fmt: skip
    head = [
        "queue", "its state", "per run", "ours ÷ it", "slot free → next start, median", "99 %",
        "ours ÷ it (median)", "hand-over → first start",
    ]  # fmt: skip
    few = [f"{c.name} {c.listed_runs}" for c in CONTESTANTS.values() if c.listed_runs < 200]
    return f"{table(head, rows)}\n\nFewer runs than 200: {', '.join(few)}.{_notes(figures, 'noop')}"


def verbs_table(figures: Figures) -> str:
    head = ["queue", "verb", *(f"{rows:,} rows" for rows in ROWS), f"ours ÷ it at {ROWS[1]:,}"]
    rows, notes = [], []
    for contestant in CONTESTANTS.values():
        if contestant.absent() or not contestant.has_verbs:
            continue
        for verb in ("add", "status"):
            cells = [_size_cell(figures, contestant, verb, size) for size in ROWS]
            ratio = _times(figures, contestant.name, f"{verb}_s.{ROWS[1]}")
            rows.append([contestant.name, verb, *cells, ratio])
        if contestant.most_rows_why:
            notes.append(f"{contestant.name}: {contestant.most_rows_why}.")
    return "\n\n".join([table(head, rows), *notes]) + _notes(figures, "add_s", "status_s")


def idle_table(figures: Figures) -> str:
    rows = []
    for contestant in CONTESTANTS.values():
        name = contestant.name
        if figures.get(name, "idle.cpu_percent") is None:
            continue
        cells = [_cell(figures, name, f"idle.{measure}") for measure in ("rows", "processes")]
        cells += [_cell(figures, name, f"idle.{measure}") for measure in ("cpu_percent", "memory_mb")]
        rows.append([name, *cells, _times(figures, name, "idle.memory_mb")])
    head = ["queue", "rows", "its processes", "CPU, % of one core", "memory (PSS), MB", "ours ÷ it (memory)"]
    return table(head, rows)


def kill_table(figures: Figures) -> str:
    rows = []
    for contestant in CONTESTANTS.values():
        if contestant.absent() or not contestant.kill_tested:
            continue
        cells = [
            _sum_cell(figures, contestant.name, f"kill.{what}") for what in ("lost", "doubled", "wrong_code")
        ]
        rows.append([contestant.name, *cells])
    head = ["queue", "never ended", "started twice", "exit code wrong or unknown"]
    return table(head, rows) + _notes(figures, "kill")


def targets_table(figures: Figures) -> str:
    rows = []
    for verdict in judge(figures):
        target = verdict.target
        summary = figures.get(OURS.name, target.measure)
        spread = NONE if summary is None else _spread(summary, target.measure)
        value = NONE if verdict.value is None else quantity(verdict.value, target.measure)
        rows.append(
            [target.words, f"≤ {quantity(target.limit, target.measure)}", value, spread, _word(verdict)]
        )
    return table(["measure", "target", "measured", "range", ""], rows) + _notes(figures, "own")


def limits_table(figures: Figures) -> str:
    rows = [[words, _cell(figures, MACHINE, measure)] for measure, words in LIMITS.items()]
    return table(["piece", "median (range)"], rows)


def absent_list() -> str:
    """Name every peer that was not measured, with the reason: none is left out in silence."""
    absent = {contestant.name: contestant.absent() for contestant in CONTESTANTS.values()}
    lines = [f"- {name}: {why}." for name, why in {**absent, **NEVER_MEASURED}.items() if why]
    return "\n".join(lines)


def versions_line() -> str:
    """Name what was measured, with versions."""
    present = [c for c in CONTESTANTS.values() if c is not OURS and not c.absent()]
    return ", ".join(f"{contestant.name} ({contestant.version()})" for contestant in present)


def put_between_marks(text: str, tables: str, *, begin: str = BEGIN, end: str = END) -> str:
    """Return the page with new tables between its marks.

    Raises:
        ValueError: If the page does not hold the two marks, once each and in order.
    """
    before, found_begin, rest = text.partition(begin)
    _, found_end, after = rest.partition(end)
    if not found_begin or not found_end or begin in after or end in after:
        raise ValueError(f"The page must hold {begin} and then {end}, once each, to say where the tables go.")
    return f"{before}{begin}\n\n{tables.strip()}\n\n{end}{after}"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def quantity(value: float, measure: str) -> str:
    """Return a value with its unit; which one, the measure's name tells."""
    if not re.search(r"_s(_per_run|\.|$)|\.s_per_run", measure):
        return f"{value:,.0f}" if value == int(value) or value >= 100 else f"{value:.3g}"
    if value < 0.001:
        return f"{value * 1e6:.0f} µs"
    return f"{value * 1e3:.3g} ms" if value < 1 else f"{value:.3g} s"


def _cell(figures: Figures, name: str, measure: str) -> str:
    summary = figures.get(name, measure)
    if summary is None:
        return NONE
    middle = quantity(summary.median, measure)
    return middle if summary.low == summary.high else f"{middle} ({_spread(summary, measure)})"


def _spread(summary: Summary, measure: str) -> str:
    return f"{quantity(summary.low, measure)} … {quantity(summary.high, measure)}"


def _times(figures: Figures, name: str, measure: str) -> str:
    if name == OURS.name:
        return "1"
    return _ratio(figures.ratio(OURS.name, name, measure=measure))


def _ratio(ratio: Ratio | None) -> str:
    if ratio is None:
        return NONE
    value, low, high = (quantity(number, "") for number in (ratio.value, ratio.low, ratio.high))
    return value if low == high else f"{value} ({low} … {high})"


def _size_cell(figures: Figures, contestant: Contestant, verb: str, size: int) -> str:
    measure = f"{verb}_s.{size}"
    cell = _cell(figures, contestant.name, measure)
    fewer = figures.why(contestant.name, measure)
    return f"{cell}, {fewer}" if cell != NONE and fewer else cell


def _sum_cell(figures: Figures, name: str, measure: str) -> str:
    samples = figures.samples.get(f"{name}.{measure}")
    if not samples:
        return figures.why(name, measure) or NONE
    return f"{sum(samples):.0f} of {len(samples) * len(KILL_LINES)}"


def _word(verdict: Verdict) -> str:
    return {None: "not measured", True: "met", False: "**missed**"}[verdict.met]


def _notes(figures: Figures, *kinds: str) -> str:
    """Return what went wrong with measures of these kinds, one line each."""
    lines = []
    for name, why in figures.notes.items():
        contestant = next((c for c in (*CONTESTANTS, MACHINE) if name.startswith(f"{c}.")), "")
        kind = name.removeprefix(f"{contestant}.").partition(".")[0]
        if kind in kinds and why.startswith("failed"):
            lines.append(f"\n\n{contestant}, {name.removeprefix(f'{contestant}.')}: {' '.join(why.split())}")
    return "".join(lines)
