"""`python -m pkgs.teacher`: pretrains an error teacher; joins data, network, loss and loop into one run.

torch loads only when a run begins.
"""

from __future__ import annotations

import sys
from functools import partial
from typing import TYPE_CHECKING, Final

from pkgs.data.catalog import channels_of
from pkgs.data.inputs import origin_of, problems
from pkgs.ensemble.apply_config import ApplyConfig
from pkgs.errormap.compat import data_of_run
from pkgs.teacher.columns import TEST_COLUMNS, TRAIN_COLUMNS, VAL_COLUMNS
from pkgs.teacher.config import PretrainingConfig
from pkgs.training import program
from pkgs.training.arguments import Arguments
from pkgs.training.program import Plan
from pkgs.training.tables import Table

if TYPE_CHECKING:
    from pkgs.data.config import DataConfig
    from pkgs.data.samples import Part
    from pkgs.teacher.step import Pretraining, Shown
    from pkgs.training.assembly import Joined, Start
    from pkgs.training.ema import Ema
    from pkgs.training.loop import Loop


MODULE: Final = "pkgs.teacher"
PURPOSE: Final = (
    "Pretrain an error teacher on falsified masks, judge it on unseen sources, and let it find wrong labels."
)


def main(argv: list[str]) -> int:
    """Do what the command line says and return the exit code."""
    return program.main(argv, PretrainingConfig, module=MODULE, purpose=PURPOSE, plan=_plan)


def _plan(arguments: Arguments, config: PretrainingConfig) -> Plan:
    data = data_of_run(config.data, config.compat, run=arguments.run_name)
    config = config.model_copy(update={"data": data})
    return Plan(
        config,
        training=config.training,
        trackers=config.trackers,
        problems=partial(_problems, config),
        origin=partial(origin_of, config.data),
        join=partial(_join, config),
        faults=partial(_faults, config),
    )


def _problems(config: PretrainingConfig) -> list[str]:
    other = config.apply.whole if config.apply else None
    return problems(config.data) + (problems(other) if other else [])


def _faults(config: PretrainingConfig) -> list[str]:
    """Return why the teacher cannot take the images, nothing if it can."""
    try:
        fault = config.teacher.model.fault_for(channels_of(config.data.layout))
        if not fault and config.apply:
            fault = config.apply.fault_beside(config.data)
    except ValueError as error:
        fault = str(error)
    return [fault] if fault else []


def _join(config: PretrainingConfig, start: Start) -> Joined:
    """Load data and network, and build the method that trains it.

    Raises:
        ValueError: If data, device or checkpoint cannot be used.
        Stopped: If a stop was asked for meanwhile.
    """
    from pkgs.ensemble.labelled_run import load, loader_of  # noqa: PLC0415 - torch; `--check` comes without it
    from pkgs.models.error_teacher import START_SHARE, build_error_teacher  # noqa: PLC0415
    from pkgs.teacher.step import Pretraining  # noqa: PLC0415
    from pkgs.training.assembly import Joined  # noqa: PLC0415

    data = load(config.data, start)
    if config.falsify.kind == "sound":  # it changes single objects; `objects` numbers them as they are
        data = data.with_objects()
    name, size_px = config.teacher.model.name, config.data.size_px
    share = None if config.compat.score_100 else START_SHARE  # a number in nats has no such prior
    teacher = build_error_teacher(
        name,
        seed=start.seed,
        size_px=size_px,
        image_channels=channels_of(config.data.layout),
        colours=config.teacher.model.normalisation,
        share=share,
    ).to(start.device)
    start.after_networks()
    loader = loader_of(data.train, start, config=config.data)
    method = Pretraining(
        teacher, config, seed=start.seed, train=data.train, loader=loader, val=data.val, ranks=start.ranks,
        check=start.check, say=start.heart.say,
    )  # fmt: skip
    average = start.average(teacher)
    loop = start.loop(
        method,
        fingerprint=data.inputs.fingerprint,
        model=name,
        train=TRAIN_COLUMNS,
        val=VAL_COLUMNS,
        average=average,
    )
    judge = partial(
        _judge, config, start.arguments, method=method, loop=loop, test=data.test, average=average
    )
    return Joined(loop, opened=(loader,), judge=judge)


def _judge(  # noqa: PLR0913 - all by name
    config: PretrainingConfig,
    arguments: Arguments,
    *,
    method: Pretraining,
    loop: Loop[Shown],
    test: Part,
    average: Ema | None,
) -> None:
    """Score all weights on test, and ask about given labels; test.csv comes last and marks the end."""
    from pkgs.errormap.scores import POOLED, write  # noqa: PLC0415 - torch
    from pkgs.teacher.judgement import judge, test_rows  # noqa: PLC0415

    folder = arguments.folder
    verdicts = judge(method, folder.checkpoints, test=test, average=average)
    rows = [{**loop.clock(), **row} for verdict in verdicts for row in test_rows(verdict, method)]
    write({verdict.weights: verdict.errors for verdict in verdicts}, folder.predictions)
    if config.apply:
        told = _apply(config.apply, arguments, method=method, own=config.data, test=test)
        loop.heart.say(f"{loop.heart.title}: {told}")
    Table(folder.test_csv, TEST_COLUMNS).append(*rows)
    pooled = {row["weights"]: row for row in rows if row["source"] == POOLED}
    for weights, row in pooled.items():
        loop.trackers.scalars(loop.state.step, row, part=f"test_{weights}")
    told = ", ".join(f"{row['teacher_auroc']:.3f} ({weights})" for weights, row in pooled.items())
    loop.heart.say(f"{loop.heart.title}: test AUROC of wrong pixels in falsified masks {told}.")


def _apply(
    apply: ApplyConfig, arguments: Arguments, *, method: Pretraining, own: DataConfig, test: Part
) -> str:
    """Write where the teacher takes the given labels to be wrong; return what to say."""
    from pkgs.ensemble.given import given_patches  # noqa: PLC0415 - torch
    from pkgs.teacher.applying import write_chances  # noqa: PLC0415
    from pkgs.training.checkpoints import load_weights_of  # noqa: PLC0415

    folder = arguments.folder
    load_weights_of(folder.checkpoints, apply.weights, method.modules)
    given = given_patches(apply, own, test=test, device=method.ranks.device, check=method.check)
    write_chances(
        folder.path, method.teacher, given, batch=method.config.training.batch_samples, check=method.check
    )
    return f"asked about the labels of {len(given.part)} images ({apply.weights})."


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
