"""The command line: help, exit codes, the frozen JSON of `status`, `why`, `logs`, `plan`, completion."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pkgs.foundation import exit_codes
from pkgs.jobqueue.commands import VERBS, main
from tests.builders.managers import PROGRAM, Queue, queue_for_module, row

JOB_KEYS = {"id", "status", "progress", "message", "runs"}
RUN_KEYS = {"seed", "condition", "status", "cause", "attempts", "devices", "eta_unix_s"}
TOP_KEYS = {"jobs", "devices", "eta_unix_s"}
"""Of design.md section 8: keys are only ever added, so a change here needs a line in CHANGELOG.md."""
ADDED = {"manager_pid", "paused", "problem"}

ROWS = (
    row("s/done", r"printf 'epoch 1\repoch 2\repoch 3\nend {seed}\n'", seeds="0..1", gpus="0"),
    row("s/bad", "echo oh no; exit 3", gpus="0"),
    row("s/held", "true", status="hold"),
    row("s/counted", "true", status="completed"),
    row("s/stopped", "true", status="cancel"),
    row("s/child", "true", after="s/bad", gpus="0"),
    row("s/wrong", "true", gpus="none", after="s/dune"),
)


@pytest.fixture(scope="module")
def queue() -> Iterator[Queue]:
    with queue_for_module() as queue:
        queue.write(*ROWS)
        assert queue.run_until_idle().returncode == exit_codes.FAILED
        yield queue


@pytest.fixture
def here(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> Queue:
    monkeypatch.chdir(queue.folder)
    return queue


@pytest.mark.parametrize("verb", VERBS)
def test_every_command_explains_itself_with_an_example(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([verb, "--help"]) == exit_codes.OK
    said = capsys.readouterr().out
    assert f"QueueManager.py {verb}" in said
    assert "Example" in said


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == exit_codes.OK
    said = capsys.readouterr().out
    assert all(f"\n  {verb} " in said for verb in VERBS)


@pytest.mark.parametrize(("typed", "meant"), [("statsu", "status"), ("canel", "cancel"), ("rety", "retry")])
def test_an_unknown_command_names_the_nearest_one(
    typed: str, meant: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([typed]) == exit_codes.USAGE
    assert f"Did you mean '{meant}'?" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        ["status", "--bogus"],
        ["why"],
        ["-x"],
        ["run", "--cpu-slots", "0"],
        ["run", "--gpus", "some"],
        ["run", "--gpus", "GPU-feedbeef", "--until-idle"],
        ["run", "--gpus", "sim:0x24G"],
        ["run", "--backend", "cloud"],
        ["status", "s/dune"],
        ["why", "s/dune"],
        ["logs", "s/dune"],
        ["logs", "s/done:zero"],
        ["retry", "s/dune"],
        ["hold", "s/dune"],
        ["status", "--jobs", "no_such.csv"],
        ["run", "--jobs", "no_such.csv"],
        ["add", "true", "--id", "../x"],
    ],
)
def test_wrong_usage_ends_with_code_2_and_a_sentence(
    here: Queue, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    before = here.jobs.read_bytes()
    assert main(words) == exit_codes.USAGE
    said = capsys.readouterr()
    assert len(said.err.strip()) > 20
    assert "Traceback" not in said.err
    assert here.jobs.read_bytes() == before


@pytest.mark.parametrize("verb", ["status", "why", "logs", "retry", "hold"])
def test_an_unknown_id_names_the_nearest_one(
    here: Queue, verb: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([verb, "s/dome"]) == exit_codes.USAGE
    assert "s/done" in capsys.readouterr().err


def test_status_json_holds_exactly_the_frozen_keys(here: Queue, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", "--json"]) == exit_codes.OK
    facts = json.loads(capsys.readouterr().out)
    assert facts.keys() == TOP_KEYS | ADDED
    assert {frozenset(job) for job in facts["jobs"]} == {frozenset(JOB_KEYS | {"eta_unix_s"})}
    assert {frozenset(run) for job in facts["jobs"] for run in job["runs"]} == {frozenset(RUN_KEYS)}
    assert [job["id"] for job in facts["jobs"]] == [line["id"] for line in ROWS]


def test_status_json_tells_seeds_causes_and_attempts(here: Queue, capsys: pytest.CaptureFixture[str]) -> None:
    main(["status", "s/done", "s/bad", "--json"])
    done, bad = json.loads(capsys.readouterr().out)["jobs"]
    assert [(run["seed"], run["status"], run["attempts"]) for run in done["runs"]] == [
        (0, "completed", 1),
        (1, "completed", 1),
    ]
    assert [(run["status"], run["cause"]) for run in bad["runs"]] == [("failed", "error in the code")]


def test_status_in_a_terminal_of_80_columns_has_no_longer_line(
    here: Queue, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert main(["status"]) == exit_codes.OK
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    assert all(any(line["id"] in shown for shown in lines) for line in ROWS)


@pytest.mark.parametrize(
    ("job", "words"),
    [
        ("s/done", "completed; `rerun s/done` does it again"),
        ("s/bad", "its last words: oh no"),
        ("s/held", "on hold as you asked; `release s/held`"),
        ("s/counted", "`rerun s/counted`"),
        ("s/stopped", "`rerun s/stopped`"),
        ("s/child", "waits for s/bad, which failed; `retry s/bad`"),
        ("s/wrong", "'none' is not"),
    ],
)
def test_why_is_never_silent(here: Queue, job: str, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["why", job]) == exit_codes.OK
    assert words in capsys.readouterr().out


def test_why_without_a_manager_says_how_to_start_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "Jobs.csv").write_text("id,command\nnew,true\n")
    assert main(["why", "new", "--jobs", str(tmp_path / "Jobs.csv"), "--root", str(tmp_path / "root")]) == 0
    assert "no manager runs; start one with `python QueueManager.py`" in capsys.readouterr().out


def test_logs_collapse_what_a_progress_bar_overwrote(here: Queue, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["logs", "s/done:1"]) == exit_codes.OK
    assert capsys.readouterr().out.splitlines()[-2:] == ["epoch 3", "end 1"]


def test_logs_without_a_seed_show_the_run_that_printed_last(
    here: Queue, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["logs", "s/done", "-n", "1"]) == exit_codes.OK
    assert capsys.readouterr().out.splitlines() in (
        ["[s/done/seed_0]", "end 0"],
        ["[s/done/seed_1]", "end 1"],
    )


def test_logs_of_an_attempt_that_is_not_there_say_so(here: Queue, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["logs", "s/bad", "--attempt", "7"]) == exit_codes.USAGE
    assert "s/bad" in capsys.readouterr().err


def test_logs_follow_shows_new_lines_once_and_ends_with_the_attempt(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "job" / "attempts" / "1"
    folder.mkdir(parents=True)
    (folder / "output.log").write_text("old\n")

    def job() -> None:
        time.sleep(0.3)
        with (folder / "output.log").open("a") as log:
            log.write("10%\r20%\rnew\n")
        (folder / "exit.json").write_text("{}")

    writer = threading.Thread(target=job)
    writer.start()
    assert main(["logs", "job", "-f", "--root", str(tmp_path)]) == exit_codes.OK
    writer.join()
    assert capsys.readouterr().out.splitlines() == ["old", "new"]


@pytest.mark.parametrize(
    "words", [["plan"], ["plan", "--json"], ["run", "--dry-run"], ["plan", "--gpus", "sim:2x24G"]]
)
def test_plan_and_dry_run_write_nothing(
    tmp_path: Path, words: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("Jobs.csv").write_text("id,command,seeds,after\na,true,0..1,\nb,true,0..1,a\n")
    assert main(words) == exit_codes.OK
    left = {path.name for path in tmp_path.iterdir()}
    assert left <= {"Jobs.csv", ".Jobs.csv.lock"}, "the lock is that of all who read the table"
    said = capsys.readouterr().out
    order = [said.index(name) for name in ("a:0", "b:0", "b:1")]
    assert order == sorted(order)


def test_plan_leaves_a_queue_with_a_past_as_it_is(here: Queue, capsys: pytest.CaptureFixture[str]) -> None:
    def contents() -> dict[Path, bytes]:
        paths = (*here.root.rglob("*"), here.jobs)
        return {
            path: path.read_bytes()
            for path in paths
            if path.is_file() and not path.name.endswith(("-shm", "-wal"))
        }

    before = contents()
    assert main(["plan"]) == exit_codes.FAILED, "a row is refused"
    assert contents() == before
    assert "refused s/wrong" in capsys.readouterr().out


def test_check_names_every_problem_at_once_as_json(here: Queue, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--json"]) == exit_codes.USAGE
    facts = json.loads(capsys.readouterr().out)
    assert facts["rows"] == len(ROWS)
    assert any("'none'" in problem for problem in facts["problems"])


@pytest.mark.parametrize(("after", "code"), [("s/old", exit_codes.OK), ("", exit_codes.USAGE)])
def test_check_takes_run_folders_of_rows_under_after_for_granted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: str, code: int
) -> None:
    (tmp_path / "pkgs").mkdir()
    needs = tmp_path / "root" / "s" / "old" / "seed_3"
    (tmp_path / "pkgs" / "needs.py").write_text(f"raise SystemExit('{needs}: has no checkpoint')\n")
    jobs, command = tmp_path / "Jobs.csv", "python -m pkgs.needs --config @c.yaml"
    (tmp_path / "c.yaml").write_text("")
    jobs.write_text(f"id,command,after\ns/old,true,\ns/new,{command},{after}\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", "")
    assert main(["check", "--jobs", str(jobs), "--root", "root"]) == code


def test_check_fix_adds_the_columns_and_ids_that_are_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    jobs = tmp_path / "Jobs.csv"
    jobs.write_text("command\necho hello\n")
    assert main(["check", "--fix", "--jobs", str(jobs)]) == exit_codes.OK
    head, line = jobs.read_text().splitlines()
    assert {"id", "status", "progress", "message"} <= set(head.split(","))
    assert "echo hello" in line
    assert capsys.readouterr().out


def test_doctor_looks_at_this_machine(here: Queue, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor"]) in (exit_codes.OK, exit_codes.FAILED)
    lines = capsys.readouterr().out.splitlines()
    assert all(line.startswith(("ok  ", "LOOK")) for line in lines)
    assert any("cores" in line for line in lines)
    assert any("GPU" in line for line in lines)
    assert any("/dev/shm" in line for line in lines)


def test_add_into_a_folder_without_a_table_begins_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["add", "echo hello", "--hold"]) == exit_codes.OK
    made = capsys.readouterr().out.strip()
    assert main(["status", made]) == exit_codes.OK
    assert "hold" in capsys.readouterr().out


def test_a_full_or_read_only_disk_is_said_in_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "root").write_text("a file where the root should be")
    (tmp_path / "Jobs.csv").write_text("command\ntrue\n")
    words = [
        "run",
        "--until-idle",
        "--plain",
        "--jobs",
        str(tmp_path / "Jobs.csv"),
        "--root",
        str(tmp_path / "root"),
    ]
    assert main(words) in (exit_codes.FAILED, exit_codes.USAGE)
    assert "root" in capsys.readouterr().err


def completed(queue: Queue, line: str) -> list[str]:
    """Return what a real bash would offer at the end of `line`."""
    program = f"{sys.executable} {PROGRAM}"
    words = " ".join(f"'{word}'" for word in line.split(" "))
    script = (
        f'python() {{ shift; {program} "$@"; }}\n'
        f'eval "$({program} --show-completion)"\n'
        f"COMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))\n"
        '_queuemanager; printf "%s\\n" "${COMPREPLY[@]}"'
    )
    asked = subprocess.run(
        ["bash", "-c", script], cwd=queue.folder, capture_output=True, text=True, check=True, timeout=60
    )
    return asked.stdout.split()


def test_the_shell_completes_commands_ids_and_options(here: Queue) -> None:
    assert completed(here, "python QueueManager.py st") == ["status"]
    assert completed(here, "python QueueManager.py why s/c") == ["s/child", "s/counted"]
    assert "--until-idle" in completed(here, "python QueueManager.py run --")
    assert completed(here, "python train.py st") == []


def test_a_report_that_is_killed_ends_as_killed_so_that_the_queue_tries_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "python"
    program.write_text("#!/bin/sh\nkill -9 $$\n")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    assert main(["report", "ke", "--root", str(tmp_path)]) == 128 + 9


def test_importing_the_commands_loads_nothing_heavy() -> None:
    code = (
        "import sys\n"
        "from pkgs.jobqueue import commands; from pkgs.jobqueue.screen import overview\n"
        "from pkgs.jobqueue.manager import assemble, manager\n"
        "print([m for m in ('torch', 'numpy', 'pandas', 'monai', 'rich') if m in sys.modules])"
    )
    asked = subprocess.run(
        [sys.executable, "-c", code], cwd=PROGRAM.parent, capture_output=True, text=True, check=True
    )
    assert asked.stdout == "[]\n"
