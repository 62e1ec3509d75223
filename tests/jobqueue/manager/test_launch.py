"""What an attempt is given: its share of the cores, its environment, its record."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pkgs.jobqueue.attempts.attempts import child_environment
from pkgs.jobqueue.manager.book import Entry
from pkgs.jobqueue.manager.code_digests import CodeDigests
from pkgs.jobqueue.manager.launch import Launcher, Threads, share_threads
from pkgs.jobqueue.state.records import Attempt, JobRecord
from pkgs.jobqueue.vocabulary import Job, RunKey


@pytest.mark.parametrize("cores", [1, 2, 3, 8, 64, 192])
@pytest.mark.parametrize("gpus", [0, 1, 2, 8])
def test_all_runs_that_can_run_at_once_use_no_more_threads_than_there_are_cores(
    cores: int, gpus: int
) -> None:
    for slots in {1, max(1, cores // 2), cores}:
        threads = share_threads(cores=cores, cpu_slots=slots, gpus=gpus)
        used = slots * threads.per_cpu_run + gpus * threads.per_gpu * bool(gpus)
        assert used <= max(cores, slots + gpus), "one thread each is the least"
        assert min(threads.per_cpu_run, threads.per_gpu) >= 1


def test_on_cores_alone_the_slots_share_them_evenly() -> None:
    assert share_threads(cores=8, cpu_slots=2, gpus=0).per_cpu_run == 4


def launcher(folder: Path) -> Launcher:
    return Launcher(
        folder / "root", cwd=folder, digests=CodeDigests(folder), threads=Threads(2, 5), grace_s=60.0
    )


def attempt(key: RunKey, *, devices: tuple[str, ...] = ()) -> Attempt:
    return Attempt("abc", key, 1, devices, 0 if devices else 1, None, 1000.0)


def test_a_gpu_run_gets_its_devices_and_the_threads_of_each(tmp_path: Path) -> None:
    job = Job("ke/a", "train {seed} {condition} {gpus}", seeds=(3,), conditions=("noisy",), gpus=2)
    key = RunKey("ke/a", "noisy", 3)
    spec = launcher(tmp_path).spec(
        Entry("ke/a", JobRecord("ke/a"), job), attempt(key, devices=("GPU-1", "GPU-2")), lease_fds=()
    )
    assert spec.command == "train 3 noisy 2"
    assert spec.run_dir == tmp_path / "root" / "ke" / "a" / "noisy" / "seed_3"
    given = child_environment(spec)
    wanted = {
        "QUEUE_JOB": "ke/a",
        "QUEUE_CONDITION": "noisy",
        "QUEUE_SEED": "3",
        "QUEUE_RUN_DIR": str(spec.run_dir),
        "QUEUE_ROOT": str(tmp_path / "root"),
        "QUEUE_ATTEMPT": "abc",
        "CUDA_VISIBLE_DEVICES": "GPU-1,GPU-2",
        "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
        "OMP_NUM_THREADS": "10",
        "PYTHONUNBUFFERED": "1",
    }
    assert {name: given[name] for name in wanted} == wanted


def test_a_cpu_run_sees_no_gpu_whatever_the_manager_was_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    monkeypatch.setenv("QUEUE_JOB", "an outer job")
    monkeypatch.setenv("QUEUE_FOREIGN", "an outer queue's")
    entry = Entry("a", JobRecord("a"), Job("a", "true", gpus=0))
    given = child_environment(launcher(tmp_path).spec(entry, attempt(RunKey("a")), lease_fds=()))
    assert given["CUDA_VISIBLE_DEVICES"] == ""
    assert given["QUEUE_JOB"] == "a"
    assert (given["QUEUE_SEED"], given["QUEUE_CONDITION"]) == ("", "")
    assert given["OMP_NUM_THREADS"] == "2"
    assert "QUEUE_FOREIGN" not in given


def test_old_programs_can_be_given_indices(tmp_path: Path) -> None:
    starts = launcher(tmp_path)
    starts.device_indices = {"GPU-1": "0", "GPU-2": "3"}
    entry = Entry("a", JobRecord("a"), Job("a", "true"))
    spec = starts.spec(entry, attempt(RunKey("a"), devices=("GPU-2",)), lease_fds=())
    assert spec.environment["CUDA_VISIBLE_DEVICES"] == "3"
    assert spec.launch_record["devices"] == ["GPU-2"], "the record keeps the UUID"


def test_the_record_holds_the_code_that_runs(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text("1")
    entry = Entry("a", JobRecord("a"), Job("a", "python train.py"))
    record = launcher(tmp_path).spec(entry, attempt(RunKey("a")), lease_fds=()).launch_record
    files = record["files"]
    assert isinstance(files, dict)
    assert list(files) == ["train.py"]
    assert record["run"] == {"job": "a", "condition": None, "seed": None}


def test_python_in_a_row_is_the_interpreter_of_the_queue(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("VIRTUAL_ENV", raising=False)
    monkeypatch.setattr("sys.prefix", "/venv")
    monkeypatch.setattr("sys.executable", "/venv/bin/python")
    entry = Entry("a", JobRecord("a"), Job("a", "python train.py"))
    spec = launcher(tmp_path).spec(entry, attempt(RunKey("a")), lease_fds=())
    assert spec.environment["PATH"].split(os.pathsep)[0] == "/venv/bin"
