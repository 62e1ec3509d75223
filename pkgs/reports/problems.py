"""What a reader must know before believing the numbers: missing, failed and diverged runs, and what changed.

One sentence each, in a fixed order. Nothing is dropped silently, and nothing here changes a number.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from pkgs.foundation.files import read_json
from pkgs.reports.attempts import State
from pkgs.reports.metrics import Metric
from pkgs.reports.origins import origin_problems
from pkgs.reports.plan import ReportPlan
from pkgs.reports.results import POOLED
from pkgs.reports.runs import Run, Study
from pkgs.reports.study_parts import parts_of

ALARMS = "alarms.json"
MAX_KEYS = 6
"""More changed settings than these are counted, not listed."""
SEED_KEYS = frozenset({"seed", "run_dir", "resume", "preset"})
"""Settings that differ between the runs of a job on purpose; the preset has a sentence of its own."""


class Kind(StrEnum):
    """Headings of the problem list, in the order of what matters most."""

    FAILED = "Failed"
    DIVERGED = "Diverged"
    MISSING = "Missing"
    UNFINISHED = "Unfinished"
    ALARM = "Alarms of the monitor"
    CHANGED = "Changed between runs"
    ORIGIN = "Started from something else"
    NOT_EQUAL = "Not equal, though expected to be"
    UNREADABLE = "Unreadable"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong or missing."""

    kind: Kind
    sentence: str


def find_problems(
    study: Study, metrics: Sequence[Metric], *, plan: ReportPlan | None = None
) -> list[Problem]:
    """Return everything that is wrong with the study's runs, by kind, then by run.

    Args:
        study: The runs.
        metrics: What should be finite.
        plan: Names conditions that should be there, and those whose seeds share what they start from.
    """
    shared = frozenset(plan.shared_inputs if plan else ())
    parts = [part.study for part in parts_of(study, plan)]
    found = [
        *_endings(study),
        *_not_finite(study, metrics),
        *(problem for part in parts for problem in _missing(part)),
        *(_not_there(study, plan) if plan else ()),
        *_alarms(study),
        *_changes(study, parts),
        *(Problem(Kind.ORIGIN, sentence) for sentence in origin_problems(study, shared)),
        *(
            Problem(Kind.UNREADABLE, f"{run.name}: {complaint}")
            for run in study.runs
            for complaint in run.results.complaints
        ),
    ]
    order = list(Kind)
    return sorted(found, key=lambda problem: order.index(problem.kind))


def _endings(study: Study) -> Iterator[Problem]:
    kinds = {State.FAILED: Kind.FAILED, State.DIVERGED: Kind.DIVERGED}
    jobs = {run.name for run in study.other_jobs}
    for run in (*study.other_jobs, *study.runs):
        if run.ending.state is not State.COMPLETED:
            kind = kinds.get(run.ending.state, Kind.UNFINISHED)
            yield Problem(kind, f"{run.name}: {run.ending.sentence}{_how_far(run)}.{_where(run)}")
        elif run.results.is_training and run.name not in jobs and not run.results.tests:
            yield Problem(Kind.MISSING, f"{run.name}: ended with exit code 0, yet test.csv has no rows.")


def _how_far(run: Run) -> str:
    progress = run.results.progress
    return f", at step {progress.step} of {progress.steps}" if progress else ""


def _where(run: Run) -> str:
    if not run.usage.attempts or run.ending.state is State.UNFINISHED:
        return ""
    log = run.folder.attempt(run.folder.newest_attempt()).output
    inside = log.relative_to(run.folder.path)
    folder = run.condition if run.seed is None else f"{run.condition}/seed_{run.seed}"
    return f" Log: {folder}/{inside}."


def _not_finite(study: Study, metrics: Sequence[Metric]) -> Iterator[Problem]:
    for run in study.runs:
        if run.results.train.diverged("loss") and run.ending.state is not State.DIVERGED:
            yield Problem(Kind.DIVERGED, f"{run.name}: the last training loss is not finite.")
        trained = run.results.train.steps.size > 0  # a mean of finished members has no best step
        for weights in ("last", "best") if trained else ("last",):
            row = run.results.tests.get((weights, POOLED), {})
            measured = [metric for metric in metrics if metric.name in row]
            bad = [metric.label for metric in measured if not math.isfinite(row[metric.name])]
            if bad:
                text = f"{run.name}: no finite {', '.join(bad)} for the {weights} weights; not in the means."
                yield Problem(Kind.DIVERGED, text)
            if run.results.tests and not measured:
                text = f"{run.name}: test.csv has no pooled row for the {weights} weights."
                yield Problem(Kind.MISSING, text)


def _missing(study: Study) -> Iterator[Problem]:
    for condition in study.conditions:
        there = {run.seed for run in study.of(condition)}
        lacking = [seed for seed in study.paired_seeds if seed not in there]
        if lacking and there != {None}:  # one run without a seed is a reference and complete
            seeds = ", ".join("no seed" if seed is None else str(seed) for seed in lacking)
            word = "seed" if len(lacking) == 1 else "seeds"
            yield Problem(Kind.MISSING, f"{condition}: {word} {seeds}, which other conditions have.")


def _not_there(study: Study, plan: ReportPlan) -> Iterator[Problem]:
    for condition in plan.conditions:
        if not study.of(condition):
            yield Problem(Kind.MISSING, f"{condition}: is missing: the plan names it, and it has no run yet.")


