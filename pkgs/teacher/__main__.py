"""`python -m pkgs.teacher`: pretrains an error teacher; joins data, network, loss and loop into one run.

torch loads only when a run begins.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pkgs.data.catalog import channels_of
from pkgs.data.inputs import Inputs, problems
from pkgs.data.whole_folder import is_synthetic
from pkgs.errormap.compat import data_of_run
from pkgs.foundation.config import load_config
from pkgs.teacher.columns import TEST_COLUMNS, TRAIN_COLUMNS, VAL_COLUMNS
from pkgs.teacher.config import ApplyConfig, PretrainingConfig
from pkgs.training import program
from pkgs.training.arguments import Arguments, parse
from pkgs.training.heartbeat import Heartbeat
from pkgs.training.run_state import damaged_checkpoints, differences, is_finished
from pkgs.training.stop import StopRequest
from pkgs.training.tables import Table

if TYPE_CHECKING:
    from pkgs.data.cache.loader import Loader
    from pkgs.data.samples import Part
    from pkgs.teacher.step import Pretraining, Shown
    from pkgs.training.ema import Ema
    from pkgs.training.loop import Loop
    from pkgs.training.ranks import Ranks


MODULE: Final = "pkgs.teacher"
PURPOSE: Final = (
    "Pretrain an error teacher on falsified masks, judge it on unseen sources, and let it find wrong labels."
)


@dataclass(frozen=True, slots=True)
class Joined:
    """The parts of a run, put together."""

    method: Pretraining
    loop: Loop[Shown]
    loader: Loader
    test: Part
    average: Ema | None


def main(argv: list[str]) -> int:
    """Do what the command line says and return the exit code."""
    stop = StopRequest()
    stop.listen()  # before torch loads, which takes seconds
    arguments = parse(argv, os.environ, module=MODULE, purpose=PURPOSE)
    try:
        config = load_config(
            PretrainingConfig, arguments.config, overrides=arguments.overrides, variables=arguments.variables
        )
    except ValueError as error:
        return program.refuse([str(error)])
    data = data_of_run(config.data, config.compat, run=arguments.run_name)
    config = config.model_copy(update={"data": data})
    faults = [*differences(arguments.folder, config), *_faults_of_images(config)]
    if arguments.check:
        faults += problems(config.data) + damaged_checkpoints(arguments.folder)
        if config.apply and config.apply.data:
            faults += problems(config.apply.data)
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


def _faults_of_images(config: PretrainingConfig) -> list[str]:
    """Return why the teacher cannot take the images, nothing if it can."""
    own, other = config.data.layout, config.apply.data.layout if config.apply and config.apply.data else ""
    try:
        channels = channels_of(own)
        if fault := config.teacher.model.fault_for(channels):
            return [fault]
        if other and channels_of(other) != channels:
            return [
                f"apply.data.layout: images of {other} have {channels_of(other)} channels, those of {own}, "
                f"on which the teacher is trained, {channels}. Apply it to images of the same kind."
            ]
    except ValueError as error:
        return [str(error)]
    return []


def _run(joined: Joined, arguments: Arguments, config: PretrainingConfig) -> None:
    """Train, then judge; everything that is open is closed at the end."""
    from pkgs.training.run_record import trackers_of  # noqa: PLC0415 - torch

    loop = joined.loop
    opened = trackers_of(loop, arguments, config, trackers=config.trackers)
    with loop.heart, joined.loader, opened as loop.trackers:
        loop.run()
        if loop.ranks.first:
            _judge(joined, arguments, config)


def _join(
    arguments: Arguments, config: PretrainingConfig, *, heart: Heartbeat, stop: StopRequest, ranks: Ranks
) -> Joined:
    """Load data and network, write down what they are, and go back to the last checkpoint.

    Raises:
        ValueError: If data, device or checkpoint cannot be used.
        Stopped: If a stop was asked for meanwhile.
    """
    import torch  # noqa: PLC0415 - seconds; `--check` and errors come without it

    from pkgs.foundation.seeds import Purpose, derive  # noqa: PLC0415
    from pkgs.models.error_teacher import START_SHARE, build_error_teacher  # noqa: PLC0415
    from pkgs.teacher.step import Pretraining  # noqa: PLC0415
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
    name, size_px = config.teacher.model.name, config.data.size_px
    share = None if config.compat.score_100 else START_SHARE  # a number in nats has no such prior
    teacher = build_error_teacher(
        name,
        seed=arguments.seed,
        size_px=size_px,
        image_channels=channels_of(config.data.layout),
        colours=config.teacher.model.normalisation,
        share=share,
    ).to(ranks.device)
    others = [ranks.rank] if ranks.rank else []  # what networks draw on their own, dropout: by process
    torch.manual_seed(derive(arguments.seed, Purpose.INIT, "library", *others))
    for warning in without_effect(config.training, ranks):
        heart.say(f"Warning: {warning}")
    loader = _loader(train, arguments, config, ranks=ranks)
    method = Pretraining(
        teacher, config, seed=arguments.seed, train=train, loader=loader, val=val, ranks=ranks, check=check,
        say=heart.say,
    )  # fmt: skip
    if config.training.deterministic and ranks.device.type == "cuda":
        for layer in cannot_obey(method.modules):
            heart.say(f"Warning: training.deterministic: {layer} has no exact backward on CUDA.")
    places = run_record.places(
        arguments,
        config,
        module=MODULE,
        fingerprint=inputs.fingerprint,
        model=name,
        train=TRAIN_COLUMNS,
        val=VAL_COLUMNS,
    )
    decay = config.training.ema_decay
    average = Ema(teacher, decay=decay) if decay else None
    followers = {} if average is None else {"ema": average}
    loop = Loop(
        method, config.training, places=places, heart=heart, stop=stop, ranks=ranks, followers=followers
    )
    if arguments.replay_nan is None:
        if ranks.first:
            run_record.write_down(
                arguments, config, fingerprint=inputs.fingerprint, about=_about(config, numerics)
            )
        if loop.resume():
            heart.say(f"{heart.title}: going on from step {loop.state.step} of {loop.steps}.")
    return Joined(method, loop, loader, test, average)


def _load(
    config: PretrainingConfig, *, heart: Heartbeat, check: Callable[[], None], ranks: Ranks
) -> tuple[Inputs, list[Part]]:
    """Return the data and train, val and test; of these one batch each in a short training."""
    from pkgs.data.labelled import open_labelled  # noqa: PLC0415 - torch

    with ranks.first_goes_first():  # it may write the split file, and makes the cache
        data = open_labelled(config.data, device=ranks.device, tick=check)
    for warning in data.inputs.warnings:
        heart.say(f"Warning: {warning}")
    parts = [data.train, data.val, data.test]
    if config.falsify.kind == "sound":  # it changes single objects; `objects` numbers them as they are
        parts = [replace(part, instances=data.test.instances) for part in parts]
    if config.training.short_training:
        parts = [part.between(range(config.training.batch_samples)) for part in parts]
    return data.inputs, parts


def _loader(train: Part, arguments: Arguments, config: PretrainingConfig, *, ranks: Ranks) -> Loader:
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


def _judge(joined: Joined, arguments: Arguments, config: PretrainingConfig) -> None:
    """Score all weights on test, and ask about given labels; test.csv comes last and marks the end."""
    from pkgs.errormap.scores import POOLED, write  # noqa: PLC0415 - torch
    from pkgs.teacher.judgement import judge, test_rows  # noqa: PLC0415

    folder, loop = arguments.folder, joined.loop
    verdicts = judge(joined.method, folder.checkpoints, test=joined.test, average=joined.average)
    rows = [{**loop.clock(), **row} for verdict in verdicts for row in test_rows(verdict, joined.method)]
    write({verdict.weights: verdict.errors for verdict in verdicts}, folder.predictions)
    if config.apply:
        _apply(config.apply, joined, arguments, config)
    Table(folder.test_csv, TEST_COLUMNS).append(*rows)
    pooled = {row["weights"]: row for row in rows if row["source"] == POOLED}
    for weights, row in pooled.items():
        loop.trackers.scalars(loop.state.step, row, part=f"test_{weights}")
    told = ", ".join(f"{row['teacher_auroc']:.3f} ({weights})" for weights, row in pooled.items())
    loop.heart.say(f"{loop.heart.title}: test AUROC of wrong pixels in falsified masks {told}.")


def _apply(apply: ApplyConfig, joined: Joined, arguments: Arguments, config: PretrainingConfig) -> None:
    """Write where the teacher takes the given labels to be wrong."""
    from pkgs.teacher.applying import given_labels, write_chances  # noqa: PLC0415 - torch
    from pkgs.training.checkpoints import load_weights_of  # noqa: PLC0415

    method, folder = joined.method, arguments.folder
    load_weights_of(folder.checkpoints, apply.weights, method.modules)
    given = given_labels(apply, config.data, test=joined.test, device=method.ranks.device, check=method.check)
    batch = config.training.batch_samples
    write_chances(folder.path, method.teacher, given, batch=batch, check=method.check)
    heart = joined.loop.heart
    heart.say(f"{heart.title}: asked about the labels of {len(given.part)} images ({apply.weights}).")


def _about(config: PretrainingConfig, numerics: Mapping[str, object]) -> dict[str, object]:
    """Return what provenance.json says of this method's run."""
    data = {
        "root": config.data.root,
        "split": config.data.split.file_name,
        "synthetic": is_synthetic(Path(config.data.root)),
    }
    return {"data": data, "numerics": numerics}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
