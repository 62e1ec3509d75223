"""`python -m pkgs.student`: joins data, network, method and loop into one run.

torch loads only when a run begins.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pkgs.data.catalog import channels_of
from pkgs.data.inputs import Inputs, problems, problems_of_pool
from pkgs.data.whole_folder import is_synthetic
from pkgs.ensemble.columns import TEST_COLUMNS
from pkgs.errormap.compat import data_of_run
from pkgs.foundation.colours import Colours
from pkgs.foundation.config import load_config
from pkgs.foundation.files import write_whole
from pkgs.student.config import StudentConfig
from pkgs.training import program
from pkgs.training.arguments import Arguments, parse
from pkgs.training.heartbeat import Heartbeat
from pkgs.training.run_state import damaged_checkpoints, differences, is_finished
from pkgs.training.starting_point import INPUTS, changed_inputs, faults_of
from pkgs.training.stop import StopRequest
from pkgs.training.tables import Table, render

if TYPE_CHECKING:
    from pkgs.data.cache.loader import Loader
    from pkgs.data.samples import Part
    from pkgs.student.method import StudentMethod
    from pkgs.training.ema import Ema
    from pkgs.training.loop import Loop
    from pkgs.training.ranks import Ranks


MODULE: Final = "pkgs.student"
PURPOSE: Final = "Train a student and judge it on unseen sources."


@dataclass(frozen=True, slots=True)
class Joined:
    """The parts of a run, put together."""

    method: StudentMethod[Any]
    loop: Loop[Any]
    loader: Loader
    train: Part
    val: Part
    test: Part
    average: Ema | None


def main(argv: list[str]) -> int:
    """Do what the command line says and return the exit code."""
    stop = StopRequest()
    stop.listen()  # before torch loads, which takes seconds
    arguments = parse(argv, os.environ, module=MODULE, purpose=PURPOSE)
    try:
        config = load_config(
            StudentConfig, arguments.config, overrides=arguments.overrides, variables=arguments.variables
        )
    except ValueError as error:
        return program.refuse([str(error)])
    data = data_of_run(config.data, config.compat, run=arguments.run_name)
    config = config.model_copy(update={"data": data})
    faults = differences(arguments.folder, config) + _faults_of_inputs(arguments, config)
    if arguments.check:
        faults += (
            problems(config.data) + problems_of_pool(config.pool) + damaged_checkpoints(arguments.folder)
        )
    if faults:
        return program.refuse(faults)
    if arguments.check:
        return program.say(f"{arguments.config}: config and data are fine.")
    if is_finished(arguments.folder) and arguments.replay_nan is None:
        return program.say(f"{arguments.folder.path}: finished already, nothing to do.")

    def work(heart: Heartbeat, ranks: Ranks) -> None:
        joined = _join(arguments, config, heart=heart, stop=stop, ranks=ranks)
        if arguments.replay_nan is not None:
            program.say("\n".join(joined.loop.replay(arguments.replay_nan)))
            return
        _run(joined, arguments, config)

    return program.run(MODULE, arguments, config.training, stop=stop, work=work)


def _faults_of_inputs(arguments: Arguments, config: StudentConfig) -> list[str]:
    """Return what is wrong with the network for these images, or the checkpoints that the run begins with.

    Nothing is, once it is finished.
    """
    if is_finished(arguments.folder):
        return []
    try:
        fault = config.model.fault_for(channels_of(config.data.layout))
        if fault:
            return [fault]
        points = config.starting_points
    except ValueError as error:
        return [str(error)]
    return faults_of(points) or changed_inputs(arguments.folder, points)


def _run(joined: Joined, arguments: Arguments, config: StudentConfig) -> None:
    """Train, then judge; everything that is open is closed at the end."""
    from pkgs.training.run_record import trackers_of  # noqa: PLC0415 - torch

    loop = joined.loop
    opened = trackers_of(loop, arguments, config, trackers=config.trackers)
    with loop.heart, joined.loader, closing(joined.method), opened as loop.trackers:
        loop.run()
        if loop.ranks.first:
            _judge(joined, arguments, config)


def _join(
    arguments: Arguments, config: StudentConfig, *, heart: Heartbeat, stop: StopRequest, ranks: Ranks
) -> Joined:
    """Load data and network, write down what they are, and go back to the last checkpoint.

    Raises:
        ValueError: If data, device or checkpoint cannot be used.
        Stopped: If a stop was asked for meanwhile.
    """
    import torch  # noqa: PLC0415 - seconds; `--check` and errors come without it

    from pkgs.data.part_statistics import statistics_of  # noqa: PLC0415
    from pkgs.foundation.registry import choose  # noqa: PLC0415
    from pkgs.foundation.seeds import Purpose, derive  # noqa: PLC0415
    from pkgs.models.catalog import student_of  # noqa: PLC0415
    from pkgs.student.catalog import METHODS  # noqa: PLC0415
    from pkgs.student.method import Common  # noqa: PLC0415
    from pkgs.training import run_record  # noqa: PLC0415
    from pkgs.training.ema import Ema  # noqa: PLC0415
    from pkgs.training.loop import Loop  # noqa: PLC0415
    from pkgs.training.numerics import cannot_obey, set_numerics  # noqa: PLC0415
    from pkgs.training.ranks import without_effect  # noqa: PLC0415

    def check() -> None:
        heart.beat()
        if ranks.world == 1:  # several leave together, where the loop asks them all
            stop.check()

    numerics = set_numerics(config.training)
    inputs, (train, val, test) = _load(config, heart=heart, check=check, ranks=ranks)
    share = train.foreground_share if config.model.init_prior else None
    channels = channels_of(config.data.layout)
    colours = Colours(*statistics_of(train, tick=check)) if config.model.colours == "train" else None
    network = student_of(
        config.model, seed=arguments.seed, image_channels=channels, foreground_share=share, colours=colours
    ).to(ranks.device)
    others = [ranks.rank] if ranks.rank else []  # what networks draw on their own, dropout: by process
    torch.manual_seed(derive(arguments.seed, Purpose.INIT, "library", *others))
    for warning in without_effect(config.training, ranks):
        heart.say(f"Warning: {warning}")
    loader = _loader(train, arguments, config, ranks=ranks)
    method = choose("method", METHODS, config.method)(
        Common(
            arguments=arguments, config=config, network=network, loader=loader, val=val, ranks=ranks,
            check=check, say=heart.say, inputs=inputs,
        )
    )  # fmt: skip
    if config.training.deterministic and ranks.device.type == "cuda":
        for layer in cannot_obey(method.modules):
            heart.say(f"Warning: training.deterministic: {layer} has no exact backward on CUDA.")
    places = run_record.places(
        arguments,
        config,
        module=MODULE,
        fingerprint=inputs.fingerprint,
        model=config.model.name,
        train=method.train_columns,
        val=method.val_columns,
    )
    decay = config.training.ema_decay
    average = method.average or (Ema(network, decay=decay) if decay else None)
    followers = {**method.followers, **({} if average is None else {"ema": average})}
    loop = Loop(
        method,
        config.training,
        places=places,
        heart=heart,
        stop=stop,
        ranks=ranks,
        followers=followers,
        watcher=method.watcher,
    )
    if arguments.replay_nan is None:
        if ranks.first:
            run_record.write_down(
                arguments, config, fingerprint=inputs.fingerprint, about=_about(config, numerics)
            )
        if loop.resume():
            heart.say(f"{heart.title}: going on from step {loop.state.step} of {loop.steps}.")
    return Joined(method, loop, loader, train, val, test, average)


def _load(
    config: StudentConfig, *, heart: Heartbeat, check: Callable[[], None], ranks: Ranks
) -> tuple[Inputs, list[Part]]:
    """Return the data and train, val and test; of these one batch each in a short training."""
    from pkgs.data.labelled import open_labelled  # noqa: PLC0415 - torch

    with ranks.first_goes_first():  # it may write the split file, and makes the cache
        data = open_labelled(config.data, device=ranks.device, tick=check)
    for warning in data.inputs.warnings:
        heart.say(f"Warning: {warning}")
    parts = [data.train, data.val, data.test]
    if config.training.short_training:
        parts = [part.between(range(config.training.batch_samples)) for part in parts]
    return data.inputs, parts


def _loader(train: Part, arguments: Arguments, config: StudentConfig, *, ranks: Ranks) -> Loader:
    from pkgs.data.cache.loader import Loader  # noqa: PLC0415 - torch
    from pkgs.training.state import steps_in  # noqa: PLC0415

    training = config.training
    return Loader(
        train.cache,
        indices=train.numbers,
        seed=arguments.seed,
        config=config.data.loader,
        bad_file=arguments.folder.bad_samples if ranks.first else None,
        draws=steps_in(training.length, config=training, samples=len(train)) * training.batch_samples,
        debug=training.debug,
    )


def _judge(joined: Joined, arguments: Arguments, config: StudentConfig) -> None:
    """Score all weights and the best threshold on test; test.csv comes last and marks the end."""
    from pkgs.ensemble import evaluation  # noqa: PLC0415 - torch
    from pkgs.student.judgement import judge  # noqa: PLC0415

    folder, loop = arguments.folder, joined.loop
    verdicts = judge(
        joined.method,
        folder,
        config=config,
        train=joined.train,
        val=joined.val,
        test=joined.test,
        average=joined.average,
        check=loop.heart.beat,
    )
    rows = [{**loop.clock(), **row} for verdict in verdicts for row in verdict.rows()]
    calibration = [row for verdict in verdicts for row in verdict.calibration()]
    write_whole(folder.predictions / "calibration.csv", render(evaluation.CALIBRATION, calibration))
    Table(folder.test_csv, TEST_COLUMNS).append(*rows)
    pooled = {row["weights"]: row for row in rows if row["source"] == evaluation.POOLED}
    for weights, row in pooled.items():
        loop.trackers.scalars(loop.state.step, row, part=f"test_{weights}")
    told = ", ".join(f"{row['iou']:.3f} ({weights})" for weights, row in pooled.items())
    loop.heart.say(f"{loop.heart.title}: test IoU {told}.")


def _about(config: StudentConfig, numerics: Mapping[str, object]) -> dict[str, object]:
    """Return what provenance.json says of this method's run."""
    data = {
        "root": config.data.root,
        "split": config.data.split.file_name,
        "synthetic": is_synthetic(Path(config.data.root)),
    }
    inputs = {name: point.digest() for name, point in config.starting_points.items()}
    return {"data": data, "numerics": numerics, INPUTS: inputs}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
