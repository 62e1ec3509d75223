"""What is left of a run besides weights: scores on test, a few predictions, and maps for the ranking."""

from __future__ import annotations

from pkgs.data.labelled import Labelled
from pkgs.ensemble import evaluation, verdicts
from pkgs.ensemble.given import given_patches
from pkgs.noise.config import NoiseConfig
from pkgs.noise.training import maps
from pkgs.noise.training.step import NoiseStudent, Shown
from pkgs.noise.training.validation import foreground_from
from pkgs.training.arguments import Arguments
from pkgs.training.checkpoints import load_weights_of
from pkgs.training.ema import Ema
from pkgs.training.loop import Loop


def judge(  # noqa: PLR0913 - all by name
    config: NoiseConfig,
    arguments: Arguments,
    *,
    method: NoiseStudent,
    loop: Loop[Shown],
    data: Labelled,
    average: Ema | None,
) -> None:
    """Score all weights on test, write the maps of the patches asked about; test.csv marks the end."""
    folder, network = arguments.folder, method.network

    def loaded(name: str, step: int) -> None:
        del step
        if name == "last":
            chosen = evaluation.chosen(data.test, count=config.output.samples, seed=config.data.split.seed)
            evaluation.store_predictions(network, data.test, indices=chosen, folder=folder.predictions)

    found = verdicts.verdicts_on(
        data,
        network,
        modules=method.modules,
        folder=folder,
        average=average,
        batch=config.training.batch_samples,
        check=loop.heart.beat,
        loaded=loaded,
        foreground_from=foreground_from(config.compat),
    )
    _write_maps(config, arguments, method=method, loop=loop, data=data)
    verdicts.write(found, folder, loop=loop)


def _write_maps(
    config: NoiseConfig, arguments: Arguments, *, method: NoiseStudent, loop: Loop[Shown], data: Labelled
) -> None:
    """Write P of the patches that the run is asked about."""
    heart, apply = loop.heart, config.apply
    load_weights_of(arguments.folder.checkpoints, apply.weights, method.modules)
    if apply.data is None:
        all_train = config.data.split.by == "all"
        asked = maps.asked_in_run(data, all_train=all_train, every_part=config.compat.in_sample)
    else:
        given = given_patches(
            apply, config.data, test=data.test, device=method.ranks.device, check=heart.beat
        )
        asked = maps.asked_of(given)
    batch = config.training.batch_samples
    count = maps.write_probabilities(
        arguments.folder.path, method.network, asked, tta=config.output.tta, batch=batch, check=heart.beat
    )
    heart.say(f"{heart.title}: maps of {count} patches ({apply.weights}).")
