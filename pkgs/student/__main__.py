"""`python -m pkgs.student`: joins data, network, method and loop into one run.

torch loads only when a run begins.
"""

from __future__ import annotations

import sys
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from pkgs.data.catalog import channels_of
from pkgs.data.inputs import origin_of, problems, problems_of_pool
from pkgs.errormap.compat import data_of_run
from pkgs.student.config import StudentConfig
from pkgs.training import program
from pkgs.training.arguments import Arguments
from pkgs.training.program import Plan

if TYPE_CHECKING:
    from pkgs.data.labelled import Labelled
    from pkgs.student.method import StudentMethod
    from pkgs.training.assembly import Joined, Start
    from pkgs.training.ema import Ema
    from pkgs.training.loop import Loop


MODULE: Final = "pkgs.student"
PURPOSE: Final = "Train a student and judge it on unseen sources."


def main(argv: list[str]) -> int:
    """Do what the command line says and return the exit code."""
    return program.main(argv, StudentConfig, module=MODULE, purpose=PURPOSE, plan=_plan)


def _plan(arguments: Arguments, config: StudentConfig) -> Plan:
    data = data_of_run(config.data, config.compat, run=arguments.run_name)
    config = config.model_copy(update={"data": data})
    return Plan(
        config,
        training=config.training,
        trackers=config.trackers,
        problems=lambda: problems(config.data) + problems_of_pool(config.pool),
        origin=partial(origin_of, config.data),
        join=partial(_join, config),
        faults=partial(_faults, config),
        starting_points=lambda: config.starting_points,
    )


def _faults(config: StudentConfig) -> list[str]:
    """Return what is wrong with the network for these images."""
    try:
        return list(filter(None, [config.model.fault_for(channels_of(config.data.layout))]))
    except ValueError as error:
        return [str(error)]


def _join(config: StudentConfig, start: Start) -> Joined:
    """Load data and network, and build the method that trains it.

    Raises:
        ValueError: If data, device or checkpoint cannot be used.
        Stopped: If a stop was asked for meanwhile.
    """
    # torch; `--check` comes without it
    from pkgs.ensemble.labelled_run import counted_colours, load, loader_of  # noqa: PLC0415
    from pkgs.foundation.registry import choose  # noqa: PLC0415
    from pkgs.models.catalog import student_of  # noqa: PLC0415
    from pkgs.student.catalog import METHODS  # noqa: PLC0415
    from pkgs.student.method import Common  # noqa: PLC0415
    from pkgs.training.assembly import Joined  # noqa: PLC0415

    data = load(config.data, start)
    share = data.train.foreground_share if config.model.init_prior else None
    colours = counted_colours(config.model, data.train, start)
    channels = channels_of(config.data.layout)
    network = student_of(
        config.model, seed=start.seed, image_channels=channels, foreground_share=share, colours=colours
    ).to(start.device)
    start.after_networks()
    loader = loader_of(data.train, start, config=config.data)
    method = choose("method", METHODS, config.method)(
        Common(
            arguments=start.arguments, config=config, network=network, loader=loader, val=data.val,
            ranks=start.ranks, check=start.check, say=start.heart.say, inputs=data.inputs,
        )
    )  # fmt: skip
    average = method.average or start.average(network)
    loop = start.loop(
        method,
        fingerprint=data.inputs.fingerprint,
        model=config.model.name,
        train=method.train_columns,
        val=method.val_columns,
        average=average,
        followers=method.followers,
        watcher=method.watcher,
    )
    judge = partial(_judge, config, start.arguments, method=method, loop=loop, data=data, average=average)
    return Joined(loop, opened=(loader, closing(method)), judge=judge)


def _judge(  # noqa: PLR0913 - all by name
    config: StudentConfig,
    arguments: Arguments,
    *,
    method: StudentMethod[Any],
    loop: Loop[Any],
    data: Labelled,
    average: Ema | None,
) -> None:
    """Score all weights and the best threshold on test."""
    from pkgs.ensemble import verdicts  # noqa: PLC0415 - torch
    from pkgs.student.judgement import judge  # noqa: PLC0415

    folder = arguments.folder
    found = judge(method, folder, config=config, data=data, average=average, check=loop.heart.beat)
    verdicts.write(found, folder, loop=loop)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
