"""`python -m pkgs.student`: joins data, model, loss and loop into one run.

torch loads only when a run begins.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

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
from pkgs.training.run_lock import sole_trainer
from pkgs.training.stop import Stopped, StopRequest
from pkgs.training.tables import Table, render

if TYPE_CHECKING:
    from pkgs.data.cache.loader import Loader
    from pkgs.data.samples import Part
    from pkgs.student.step import Shown, Student
    from pkgs.training.ema import Ema
    from pkgs.training.loop import Loop
    from pkgs.training.ranks import Ranks
    from pkgs.training.state import Places
    from pkgs.training.trackers.catalog import Trackers


MODULE: Final = "pkgs.student"


@dataclass(frozen=True, slots=True)
class Joined:
    """The parts of a run, put together."""

    student: Student
    loop: Loop[Shown]
    loader: Loader
    train: Part
    test: Part
    average: Ema | None


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
    if is_finished(arguments.folder) and arguments.replay_nan is None:
        return _say(f"{arguments.folder.path}: finished already, nothing to do.")
    return _train(arguments, config, stop=stop)


def _train(arguments: Arguments, config: StudentConfig, *, stop: StopRequest) -> int:
    """Train in this process, or in as many as `parallel: ddp` asks for."""
    from pkgs.training import launch  # noqa: PLC0415 - torch
    from pkgs.training.ranks import join  # noqa: PLC0415
    from pkgs.training.replicas import pick_device  # noqa: PLC0415

    try:
        device = pick_device(arguments.device)
        processes = launch.processes_to_start(config.training, device=device)
        if processes and arguments.replay_nan is None:
            return launch.run_through_torchrun(MODULE, arguments.words, processes=processes, stop=stop)
        ranks = join(config.training, device=device)
    except ValueError as error:
        return _refuse([str(error)])
    code = _train_here(arguments, config, stop=stop, ranks=ranks)
    ranks.leave(wait=code in {exit_codes.STOPPED, exit_codes.NAN})
    return launch.note_exit_code(code)


def _train_here(arguments: Arguments, config: StudentConfig, *, stop: StopRequest, ranks: Ranks) -> int:
    """Train from wherever the run is to its end, then judge it; every way out has its exit code."""
    from pkgs.training.nan import NotFiniteError  # noqa: PLC0415 - torch

    arguments.folder.path.mkdir(parents=True, exist_ok=True)
    title = f"{arguments.config.stem} seed {arguments.seed}"
    replayed = arguments.replay_nan is not None  # leaves the run as it is
    heart = Heartbeat(arguments.folder, title=title, quiet=replayed or not ranks.first)
    try:
        with sole_trainer(arguments.folder.path) if ranks.first and not replayed else nullcontext():
            joined = _join(arguments, config, heart=heart, stop=stop, ranks=ranks)
            if arguments.replay_nan is not None:
                return _say("\n".join(joined.loop.replay(arguments.replay_nan)))
            _run(joined, arguments, config)
    except Stopped:
        heart.say(f"{heart.title}: stopped at step {heart.step}; the same command goes on from there.")
        return exit_codes.STOPPED
    except NotFiniteError as error:
        return _fail(str(error), exit_codes.NAN, ranks=ranks)
    except ValueError as error:
        return _fail(str(error), exit_codes.USAGE, ranks=ranks)
    except OSError as error:
        what = f"{error.filename or arguments.folder.path}: {error.strerror or error}"
        rest = "The last checkpoint stays valid; mend this and give the same command to go on from there."
        return _fail(f"{what}. {rest}", exit_codes.FAILED, ranks=ranks)
    return exit_codes.OK


def _run(joined: Joined, arguments: Arguments, config: StudentConfig) -> None:
    """Train, then judge; everything that is open is closed at the end."""
    loop = joined.loop
    with loop.heart, joined.loader, _trackers(joined, arguments, config) as loop.trackers:
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

    from pkgs.foundation.seeds import Purpose, derive  # noqa: PLC0415
    from pkgs.models.catalog import build_student  # noqa: PLC0415
    from pkgs.student.step import Student  # noqa: PLC0415
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
    network = build_student(config.model.name, seed=arguments.seed, foreground_share=share).to(ranks.device)
    others = [ranks.rank] if ranks.rank else []  # what networks draw on their own, dropout: by process
    torch.manual_seed(derive(arguments.seed, Purpose.INIT, "library", *others))
    for warning in without_effect(config.training, ranks):
        heart.say(f"Warning: {warning}")
    loader = _loader(train, arguments, config, ranks=ranks)
    student = Student(
        network, config, seed=arguments.seed, train=loader, val=val, ranks=ranks, check=check, say=heart.say
    )
    if config.training.deterministic and ranks.device.type == "cuda":
        for layer in cannot_obey(student.modules):
            heart.say(f"Warning: training.deterministic: {layer} has no exact backward on CUDA.")
    places = _places(arguments, config, fingerprint=inputs.fingerprint)
    decay = config.training.ema_decay
    average = Ema(network, decay=decay) if decay else None
    followers = {} if average is None else {"ema": average}
    loop = Loop(
        student, config.training, places=places, heart=heart, stop=stop, ranks=ranks, followers=followers
    )
    if arguments.replay_nan is None:
        if ranks.first:
            _write_down(arguments, config, inputs=inputs, numerics=numerics)
        if loop.resume():
            heart.say(f"{heart.title}: going on from step {loop.state.step} of {loop.steps}.")
    return Joined(student, loop, loader, train, test, average)


def _load(
    config: StudentConfig, *, heart: Heartbeat, check: Callable[[], None], ranks: Ranks
) -> tuple[Inputs, list[Part]]:
    """Return the data and train, val and test; of these one batch each in a short training."""
    import numpy as np  # noqa: PLC0415

    from pkgs.data.samples import Part, open_images  # noqa: PLC0415 - torch

    with ranks.first_goes_first():  # it may write the split file, and makes the cache
        inputs = find(config.data, tick=check)
        cache = open_images(
            inputs.samples, reader=inputs.reader, config=config.data, device=ranks.device, tick=check
        )
    for warning in inputs.warnings:
        heart.say(f"Warning: {warning}")
    parts = [Part(cache, np.array(inputs.numbers(name))) for name in ("train", "val", "test")]
    if config.training.short_training:
        parts = [part.between(range(config.training.batch_samples)) for part in parts]
    return inputs, parts


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


def _trackers(joined: Joined, arguments: Arguments, config: StudentConfig) -> Trackers:
    """Open the trackers that the config names, in the one process that speaks for all."""
    from pkgs.training.trackers.catalog import Trackers, open_trackers  # noqa: PLC0415 - torch
    from pkgs.training.trackers.tracker import TrackedRun  # noqa: PLC0415

    if not joined.loop.ranks.first:
        return Trackers([])
    run = TrackedRun(
        name=f"{arguments.config.resolve().parent.name}/{arguments.config.stem}/seed_{arguments.seed}",
        folder=arguments.folder.trackers,
        config=config.model_dump(mode="json"),
        first_step=joined.loop.state.step,
    )
    return open_trackers(config.trackers, run, say=joined.loop.heart.say)


def _judge(joined: Joined, arguments: Arguments, config: StudentConfig) -> None:
    """Score all weights and the best threshold on test; test.csv comes last and marks the end."""
    from pkgs.student import evaluation  # noqa: PLC0415 - torch
    from pkgs.student.judgement import judge  # noqa: PLC0415

    folder, network, test, loop = arguments.folder, joined.student.network, joined.test, joined.loop
    chosen = evaluation.chosen(test, count=config.output.samples, seed=config.data.split.seed)
    evaluation.store_predictions(network, test, indices=chosen, folder=folder.predictions)
    verdicts = judge(
        joined.student, folder.checkpoints, train=joined.train, test=test, average=joined.average
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


def _write_down(
    arguments: Arguments, config: StudentConfig, *, inputs: Inputs, numerics: Mapping[str, object]
) -> None:
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
    write_json(arguments.folder.provenance, {**told, "data": data, "numerics": numerics})
    write_whole(arguments.folder.config, dump_yaml(config))


def _places(arguments: Arguments, config: StudentConfig, *, fingerprint: str) -> Places:
    from pkgs.training.checkpoints import DATA_DIGEST  # noqa: PLC0415 - torch
    from pkgs.training.state import Places  # noqa: PLC0415

    folder = arguments.folder
    return Places(
        checkpoints=folder.checkpoints,
        train=Table(folder.train_csv, TRAIN_COLUMNS),
        val=Table(folder.val_csv, VAL_COLUMNS),
        nan=folder.attempt(arguments.attempt).nan,
        attempt=arguments.attempt,
        command=("python", "-m", MODULE, *arguments.words),
        about={"config_digest": digest(config), DATA_DIGEST: fingerprint, "model": config.model.name},
    )


def _refuse(faults: list[str]) -> int:
    """Tell all problems at once."""
    sys.stderr.write("\n".join(faults) + "\n")
    return exit_codes.USAGE


def _fail(sentence: str, code: int, *, ranks: Ranks) -> int:
    if ranks.first:
        sys.stderr.write(sentence + "\n")
    return code


def _say(sentence: str) -> int:
    sys.stdout.write(sentence + "\n")
    return exit_codes.OK


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
