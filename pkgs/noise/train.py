"""`python -m pkgs.noise train`: joins data, network, teacher and loop into one run.

torch loads only when a run begins.
"""

from __future__ import annotations

import sys
from functools import partial
from typing import TYPE_CHECKING, Final

from pkgs.data.catalog import channels_of
from pkgs.data.inputs import origin_of, problems
from pkgs.noise.compat import resolved, without_effect
from pkgs.noise.config import LengthConfig, NoiseConfig
from pkgs.training import program
from pkgs.training.arguments import Arguments
from pkgs.training.program import Plan

if TYPE_CHECKING:
    from pkgs.training.assembly import Joined, Start

MODULE: Final = "pkgs.noise.train"
PURPOSE: Final = "Train a network on labels of which some are wrong, and ask it about patches it did not see."


def main(argv: list[str]) -> int:
    """Do what the command line says and return the exit code."""
    return program.main(argv, NoiseConfig, module=MODULE, purpose=PURPOSE, plan=_plan)


def _plan(arguments: Arguments, config: NoiseConfig) -> Plan:
    del arguments
    warnings, config = without_effect(config), resolved(config)
    return Plan(
        config,
        training=_training(config),
        trackers=config.trackers,
        problems=partial(_problems, config),
        origin=partial(origin_of, config.data),
        join=partial(_join, config, warnings),
        faults=partial(_faults, config),
        starting_points=lambda: config.starting_points,
    )


def _training(config: NoiseConfig) -> LengthConfig:
    """Return the settings of the loop; under `skip_first` it chooses by the column that leaves one out."""
    if not config.compat.skip_first:
        return config.training
    best = config.training.best.model_copy(update={"metric": "judged"})
    return config.training.model_copy(update={"best": best})


def _problems(config: NoiseConfig) -> list[str]:
    other = config.apply.whole
    return problems(config.data) + (problems(other) if other else [])


def _faults(config: NoiseConfig) -> list[str]:
    """Return why the network cannot take the images, nothing if it can."""
    try:
        fault = config.model.fault_for(channels_of(config.data.layout))
        fault = fault or config.apply.fault_beside(config.data)
    except ValueError as error:
        fault = str(error)
    return [fault] if fault else []


def _join(config: NoiseConfig, warnings: list[str], start: Start) -> Joined:
    from pkgs.noise.training.joining import join  # noqa: PLC0415 - torch; `--check` comes without it

    return join(config, warnings, start)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
