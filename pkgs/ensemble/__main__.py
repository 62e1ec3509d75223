"""`python -m pkgs.ensemble --members GLOB`: judges the mean probability of finished students; trains nothing.

Leaves a run folder with test.csv and predictions/ like any condition, so that the report has a row of it.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pkgs.data.catalog import channels_of
from pkgs.data.inputs import problems
from pkgs.data.whole_folder import is_synthetic
from pkgs.ensemble.columns import TEST_COLUMNS
from pkgs.ensemble.members import Members, find_members
from pkgs.foundation import exit_codes
from pkgs.foundation.config import digest, dump_yaml
from pkgs.foundation.files import write_json, write_whole
from pkgs.foundation.run_folder import RunFolder
from pkgs.training.arguments import DEFAULT_ROOT, DEVICES
from pkgs.training.heartbeat import Heartbeat
from pkgs.training.run_state import differences, is_finished
from pkgs.training.starting_point import INPUTS, changed_inputs
from pkgs.training.tables import Cell, render

if TYPE_CHECKING:
    from pkgs.data.labelled import Labelled

WEIGHTS: Final = "last"
BATCH: Final = 16
STORED: Final = 6
"""Test images whose prediction is kept for overlays; those that the students keep by default."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What to do."""

    members: str
    folder: RunFolder
    device: str
    check: bool


def main(argv: Sequence[str]) -> int:
    """Do what the command line says and return the exit code."""
    asked = _parse(argv, os.environ)
    try:
        members = find_members(asked.members)
        faults = differences(asked.folder, members.config) + changed_inputs(asked.folder, members.points)
        faults += problems(members.config.data)
        if not faults:
            return _say(_done(asked, members))
    except ValueError as error:
        faults = [str(error)]
    sys.stderr.write("\n".join(faults) + "\n")
    return exit_codes.USAGE


def _done(asked: Asked, members: Members) -> str:
    """Do what was asked for, unless it is done, and return what to say."""
    if asked.check:
        return f"{asked.members}: {len(members.points)} members and their data are fine."
    if is_finished(asked.folder):
        return f"{asked.folder.path}: finished already, nothing to do."
    return _judge(asked, members)


def _parse(argv: Sequence[str], environment: Mapping[str, str]) -> Asked:
    parser = argparse.ArgumentParser(
        prog="python -m pkgs.ensemble", description="Judge the mean probability of finished students."
    )
    parser.add_argument(
        "--members",
        required=True,
        metavar="GLOB",
        help="their run folders, quoted: '{root}/ke/student_baseline/seed_*'",
    )
    parser.add_argument(
        "--run-dir", type=Path, help="QUEUE_RUN_DIR, else <condition of the members>_mean beside theirs"
    )
    parser.add_argument("--device", choices=DEVICES, default="auto")
    parser.add_argument("--check", action="store_true", help="look at members and data; judge nothing")
    given = parser.parse_args(argv)
    members = given.members.replace("{root}", environment.get("QUEUE_ROOT") or DEFAULT_ROOT)
    condition = Path(members).parent
    beside = condition.with_name(f"{condition.name}_mean")
    folder = given.run_dir or environment.get("QUEUE_RUN_DIR") or beside
    return Asked(members, RunFolder(Path(folder)), given.device, given.check)


def _judge(asked: Asked, members: Members) -> str:
    """Score the mean on test and write the run folder; test.csv comes last and marks the end."""
    from pkgs.data.labelled import open_labelled  # noqa: PLC0415 - torch
    from pkgs.ensemble import evaluation  # noqa: PLC0415
    from pkgs.ensemble.mean import MeanProbability  # noqa: PLC0415
    from pkgs.models.catalog import student_of  # noqa: PLC0415
    from pkgs.models.weight_file import read_weights  # noqa: PLC0415
    from pkgs.training.checkpoints import load_weights  # noqa: PLC0415
    from pkgs.training.replicas import pick_device  # noqa: PLC0415

    device, folder, config = pick_device(asked.device), asked.folder, members.config
    networks = []
    for point in members.points.values():
        network = student_of(config.model, seed=0, image_channels=channels_of(config.data.layout))
        load_weights(network, read_weights(point.file), where=str(point.file))
        networks.append(network.to(device).eval())
    folder.predictions.mkdir(parents=True, exist_ok=True)
    heart = Heartbeat(folder, title=folder.path.name)
    data = open_labelled(config.data, device=device, tick=heart.beat)
    mean = MeanProbability(networks)
    _write_down(folder, members, data)
    chosen = evaluation.chosen(data.test, count=STORED, seed=config.data.split.seed)
    evaluation.store_predictions(mean, data.test, indices=chosen, folder=folder.predictions)
    temperature = evaluation.temperature_on(data.val, mean, batch=BATCH, check=heart.beat)
    whole = evaluation.judge(mean, data.test, temperature=temperature, batch=BATCH, check=heart.beat)
    calibration = evaluation.calibration_rows(WEIGHTS, whole)
    write_whole(folder.predictions / "calibration.csv", render(evaluation.CALIBRATION, calibration))
    known: dict[str, Cell] = {"time_unix_s": round(time.time(), 3), "temperature": temperature}
    rows = [{**known, **row} for row in evaluation.test_rows(WEIGHTS, whole)]
    write_whole(folder.test_csv, render(TEST_COLUMNS, rows))
    return f"{folder.path}: mean of {len(networks)} students, test IoU {rows[-1]['iou']:.3f}."


def _write_down(folder: RunFolder, members: Members, data: Labelled) -> None:
    """Keep the settings, and which weights went into the mean."""
    from pkgs.foundation.provenance import collect  # noqa: PLC0415 - asks git and all packages

    root = members.config.data.root
    told = collect(sys.argv, data_fingerprint=data.inputs.fingerprint, config_digest=digest(members.config))
    about = {
        "root": root,
        "split": members.config.data.split.file_name,
        "synthetic": is_synthetic(Path(root)),
    }
    inputs = {name: point.digest() for name, point in members.points.items()}
    write_json(folder.provenance, {**told, "data": about, INPUTS: inputs})
    write_whole(folder.config, dump_yaml(members.config))


def _say(sentence: str) -> int:
    sys.stdout.write(f"{sentence}\n")
    return exit_codes.OK


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
