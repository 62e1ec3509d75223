"""Importing does nothing, and the queue stays light: `status` must answer in a blink."""

import subprocess
import sys

import pytest

HEAVY = ("torch", "monai", "numpy", "pandas", "scipy", "matplotlib")


def loaded_after(statement: str) -> set[str]:
    """Return the top-level modules of a fresh interpreter after a statement."""
    code = f"import sys\n{statement}\nprint(*{{name.partition('.')[0] for name in sys.modules}})"
    asked = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(asked.stdout.split())


@pytest.mark.parametrize(
    "module",
    [
        "pkgs.foundation.run_folder",
        "pkgs.foundation.config",
        "pkgs.jobqueue",
        "pkgs.jobqueue.commands",
        "pkgs.jobqueue.commands.run",
        "pkgs.jobqueue.commands.status",
    ],
)
def test_queue_and_foundation_load_no_heavy_library(module: str) -> None:
    assert loaded_after(f"import {module}").isdisjoint(HEAVY)


def test_the_foundation_loads_the_standard_library_only() -> None:
    names = "files, registry, seeds, run_folder, progress, exit_codes, provenance"
    found = loaded_after(f"from pkgs.foundation import {names}") - loaded_after("pass")
    assert found - {"pkgs"} <= set(sys.stdlib_module_names)


def test_status_needs_neither_yaml_nor_the_screen_library() -> None:
    assert loaded_after("import pkgs.jobqueue.screen.overview").isdisjoint({"yaml", "rich", "pydantic"})


def test_the_parsed_config_of_a_method_needs_no_torch() -> None:
    assert "torch" not in loaded_after("import pkgs.student.config")
