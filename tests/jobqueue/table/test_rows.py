"""Cells to a Job, or to errors that name row, column, value, expectation and remedy."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from pkgs.jobqueue.table.placeholders import fill_command
from pkgs.jobqueue.table.row_names import auto_id
from pkgs.jobqueue.table.rows import CellError, read_row, show
from pkgs.jobqueue.table.table import Cells
from pkgs.jobqueue.vocabulary import After, Alone, Job, Learned, RunKey, Share


def job(**cells: str) -> Job:
    found = read_row(Cells(**{"id": "a", "command": "true", **cells}), line=7)
    assert isinstance(found, Job), found
    return found


def errors(**cells: str) -> list[CellError]:
    found = read_row(Cells(**{"id": "a", "command": "true", **cells}), line=7)
    assert not isinstance(found, Job), found
    return found


def test_empty_cells_mean_the_defaults_of_the_design() -> None:
    assert job() == Job("a", "true")
    assert (job().gpus, job().gpu_mem, job().priority, job().retries, job().timeout_s) == (
        1,
        Alone(),
        0,
        1,
        None,
    )


def test_a_full_row_becomes_a_job() -> None:
    found = job(
        seeds="0..2",
        conditions="base aug",
        after="data ke/teacher:all",
        gpus="2",
        gpu_mem="14G",
        priority="-3",
        retries="0",
        timeout="1h30m",
    )
    assert found == Job(
        "a", "true", (0, 1, 2), ("base", "aug"), (After("data"), After("ke/teacher", all_runs=True)), 2,
        Share(14336), -3, 0, 5400.0,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "seeds"),
    [
        ("0..4", (0, 1, 2, 3, 4)),
        ("0-4", (0, 1, 2, 3, 4)),
        ("1-4", (1, 2, 3, 4)),
        ("3 4 13", (3, 4, 13)),
        ("3, 4,13", (3, 4, 13)),
        ("7", (7,)),
        ("0..1 9", (0, 1, 9)),
        ("5.0", (5,)),
    ],
)
def test_seeds_are_read_in_every_spelling(text: str, seeds: tuple[int, ...]) -> None:
    assert job(seeds=text).seeds == seeds


@pytest.mark.parametrize(
    "text",
    [
        "04.Jan",
        "4-Jan",
        "Jan-04",
        "1/4/2026",
        "2026-01-04",
        "2026-01-04 00:00:00",
        "01.04.2026",
        "4. Mär",
        "04.01.",
    ],
)
def test_what_spreadsheets_make_of_a_range_is_refused_with_the_cure(text: str) -> None:
    (error,) = errors(seeds=text)
    assert "`1..4`" in error.remedy
    assert "date" in error.expected


@pytest.mark.parametrize(
    ("cells", "column", "words"),
    [
        ({"seeds": "a"}, "seeds", "such as `0..4`"),
        ({"seeds": "1 1"}, "seeds", "seed 1 stands in it twice"),
        ({"seeds": "4..0"}, "seeds", "Write 0..4"),
        ({"seeds": "0..99999"}, "seeds", "at most 10,000"),
        ({"seeds": "-1"}, "seeds", "whole numbers from 0"),
        ({"seeds": "9223372036854775808"}, "seeds", "2^63"),
        ({"conditions": "a b a"}, "conditions", "stands in it twice"),
        ({"conditions": "a A"}, "conditions", "case is ignored"),
        ({"conditions": "../x"}, "conditions", "belongs to ids"),
        ({"conditions": ".."}, "conditions", "leave the run folder"),
        ({"conditions": "seed_3"}, "conditions", "of its own"),
        ({"conditions": "ä"}, "conditions", "letters, digits"),
        ({"after": "a:some"}, "after", "only `all`"),
        ({"after": "../a"}, "after", "leave the run folder"),
        ({"after": "b b"}, "after", "twice"),
        ({"gpus": "two"}, "gpus", "whole number from 0"),
        ({"gpus": "-1"}, "gpus", "whole number from 0"),
        ({"gpus": "1.5"}, "gpus", "whole number"),
        ({"gpus": "99999999999999999999"}, "gpus", "whole number"),
        ({"gpu_mem": "24 gigs"}, "gpu_mem", "empty, 'auto' or a size such as 14G"),
        ({"gpu_mem": "14"}, "gpu_mem", "Write 14G"),
        ({"gpu_mem": "0G"}, "gpu_mem", "between 1M and 64T"),
        ({"priority": "high"}, "priority", "whole number"),
        ({"retries": "-1"}, "retries", "whole number from 0"),
        ({"timeout": "90"}, "timeout", "90m"),
        ({"timeout": "1:30"}, "timeout", "1h30m"),
        ({"timeout": "soon"}, "timeout", "90m, 12h, 3d"),
        ({"timeout": "0s"}, "timeout", "above zero"),
        ({"status": "opne"}, "status", "Did you mean `open`"),
        ({"status": "done"}, "status", "Did you mean `completed`"),
        ({"status": "???"}, "status", "Write `open`"),
        ({"command": ""}, "command", "what bash shall run"),
        ({"command": "=1+2"}, "command", "formula"),
        ({"command": "# x"}, "command", "comment"),
        ({"command": "echo \u202e x"}, "command", "U+202E"),
        ({"command": "echo \x1b[0m"}, "command", "U+001B"),
        ({"command": "x" * 200_000}, "command", "200,000"),
        ({"command": "run {seed}"}, "command", "column 'seeds'"),
        ({"command": "run {condition}"}, "command", "column 'conditions'"),
        ({"id": "../x"}, "id", "leave the run folder"),
        ({"id": "/x"}, "id", "absolute"),
        ({"id": "a//b"}, "id", "a part is empty"),
        ({"id": "a/"}, "id", "a part is empty"),
        ({"id": "a/./b"}, "id", "leave the run folder"),
        ({"id": "a."}, "id", "end with a dot"),
        ({"id": "-rf"}, "id", "must not begin with `-`"),
        ({"id": ".git"}, "id", "must not begin with `.`"),
        ({"id": "a b"}, "id", "'a_b'"),
        ({"id": "ä"}, "id", "letters, digits"),
        ({"id": "con"}, "id", "Windows"),
        ({"id": "x/NUL.txt"}, "id", "Windows"),
        ({"id": "queue/x"}, "id", "manager's own"),
        ({"id": "ke/checkpoints"}, "id", "of its own"),
        ({"id": "ke/seed_1"}, "id", "of its own"),
        ({"id": "x" * 201}, "id", "at most 200"),
    ],
)
def test_each_bad_cell_names_place_value_expectation_and_remedy(
    cells: dict[str, str], column: str, words: str
) -> None:
    (error,) = errors(**cells)
    assert (error.line, error.column, error.value) == (7, column, cells[column])
    assert words in f"{error.expected}. {error.remedy}"
    assert error.remedy.endswith((".", "?"))
    assert str(error).startswith(f"Jobs.csv, line 7, column '{column}': '")
    assert len(str(error)) < 400


def test_the_message_reads_as_the_style_guide_wants_it() -> None:
    (error,) = errors(gpu_mem="24 gigs")
    assert str(error) == (
        "Jobs.csv, line 7, column 'gpu_mem': '24 gigs' is not empty, 'auto' or a size such as 14G. "
        "Write for example 14G or 14000M."
    )


def test_all_faults_of_a_row_are_told_at_once() -> None:
    found = errors(id="../x", seeds="04.Jan", gpus="x", timeout="y", status="opne", command="")
    assert [error.column for error in found] == ["id", "status", "command", "seeds", "gpus", "timeout"]


@pytest.mark.parametrize(
    "name", ["a", "ke/x.1-b_2", "queues", "my/queue", "v1.2/lr_0.1", "seed_", "console", "0"]
)
def test_plain_ids_are_taken(name: str) -> None:
    assert job(id=name).id == name


@pytest.mark.parametrize(
    ("text", "memory"),
    [
        *[("auto", Learned()), ("AUTO", Learned()), ("14G", Share(14336)), ("14GiB", Share(14336))],
        *[("14 gb", Share(14336)), ("14000M", Share(14000)), ("1.5G", Share(1536))],
    ],
)
def test_memory_sizes_are_read(text: str, memory: object) -> None:
    assert job(gpu_mem=text).gpu_mem == memory


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90m", 5400), ("12h", 43200), ("3d", 259200), ("45s", 45), ("1h30m", 5400), ("1h 30m", 5400)],
)
def test_durations_are_read(text: str, seconds: float) -> None:
    assert job(timeout=text).timeout_s == seconds


def test_values_in_messages_are_cut_and_made_visible() -> None:
    assert show("a\u202eb\nc\x1b") == "'a\\u202eb\\nc\\x1b'"
    assert len(show("x" * 10_000_000)) < 130
    assert "10,000,000 characters" in show("x" * 10_000_000)


def test_a_command_may_hold_any_other_braces_and_unusual_letters() -> None:
    text = "echo ${HOME} ${seed} {a,b} {1..3} | awk '{print $1}' && python -c 'print({})' # grüße 🎉\n\tdone"
    found = job(command=text)
    assert fill_command(found, RunKey("a"), "/r") == text


@pytest.mark.parametrize(
    "run_dir",
    [
        "/tmp/plain",
        "/tmp/with blank",
        "/tmp/it's",
        '/tmp/"q"',
        "/tmp/$(touch x)`id`",
        "/tmp/; rm -rf x",
        "/tmp/a\\b",
    ],
)
@pytest.mark.parametrize(
    "template", ["printf %s {run_dir}", 'printf %s "{run_dir}"', "printf %s '{run_dir}'"]
)
def test_bash_reads_a_placeholder_as_one_word_whatever_it_holds(template: str, run_dir: str) -> None:
    command = fill_command(job(command=template), RunKey("a"), Path(run_dir))
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    assert done.stdout == run_dir


def test_placeholders_are_filled_for_one_run() -> None:
    found = job(
        command="x --s {seed} --c {condition} --g {gpus} --d {run_dir}",
        seeds="0..2",
        conditions="u v",
        gpus="4",
    )
    assert fill_command(found, RunKey("a", "v", 2), "/r/a") == "x --s 2 --c v --g 4 --d /r/a"


def test_an_id_is_made_of_the_command_the_same_each_time() -> None:
    first = auto_id("python -m pkgs.student --lr 1", lambda _: False)
    assert first == auto_id("python -m pkgs.student --lr 1", lambda _: False)
    assert first.startswith("student-")
    assert first != auto_id("python -m pkgs.student --lr 2", lambda _: False)
    assert first != auto_id("python -m pkgs.student --lr 1", {first}.__contains__)


@pytest.mark.parametrize(
    ("command", "slug"),
    [
        ("CUDA_X=1 python3 a/train.py", "train"),
        ("./run.sh", "run"),
        ("'", "job"),
        ("echo 'open", "echo"),
        ("", "job"),
        ("日本", "job"),
    ],
)
def test_made_ids_are_valid_whatever_the_command(command: str, slug: str) -> None:
    name = auto_id(command, lambda _: False)
    assert name.rpartition("-")[0] == slug
    assert job(id=name).id == name
