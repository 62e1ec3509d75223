"""`check`: every row, config, path and dataset, before a month-long run; all problems at once."""

from __future__ import annotations

import json as json_text
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Annotated

import typer

from pkgs.foundation import exit_codes
from pkgs.foundation.run_folder import RunFolder
from pkgs.jobqueue.commands.options import JOBS, ROOT, JobsOption, JsonOption, RootOption
from pkgs.jobqueue.schedule.fanout import resolve
from pkgs.jobqueue.table.edits import complete
from pkgs.jobqueue.table.placeholders import fill_command
from pkgs.jobqueue.table.rows_on_disk import read_rows
from pkgs.jobqueue.table.table_file import TableFile
from pkgs.jobqueue.vocabulary import Job

EXAMPLES = "Examples: python QueueManager.py check | python QueueManager.py check --fix"
ASK_LIMIT_S = 60.0
"""A program that does not answer to --check within a minute is left unasked, with a word about it."""
OURS = ("pkgs.",)
"""Modules that know `--check`: they read config, data and checkpoints and train nothing."""


def check(
    *,
    fix: Annotated[bool, typer.Option("--fix", help="Add missing columns and ids first.")] = False,
    json: JsonOption = False,
    jobs: JobsOption = JOBS,
    root: RootOption = ROOT,
) -> int:
    """Find everything that would fail later: cells, ids, circles, files, configs, data."""
    file = TableFile(jobs)
    if fix:
        done = complete(file)
        print(f"columns added: {', '.join(done.columns) or 'none'}")
        print(f"ids filled in: {', '.join(done.ids) or 'none'}")
    rows = read_rows(jobs)
    problems = [str(error) for row in rows for error in row.errors]
    valid = {row.id: row.job for row in rows if row.job is not None}
    lines = {row.id: row.line for row in rows}
    found = resolve(valid, {row.id: row.line for row in rows if row.job is None})
    for name, row_problems in found.problems.items():
        problems += [f"{jobs.name}, line {lines[name]}, {problem}" for problem in row_problems]
    made = {word for job in valid.values() for word in _outputs(job) if not Path(word).exists()}
    complete_jobs = []
    for job in valid.values():
        missing = list(_missing_files(job, made=made))
        problems += [f"{jobs.name}, line {lines[job.id]}, {text}" for text in missing]
        if not missing:
            complete_jobs.append(job)
    for job, answer in _ask_programs(complete_jobs, root=root):
        told = _not_made(answer, {*made, *_runs_to_come(job, root)})
        problems += [f"{jobs.name}, line {lines[job.id]}, column 'command': {told}"] if told else []
    if json:
        print(json_text.dumps({"rows": len(rows), "problems": problems}))
    else:
        for problem in problems:
            print(problem)
        runs = sum(len(job.runs()) for job in valid.values())
        print(f"{len(rows)} rows, {runs} runs, {len(problems)} problem{'s' * (len(problems) != 1)}")
    return exit_codes.USAGE if problems else exit_codes.OK


def _words(command: str) -> list[str]:
    try:
        return shlex.split(command, comments=True)
    except ValueError:
        return command.split()


def _outputs(job: Job) -> Iterator[str]:
    """Yield what the command says it will write, for each of its conditions."""
    for condition in job.conditions or ("",):
        words = _words(job.command.replace("{condition}", condition))
        flags = ("--out", "--output", "-o", *(["--root"] if "--fetch" in words else []))
        for flag, value in pairwise(words):
            if flag in flags:
                yield value


def _runs_to_come(job: Job, root: Path) -> Iterator[str]:
    """Yield the run folders of the jobs that this one waits for and that hold no checkpoint yet."""
    for after in job.after:
        folder = root.resolve() / after.job
        if next(folder.glob("**/checkpoints/last"), None) is None:
            yield f"{folder}/"


def _missing_files(job: Job, *, made: set[str]) -> Iterator[str]:
    """Yield scripts and configs that the command names and that are not there."""
    for word in _words(job.command):
        if "{" in word or "$" in word or "*" in word or word in made:
            continue
        path = Path(word.removeprefix("@"))  # `--set @FILE`
        if path.suffix in (".py", ".sh", ".yaml", ".yml") and not path.exists():
            yield (
                f"column 'command': {word!r} is not a file, seen from {Path.cwd()}. Correct the path, or "
                "start the queue from the folder where it lies."
            )


def _not_made(answer: str, made: set[str]) -> str:
    """Return the lines of a program's answer, without what another row will have made by then."""
    return "\n".join(line for line in answer.splitlines() if not any(place in line for place in made))


def _ask_programs(jobs: list[Job], *, root: Path) -> list[tuple[Job, str]]:
    """Ask our own programs whether they could run: each with its first run's seed and condition."""
    asked = [job for job in jobs if _is_ours(job)]
    with ThreadPoolExecutor(max_workers=max(1, len(os.sched_getaffinity(0)))) as pool:
        return list(zip(asked, pool.map(lambda job: _ask(job, root), asked), strict=True))


def _is_ours(job: Job) -> bool:
    words = _words(job.command)
    return len(words) > 2 and words[1] == "-m" and words[2].startswith(OURS) and "python" in words[0]


def _ask(job: Job, root: Path) -> str:
    """Return what the program finds wrong, empty when nothing."""
    key = job.runs()[0]
    folder = RunFolder.of(root.resolve(), key.job, condition=key.condition, seed=key.seed)
    command = fill_command(job, key, folder.path)
    words = [sys.executable, *_words(command)[1:], "--check"]
    environment = {
        **os.environ,
        "QUEUE_SEED": "" if key.seed is None else str(key.seed),
        "QUEUE_CONDITION": key.condition or "",
        "QUEUE_RUN_DIR": str(folder.path),
        "QUEUE_ROOT": str(root.resolve()),
    }
    try:
        asked = subprocess.run(
            words,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=ASK_LIMIT_S,
            check=False,
            env=environment,
        )
    except subprocess.TimeoutExpired:
        return f"{shlex.join(words[1:4])} --check gave no answer within {ASK_LIMIT_S:.0f} s."
    return "" if asked.returncode == 0 else (asked.stderr or asked.stdout).strip()
