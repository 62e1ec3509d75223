"""`python -m pkgs.teacher`: pretrains an error teacher; joins data, network, loss and loop into one run.

torch loads only when a run begins.
"""

from __future__ import annotations

import sys
from functools import partial
from typing import TYPE_CHECKING, Final

from pkgs.data.inputs import origin_of, problems
from pkgs.errormap.compat import data_of_run
from pkgs.teacher.columns import TEST_COLUMNS, TRAIN_COLUMNS, VAL_COLUMNS
from pkgs.teacher.config import PretrainingConfig
from pkgs.training import program
from pkgs.training.arguments import Arguments
from pkgs.training.program import Plan
from pkgs.training.tables import Table

if TYPE_CHECKING:
    from pkgs.data.samples import Part
    from pkgs.teacher.step import Pretraining, Shown
    from pkgs.training.assembly import Joined, Start
    from pkgs.training.ema import Ema
    from pkgs.training.loop import Loop


MODULE: Final = "pkgs.teacher"
PURPOSE: Final = "Pretrain an error teacher on falsified masks and judge it on unseen sources."


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
        problems=partial(problems, config.data),
        origin=partial(origin_of, config.data),
        join=partial(_join, config),
    )


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

    data = load(config.data, start).with_objects()
    name, size_px = config.teacher.model.name, config.data.size_px
    share = None if config.compat.score_100 else START_SHARE  # a number in nats has no such prior
    teacher = build_error_teacher(name, seed=start.seed, size_px=size_px, share=share).to(start.device)
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
    judge = partial(_judge, start.arguments, method=method, loop=loop, test=data.test, average=average)
    return Joined(loop, opened=(loader,), judge=judge)


def _judge(
    arguments: Arguments, *, method: Pretraining, loop: Loop[Shown], test: Part, average: Ema | None
) -> None:
    """Score all weights on test; test.csv comes last and marks the end."""
    from pkgs.errormap.scores import POOLED, write  # noqa: PLC0415 - torch
    from pkgs.teacher.judgement import judge, test_rows  # noqa: PLC0415

    folder = arguments.folder
    verdicts = judge(method, folder.checkpoints, test=test, average=average)
    rows = [{**loop.clock(), **row} for verdict in verdicts for row in test_rows(verdict, method)]
    write({verdict.weights: verdict.errors for verdict in verdicts}, folder.predictions)
    Table(folder.test_csv, TEST_COLUMNS).append(*rows)
    pooled = {row["weights"]: row for row in rows if row["source"] == POOLED}
    for weights, row in pooled.items():
        loop.trackers.scalars(loop.state.step, row, part=f"test_{weights}")
    told = ", ".join(f"{row['teacher_auroc']:.3f} ({weights})" for weights, row in pooled.items())
    loop.heart.say(f"{loop.heart.title}: test AUROC of wrong pixels in falsified masks {told}.")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
