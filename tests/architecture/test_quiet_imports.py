"""Importing does nothing, and the queue stays light: `status` must answer in a blink."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
WATCH = Path(__file__).with_name("import_watch.py")
LOUD = {
    "environment": "import os; os.environ['MADE_UP'] = '1'",
    "working folder": "import os; os.chdir('/')",
    "module search path": "import sys; sys.path.append('/nowhere')",
    "threads": "import threading; threading.Thread(target=threading.Event().wait, daemon=True).start()",
    "signal handlers": "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)",
    "logging": "import logging; logging.basicConfig()",
    "warning filters": "import warnings; warnings.simplefilter('ignore')",
    "exit callbacks": "import atexit; atexit.register(print)",
    "random generator": "import random; random.random()",
    "numpy generator": "import numpy; numpy.random.rand()",
    "torch generator": "import torch; torch.rand(1)",
    "torch default dtype": "import torch; torch.set_default_dtype(torch.float64)",
    "torch threads": "import torch; torch.set_num_threads(torch.get_num_threads() + 1)",
    "torch gradient": "import torch; torch.set_grad_enabled(False)",
    "torch determinism": "import torch; torch.use_deterministic_algorithms(True)",
    "torch matmul precision": "import torch; torch.set_float32_matmul_precision('medium')",
    "opened for writing: /dev/null": "open('/dev/null', 'w').close()",
    "subprocess.Popen true": "import subprocess; subprocess.run(['true'])",
}
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


@pytest.mark.parametrize(
    "module",
    [
        "pkgs.student.__main__",
        "pkgs.teacher.__main__",
        "pkgs.noise.__main__",
        "pkgs.noise.train",
        "pkgs.noise.infer",
    ],
)
def test_the_command_and_parsed_config_of_a_method_need_no_torch(module: str) -> None:
    assert "torch" not in loaded_after(f"import {module}")


def changed_by_importing(root: Path, package: str) -> dict[str, list[str]]:
    """Return what each module of a package leaves behind in a fresh interpreter."""
    command = [sys.executable, "-B", str(WATCH), str(root), package]
    asked = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(asked.stdout)


def test_importing_any_module_has_no_side_effects() -> None:
    assert changed_by_importing(ROOT, "pkgs") == {}


def test_each_kind_of_side_effect_would_be_noticed(tmp_path: Path) -> None:
    package = tmp_path / "loud"
    package.mkdir()
    (package / "__init__.py").write_text("")
    for number, statement in enumerate(LOUD.values()):
        (package / f"module_{number:02}.py").write_text(statement + "\n")
    found = changed_by_importing(tmp_path, "loud")
    assert {f"loud.module_{number:02}" for number in range(len(LOUD))} == found.keys()
    for number, what in enumerate(LOUD):
        assert what in found[f"loud.module_{number:02}"]
