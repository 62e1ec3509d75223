"""The README tells the truth: its commands exist, its links lead somewhere, its tree is the tree."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from pkgs.jobqueue.commands import VERBS
from pkgs.jobqueue.table.table import COLUMNS

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
COMMAND = re.compile(r"python (QueueManager\.py [a-z]+|-m [\w.]+)((?: --[a-z][a-z.-]*)*)")


def commands() -> list[str]:
    """Return `python ...` commands of the README, each once, cut before its arguments."""
    return sorted({found.group(1) for found in COMMAND.finditer(README)})


@pytest.mark.parametrize("command", commands())
def test_a_command_of_the_readme_exists_and_explains_itself(command: str) -> None:
    asked = subprocess.run(
        [sys.executable, *shlex.split(command), "--help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert asked.returncode == 0, asked.stderr
    assert "Usage" in asked.stdout or "usage" in asked.stdout


@pytest.mark.parametrize("verb", VERBS)
def test_every_command_is_documented_and_has_an_example(verb: str) -> None:
    assert re.search(rf"`(python QueueManager\.py )?{verb}\b", README)
    asked = subprocess.run(
        [sys.executable, "QueueManager.py", verb, "--help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "python QueueManager.py" in asked.stdout


@pytest.mark.parametrize("column", COLUMNS)
def test_every_column_is_documented(column: str) -> None:
    assert re.search(rf"^\|[^|]*`{column}`", README, re.MULTILINE)


def test_the_links_lead_somewhere() -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", README)
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_the_tree_is_the_tree() -> None:
    tree = README.split("## The tree")[1].split("```text\n")[1].split("```")[0]
    tops = [line.split()[0] for line in tree.splitlines() if line and line[0].isalpha()]
    missing = [name for name in tops if name != "logs_and_checkpoints/" and not (ROOT / name).exists()]
    assert missing == []
    packages = {
        word.rstrip("/")
        for line in tree.splitlines()
        if line.startswith("  ")
        for word in line.split()[:2]
        if word.endswith("/")
    }
    here = {path.name for path in (ROOT / "pkgs").iterdir() if (path / "__init__.py").exists()}
    assert packages == here


def test_make_knows_the_targets_that_the_readme_names() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for target in set(re.findall(r"make (run|test-all|test|check|bench)\b", README)):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
