"""`python -m pkgs.student`: joins data, model, loss and loop into one run.

torch loads only when a run begins.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pkgs.data.whole_folder import MARK
from pkgs.foundation import exit_codes
from pkgs.foundation.config import digest, dump_yaml, load_config
from pkgs.foundation.files import read_json, write_json, write_whole
from pkgs.foundation.provenance import collect
from pkgs.student.arguments import Arguments, parse
from pkgs.student.config import StudentConfig
from pkgs.student.inputs import Inputs, find, problems
from pkgs.student.run_state import (
    TEST_COLUMNS,
    TRAIN_COLUMNS,
    VAL_COLUMNS,
    damaged_checkpoints,
    differences,
    is_finished,
)
from pkgs.training.heartbeat import Heartbeat
from pkgs.training.stop import Stopped, StopRequest
from pkgs.training.tables import Cell, Table, render

if TYPE_CHECKING:
    from pkgs.data.samples import Part
    from pkgs.student.step import Student
    from pkgs.training.loop import Loop, Places


@dataclass(frozen=True, slots=True)
class Joined:
    """The parts of a run, put together."""

    student: Student
    loop: Loop
    test: Part


def main(argv: list[str]) -> int:
    """Do what the command line says and return the exit code."""
    stop = StopRequest()
    stop.listen()  # before torch loads, which takes seconds
    arguments = parse(argv, os.environ)
    try:
        config = load_config(
            StudentConfig, arguments.config, overrides=arguments.overrides, variables=arguments.variables
        )
    except ValueError as error:
        return _refuse([str(error)])
    faults = differences(arguments.folder, config)
    if arguments.check:
        faults += problems(config.data) + damaged_checkpoints(arguments.folder)
    if faults:
        return _refuse(faults)
    if arguments.check:
        return _say(f"{arguments.config}: config and data are fine.")
    if is_finished(arguments.folder):
        return _say(f"{arguments.folder.path}: finished already, nothing to do.")
    return _train(arguments, config, stop=stop)


def _train(arguments: Arguments, config: StudentConfig, *, stop: StopRequest) -> int:
    """Train from wherever the run is to its end, then judge it; every way out has its exit code."""
    from pkgs.training.nan import NotFiniteError  # noqa: PLC0415 - torch

    arguments.folder.path.mkdir(parents=True, exist_ok=True)
    heart = Heartbeat(arguments.folder, title=f"{arguments.config.stem} seed {arguments.seed}")
    try:
        joined = _join(arguments, config, heart=heart, stop=stop)
        with heart:
            joined.loop.run()
            _judge(joined, arguments, config)
    except Stopped:
        _say(f"{heart.title}: stopped at step {heart.step}; the same command goes on from there.")
        return exit_codes.STOPPED
    except NotFiniteError as error:
        sys.stderr.write(f"{error}\n")
        return exit_codes.NAN
    except ValueError as error:
        return _refuse([str(error)])
    return exit_codes.OK


def _join(arguments: Arguments, config: StudentConfig, *, heart: Heartbeat, stop: StopRequest) -> Joined:
    """Load data and network, write down what they are, and go back to the last checkpoint.

    Raises:
        ValueError: If data, device or checkpoint cannot be used.
        Stopped: If a stop was asked for meanwhile.
    """
    import torch  # noqa: PLC0415 - seconds; `--check` and errors come without it

    from pkgs.data.samples import load_part  # noqa: PLC0415
    from pkgs.foundation.seeds import Purpose, derive  # noqa: PLC0415
    from pkgs.models.catalog import build_student  # noqa: PLC0415
    from pkgs.student.step import Student  # noqa: PLC0415
    from pkgs.training.loop import Loop  # noqa: PLC0415
    from pkgs.training.replicas import pick_device, set_numerics  # noqa: PLC0415

    def check() -> None:
        heart.beat()
        stop.check()

    device = pick_device(arguments.device)
    set_numerics(threads=config.training.threads)
    inputs = find(config.data, tick=check)
    for warning in inputs.warnings:
        heart.say(f"Warning: {warning}")
    train, val, test = (
        load_part(inputs.part(name), size_px=config.data.size_px, digests=inputs.digests, tick=check)
        for name in ("train", "val", "test")
    )
    share = train.foreground_share if config.model.init_prior else None
    network = build_student(config.model.name, seed=arguments.seed, foreground_share=share).to(device)
    torch.manual_seed(
        derive(arguments.seed, Purpose.INIT, "library")
    )  # what networks draw on their own: dropout
    student = Student(network, config, seed=arguments.seed, train=train, val=val, device=device, check=check)
    loop = Loop(student, config.training, places=_places(arguments), heart=heart, stop=stop)
    _write_down(arguments, config, inputs=inputs)
    if loop.resume():
        heart.say(f"{heart.title}: going on from step {loop.state.step} of {loop.steps}.")
    return Joined(student, loop, test)


def _judge(joined: Joined, arguments: Arguments, config: StudentConfig) -> None:
    """Score `last`, `best` and the best threshold on test; test.csv comes last and marks the end."""
    from pkgs.student import evaluation, threshold  # noqa: PLC0415 - torch
    from pkgs.training.checkpoints import load_weights_of  # noqa: PLC0415

    folder, network, test, loop = arguments.folder, joined.student.network, joined.test, joined.loop
    chosen = evaluation.chosen(test, count=config.output.samples, seed=config.data.split.seed)
    evaluation.store_predictions(network, test, indices=chosen, folder=folder.predictions)
    rows: list[dict[str, Cell]] = []
    calibration: list[dict[str, Cell]] = []
    for name in ("last", "best"):
        step = load_weights_of(folder.checkpoints, name, {"student": network})
        sums = evaluation.evaluate(
            network, test, batch=config.training.batch_samples, check=joined.student.check
        )
        rows += [{**loop.clock(), "step": step, **row} for row in evaluation.test_rows(name, sums)]
        calibration += evaluation.calibration_rows(name, sums)
    best = threshold.best_threshold(joined.student.train)
    rows += [
        {**loop.clock(), **row} for row in evaluation.test_rows("threshold", threshold.judge(best, test))
    ]
    write_whole(folder.predictions / "calibration.csv", render(evaluation.CALIBRATION, calibration))
    Table(folder.test_csv, TEST_COLUMNS).append(*rows)
    pooled = {row["weights"]: row["iou"] for row in rows if row["source"] == evaluation.POOLED}
    joined.loop.heart.say(
        f"{joined.loop.heart.title}: test IoU {pooled['last']:.3f} (last), {pooled['best']:.3f} (best), "
        f"{pooled['threshold']:.3f} (best threshold)."
    )


def _write_down(arguments: Arguments, config: StudentConfig, *, inputs: Inputs) -> None:
    """Keep the resolved settings and where everything comes from, before the first step."""
    import torch  # noqa: PLC0415

    if arguments.folder.config.exists():
        return
    devices = [torch.cuda.get_device_name(k) for k in range(torch.cuda.device_count())] or ["cpu"]
    told = collect(
        sys.argv, data_fingerprint=inputs.fingerprint, config_digest=digest(config), devices=devices
    )
    mark = read_json(Path(config.data.root) / MARK)
    synthetic = isinstance(mark, dict) and mark.get("synthetic") is True
    data = {"root": config.data.root, "split": config.data.split.file_name, "synthetic": synthetic}
    write_json(arguments.folder.provenance, {**told, "data": data})
    write_whole(arguments.folder.config, dump_yaml(config))


def _places(arguments: Arguments) -> Places:
    from pkgs.training.loop import Places  # noqa: PLC0415 - torch

    folder = arguments.folder
    return Places(
        checkpoints=folder.checkpoints,
        train=Table(folder.train_csv, TRAIN_COLUMNS),
        val=Table(folder.val_csv, VAL_COLUMNS),
        nan=folder.attempt(arguments.attempt).nan,
        attempt=arguments.attempt,
        command=tuple(sys.argv),
    )


def _refuse(faults: list[str]) -> int:
    """Tell all problems at once."""
    sys.stderr.write("\n".join(faults) + "\n")
    return exit_codes.USAGE


def _say(sentence: str) -> int:
    sys.stdout.write(sentence + "\n")
    return exit_codes.OK


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
