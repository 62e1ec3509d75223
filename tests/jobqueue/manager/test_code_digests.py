"""Which code a run starts with: digests of the files that its command names, and the commit."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from pkgs.jobqueue.manager import code_digests
from pkgs.jobqueue.manager.code_digests import LIMIT_BYTES, CodeDigests, difference


@pytest.mark.parametrize(
    "command",
    [
        "python train.py --x 1",
        "cd . && python 'train.py'",
        'bash -c "python train.py"; true',
        "python train.py>log",
        "FOO=bar python train.py|tee log",
        "python -m train",
    ],
)
def test_files_are_found_wherever_they_stand_in_a_command(tmp_path: Path, command: str) -> None:
    (tmp_path / "train.py").write_text("1")
    assert set(CodeDigests(tmp_path).files(command)) == {"train.py"}


def test_a_package_counts_with_all_that_stands_beside_its_main(tmp_path: Path) -> None:
    package = tmp_path / "pkgs" / "student"
    package.mkdir(parents=True)
    for name in ("__init__.py", "__main__.py", "step.py"):
        (package / name).write_text(name)
    before = CodeDigests(tmp_path).files("python -m pkgs.student --seed 1")
    assert set(before) == {f"pkgs/student/{name}" for name in ("__init__.py", "__main__.py", "step.py")}
    (package / "step.py").write_text("changed")
    assert "pkgs/student/step.py changed" in difference(
        before, CodeDigests(tmp_path).files("python -m pkgs.student")
    )


def test_a_config_counts_with_the_one_it_extends(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text("a: 1")
    (tmp_path / "own.yaml").write_text("extends: base.yaml  # shared\nb: 2")
    assert set(CodeDigests(tmp_path).files("train --config own.yaml")) == {"own.yaml", "base.yaml"}


def test_data_and_folders_are_no_code(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with (tmp_path / "data.bin").open("wb") as file:
        file.truncate(LIMIT_BYTES + 1)
    assert CodeDigests(tmp_path).files("train folder data.bin missing.py \0") == {}


def test_an_unchanged_file_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "train.py").write_text("1")
    digests = CodeDigests(tmp_path)
    first = digests.files("train.py")
    monkeypatch.setattr(code_digests, "digest_file", lambda _: pytest.fail("read again"))
    assert digests.files("train.py") == first


def test_the_commit_is_that_of_the_working_folder(tmp_path: Path) -> None:
    digests = CodeDigests(tmp_path)
    assert digests.commit(now_unix_s=0.0) is None
    identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
    for words in (["init", "-q"], [*identity, "commit", "-q", "--allow-empty", "-m", "one"]):
        subprocess.run(["git", *words], cwd=tmp_path, check=True)
    head = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert digests.commit(now_unix_s=10.0) == head.stdout.strip()


def test_a_difference_is_a_sentence_and_no_difference_none() -> None:
    assert difference({"commit": "a", "x.py": "1"}, {"commit": "a", "x.py": "1", "y.py": "2"}) == ""
    said = difference({"commit": "a", "x.py": "1"}, {"commit": "b", "x.py": "2"})
    assert said == "the commit, x.py changed since this job was queued: its seeds may not be comparable"
