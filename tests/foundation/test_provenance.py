"""Provenance: the commit is read without asking git and agrees with git."""

import subprocess
from pathlib import Path

from pkgs.foundation.provenance import collect, commit_of, digest_file


def commit_something(folder: Path) -> str:
    run = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-C", str(folder)]
    subprocess.run(["git", "init", "-q", str(folder)], check=True)
    subprocess.run([*run, "commit", "-q", "--allow-empty", "-m", "x"], check=True)
    asked = subprocess.run([*run, "rev-parse", "HEAD"], check=True, capture_output=True, text=True)
    return asked.stdout.strip()


def test_the_commit_is_found_loose_packed_and_from_a_folder_below(tmp_path: Path) -> None:
    commit = commit_something(tmp_path)
    (tmp_path / "below").mkdir()
    assert commit_of(tmp_path / "below") == commit
    subprocess.run(["git", "-C", str(tmp_path), "pack-refs", "--all"], check=True)
    assert commit_of(tmp_path) == commit


def test_outside_a_repository_there_is_no_commit(tmp_path: Path) -> None:
    assert commit_of(tmp_path) is None


def test_the_digest_is_that_of_the_bytes(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    assert digest_file(tmp_path / "a") == "ba7816bf8f01cfea"


def test_collect_names_packages_and_the_command() -> None:
    record = collect(["python", "-m", "x"], config_digest="1234")
    assert record["command"] == ["python", "-m", "x"]
    assert isinstance(record["packages"], dict)
    assert "pydantic" in record["packages"]
