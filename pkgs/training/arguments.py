"""The command line of every training, and what the queue's environment fills in. Loads no torch."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pkgs.foundation.files import read_json
from pkgs.foundation.run_folder import RunFolder

DEFAULT_ROOT = "logs_and_checkpoints"
DEVICES = ("auto", "cpu", "cuda")


@dataclass(frozen=True, slots=True)
class Arguments:
    """What to do."""

    config: Path
    seed: int
    folder: RunFolder
    overrides: tuple[str, ...]
    device: str
    check: bool
    attempt: int
    root: str
    replay_nan: Path | None = None

    @property
    def variables(self) -> dict[str, str]:
        """What `{…}` stands for in the configuration."""
        return {"seed": str(self.seed), "root": self.root}

    @property
    def run_name(self) -> str:
        """What tells this run from others, wherever their folders lie: `ke/joint/seed_3`."""
        return "/".join(self.folder.path.resolve().parts[-3:])

    @property
    def words(self) -> list[str]:
        """The command line that means the same without the queue's environment."""
        return [
            *("--config", str(self.config), "--seed", str(self.seed), "--run-dir", str(self.folder.path)),
            *(word for override in self.overrides for word in ("--set", override)),
            *("--device", self.device),
        ]


def parse(argv: Sequence[str], environment: Mapping[str, str], *, module: str, purpose: str) -> Arguments:
    """Read the command line; `--seed` and `--run-dir` default to what the queue set.

    Args:
        argv: The words behind the program's name.
        environment: Where the queue's variables are looked up.
        module: What `python -m` runs.
        purpose: What it does, in one sentence for `--help`.

    Raises:
        SystemExit: With code 2, after a usage line, if it cannot be read.
    """
    parser = argparse.ArgumentParser(
        prog=f"python -m {module}",
        description=purpose,
        epilog=f"Example: python -m {module} --config configs/ke/CONDITION.yaml --seed 3 "
        "--set training.batch_samples=4",
    )
    parser.add_argument("--config", type=Path, required=True, help="configs/ke/<condition>.yaml")
    parser.add_argument(
        "--seed", type=int, default=environment.get("QUEUE_SEED") or 0, help="QUEUE_SEED, else 0"
    )
    parser.add_argument("--run-dir", type=Path, help="QUEUE_RUN_DIR, else below logs_and_checkpoints")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="a.b=VALUE",
        help="override one setting, or with @FILE those of a file",
    )
    parser.add_argument("--device", choices=DEVICES, default="auto")
    parser.add_argument(
        "--check", action="store_true", help="look at config, data and checkpoints; train nothing"
    )
    parser.add_argument(
        "--replay-nan",
        type=Path,
        metavar="FOLDER",
        help="compute the step again that the NaN guard kept in attempts/<k>/nan; train nothing",
    )
    given = parser.parse_args(argv)
    root = environment.get("QUEUE_ROOT") or DEFAULT_ROOT
    folder = _folder(given, environment, root)
    return Arguments(
        config=given.config,
        seed=given.seed,
        folder=folder,
        overrides=tuple(given.set),
        device=given.device,
        check=given.check,
        attempt=_attempt(folder, environment.get("QUEUE_ATTEMPT", "")),
        root=root,
        replay_nan=given.replay_nan,
    )


def _attempt(folder: RunFolder, name: str) -> int:
    """Return the number of the folder that the queue has made for the attempt `name`, else the next one."""
    newest = folder.newest_attempt()
    launch = read_json(folder.attempt(newest).launch)
    launched = isinstance(launch, dict) and launch.get("attempt") == name
    return newest if launched else newest + 1


def _folder(given: argparse.Namespace, environment: Mapping[str, str], root: str) -> RunFolder:
    path = given.run_dir or environment.get("QUEUE_RUN_DIR")
    if path:
        return RunFolder(Path(path))
    study, condition = given.config.resolve().parent.name, given.config.stem
    return RunFolder.of(Path(root), f"{study}/{condition}", seed=given.seed)