def monitored(study: Study) -> dict[str, list[str]]:
    """Return the alarms of each run that a monitor watched, as sentences, by its name; none is good."""
    found = {}
    for run in study.runs:
        raw = read_json(run.folder.path / ALARMS)
        if isinstance(raw, list):
            found[run.name] = [_alarm(one) for one in raw]
    return found


def _alarm(one: object) -> str:
    if not isinstance(one, Mapping):
        return f"unreadable entry {one!r}"
    sentence = str(one.get("sentence", "")).strip().rstrip(".")
    return f"{one.get('name', 'alarm')} at step {one.get('step', '?')}{': ' if sentence else ''}{sentence}"


def _alarms(study: Study) -> Iterator[Problem]:
    for name, alarms in monitored(study).items():
        for alarm in alarms:
            yield Problem(Kind.ALARM, f"{name}: {alarm}.")
    for run in study.runs:
        path = run.folder.path / ALARMS
        if path.exists() and not isinstance(read_json(path), list):
            text = f"{run.name}: {ALARMS} cannot be read; whether the monitor raised an alarm is unknown."
            yield Problem(Kind.UNREADABLE, text)


def _changes(study: Study, parts: Sequence[Study]) -> Iterator[Problem]:
    """Name what should be the same in all seeds of a condition, or in all conditions, and is not.

    Parts of a study may have data of their own.
    """
    for condition in study.conditions:
        yield from _changed_settings(condition, study.of(condition))
    for what, read in (("preset", _preset), ("code", _code)):
        yield from _changed(study, what, read)
    for part in parts:
        yield from _changed(part, "data", _data)


def _changed(study: Study, what: str, read: Callable[[Run], str | None]) -> Iterator[Problem]:
    spread = {condition: _groups(study.of(condition), read) for condition in study.conditions}
    for condition, groups in spread.items():
        if len(groups) > 1:
            text = f"{condition}: {what} changed between seeds: {_listed(groups)}."
            yield Problem(Kind.CHANGED, text)
    everywhere = {value for groups in spread.values() for value in groups}
    if len(everywhere) > 1 and all(len(groups) <= 1 for groups in spread.values()):
        parts = "; ".join(
            f"{condition}: {next(iter(groups))}" for condition, groups in spread.items() if groups
        )
        yield Problem(Kind.CHANGED, f"{what} differs between conditions: {parts}.")


def _changed_settings(condition: str, runs: Sequence[Run]) -> Iterator[Problem]:
    flat = {run.seed: _flat(run.results.config) for run in runs if run.results.config}
    keys = sorted({key for settings in flat.values() for key in settings})
    changed = [key for key in keys if _differs(key, flat)]
    if not changed:
        return
    parts = []
    for key in changed[:MAX_KEYS]:
        by_value: dict[str, list[int | None]] = {}
        for seed, settings in flat.items():
            by_value.setdefault(settings.get(key, "absent"), []).append(seed)
        parts.append(f"{key} is {_listed(by_value)}")
    more = f"; and {len(changed) - MAX_KEYS} more settings" if len(changed) > MAX_KEYS else ""
    yield Problem(Kind.CHANGED, f"{condition}: config changed between seeds: {'; '.join(parts)}{more}.")


def _differs(key: str, flat: Mapping[int | None, Mapping[str, str]]) -> bool:
    """Return whether a setting differs in more than the run's own seed, as in `teacher/seed_3/last`."""
    plain = {settings.get(key, "absent") for settings in flat.values()}
    without_seed = {
        re.sub(rf"(?<!\d){seed}(?!\d)", "{seed}", settings.get(key, "absent"))
        for seed, settings in flat.items()
    }
    return len(plain) > 1 and len(without_seed) > 1


def _flat(section: Mapping[str, object], prefix: str = "") -> dict[str, str]:
    """Return `a.b` to value as text, without the settings that name the seed or the run."""
    flat: dict[str, str] = {}
    for key, value in section.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{key}.")
        elif key not in SEED_KEYS:
            flat[f"{prefix}{key}"] = str(value)
    return flat


def _code(run: Run) -> str | None:
    """Return the commit and a digest of the uncommitted changes to Python files; other files are no code."""
    commit = run.results.commit
    if commit is None:
        return None
    diff = run.results.provenance.get("diff")
    parts = f"\n{diff}".split("\ndiff --git ")[1:] if isinstance(diff, str) else []
    python = [part for part in parts if part.partition("\n")[0].endswith(".py")]
    if not python:
        return commit[:10]
    return (
        f"{commit[:10]} with uncommitted changes {hashlib.sha256(''.join(python).encode()).hexdigest()[:6]}"
    )


def _preset(run: Run) -> str | None:
    preset = run.results.config.get("preset")
    return preset if isinstance(preset, str) and preset else None


def _data(run: Run) -> str | None:
    fingerprint = run.results.data_fingerprint
    return fingerprint[:12] if fingerprint else None


def _groups(runs: Sequence[Run], read: Callable[[Run], str | None]) -> dict[str, list[int | None]]:
    groups: dict[str, list[int | None]] = {}
    for run in runs:
        value = read(run)
        if value is not None:
            groups.setdefault(value, []).append(run.seed)
    return groups


def _listed(groups: Mapping[str, Sequence[int | None]]) -> str:
    return ", ".join(
        f"{value} in seed{'' if len(seeds) == 1 else 's'} {' '.join(map(str, seeds))}"
        for value, seeds in groups.items()
    )
