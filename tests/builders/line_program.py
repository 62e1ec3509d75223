"""A method's package of a few lines: what `pkgs.<method>.__main__` does, over the line of `lines`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import yaml

from pkgs.foundation.config import Section
from pkgs.foundation.run_folder import RunFolder
from pkgs.training import program
from pkgs.training.arguments import Arguments, parse
from pkgs.training.assembly import Joined, Start
from pkgs.training.config import TrainingConfig
from pkgs.training.heartbeat import Heartbeat
from pkgs.training.loop import Loop
from pkgs.training.program import Plan
from pkgs.training.ranks import Ranks
from pkgs.training.starting_point import StartingPoint
from pkgs.training.stop import StopRequest
from pkgs.training.tables import Table
from pkgs.training.trackers.config import TrackerConfig
from tests.builders.lines import TRAIN, VAL, Line, line_config, line_network

MODULE = "pkgs.line"


class LineConfig(Section):
    training: TrainingConfig = line_config()
    trackers: TrackerConfig = TrackerConfig()


@dataclass
class Study:
    """A method's package, and what happened to it."""

    poison: int = -1
    problems: list[str] = field(default_factory=list)
    starting_points: Callable[[], Mapping[str, StartingPoint]] | None = None
    judge: Callable[[], None] = lambda: None
    happened: list[str] = field(default_factory=list)

    def plan(self, _arguments: Arguments, config: LineConfig) -> Plan:
        return Plan(
            config,
            training=config.training,
            trackers=config.trackers,
            problems=self._problems,
            origin=lambda: {"root": "lines"},
            join=self._join,
            starting_points=self.starting_points,
        )

    def main(self, folder: Path, *more: str, **training: object) -> int:
        settings = {"training": {**line_config().model_dump(mode="json"), **training}}
        (folder / "line.yaml").write_text(yaml.safe_dump(settings))
        words = ["--config", str(folder / "line.yaml"), "--run-dir", str(folder / "run"), "--device", "cpu"]
        return program.main([*words, *more], LineConfig, module=MODULE, purpose="Lines.", plan=self.plan)

    def _problems(self) -> list[str]:
        self.happened.append("looked at the data")
        return self.problems

    def _join(self, start: Start) -> Joined:
        self.happened.append("joined")
        method = Line(line_network(), poison=self.poison)
        start.after_networks()
        average = start.average(method.network)
        loop = start.loop(method, fingerprint="d1", model="line", train=TRAIN, val=VAL, average=average)
        return Joined(
            loop, opened=(self._opened("loader"), self._opened("method")), judge=partial(self._judge, loop)
        )

    def _opened(self, name: str) -> ExitStack:
        stack = ExitStack()
        stack.callback(self.happened.append, f"closed {name}")
        return stack

    def _judge(self, loop: Loop) -> None:
        self.happened.append(f"judged after step {loop.state.step}")
        self.judge()
        Table(loop.heart.folder.test_csv, ("weights",)).append({"weights": "last"})


def start_of(folder: Path, study: Study, *, ranks: Ranks, config: LineConfig | None = None) -> Start:
    """Return the beginning of a run, without a command line."""
    config = config or LineConfig()
    words = ["--config", "line.yaml", "--run-dir", str(folder)]
    arguments = parse(words, {}, module=MODULE, purpose="Lines.")
    heart = Heartbeat(RunFolder(folder), title="line", quiet=not ranks.first)
    stop = StopRequest()
    return Start(study.plan(arguments, config), arguments, MODULE, heart=heart, stop=stop, ranks=ranks)
