"""Data, network, teacher, validation and loop of one run, put together; nothing is trained yet."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from torch import nn

from pkgs.data.cache.cache import Cache
from pkgs.data.catalog import channels_of
from pkgs.data.items import DataError
from pkgs.data.labelled import Labelled
from pkgs.data.second_labels import open_second_labels
from pkgs.ensemble.labelled_run import counted_colours, load, loader_of
from pkgs.models.catalog import student_of
from pkgs.noise.config import NoiseConfig
from pkgs.noise.training.examples import Onlooker, spread_over
from pkgs.noise.training.judgement import judge
from pkgs.noise.training.losses import label_loss
from pkgs.noise.training.step import NoiseStudent
from pkgs.noise.training.stopping import EarlyStop
from pkgs.noise.training.teacher import load_teacher
from pkgs.noise.training.validation import Validation
from pkgs.training.assembly import Joined, Start
from pkgs.training.state import steps_in


def join(config: NoiseConfig, warnings: Sequence[str], start: Start) -> Joined:
    """Load data and networks, and build the method that trains.

    Args:
        config: As `compat.resolved` made it.
        warnings: Said first.
        start: What the run begins with.

    Raises:
        ValueError: If data, device or checkpoint cannot be used.
        Stopped: If a stop was asked for meanwhile.
    """
    start.warn(warnings)
    data = load(config.data, start)
    share = data.train.foreground_share if config.model.init_prior else None
    colours = counted_colours(config.model, data.train, start)
    channels = channels_of(config.data.layout)
    network = student_of(
        config.model, seed=start.seed, image_channels=channels, foreground_share=share, colours=colours
    ).to(start.device)
    point = config.starting_points.get("teacher")
    teacher = load_teacher(point, image_channels=channels).to(start.device) if point else None
    start.after_networks()
    loader = loader_of(data.train, start, config=config.data)
    validation = Validation(
        data.val,
        clean=_clean_labels(config, data, start),
        label_loss=label_loss(config.loss, config.compat),
        batch=config.training.batch_samples,
        compat=config.compat,
        check=start.check,
    )
    stop = _stop(config)
    method = NoiseStudent(
        network, teacher, config, seed=start.seed, loader=loader, validation=validation, stop=stop,
        ranks=start.ranks, say=start.heart.say,
    )  # fmt: skip
    average = start.average(network)
    loop = start.loop(
        method,
        fingerprint=data.inputs.fingerprint,
        model=config.model.name,
        train=method.train_columns,
        val=method.val_columns,
        average=average,
        followers={} if stop is None else {"early_stop": stop},
    )
    loop.watcher = _onlooker(config, start, network=network, data=data, stop=stop, samples=method.samples)
    told = partial(judge, config, start.arguments, method=method, loop=loop, data=data, average=average)
    return Joined(loop, opened=(loader,), judge=told)


def _stop(config: NoiseConfig) -> EarlyStop | None:
    compat = config.compat
    if not (compat.stop_total or compat.skip_first):
        return None
    return EarlyStop(config.training, total=compat.stop_total, skip_first=compat.skip_first)


def _clean_labels(config: NoiseConfig, data: Labelled, start: Start) -> Cache | None:
    """Return the clean masks of val by place; None where nobody knows them all.

    Raises:
        DataError: If they were named for val and are not all there.
    """
    folder = config.clean_labels or config.data.test_labels
    if not folder or config.data.fit == "tile":
        return None
    try:
        with start.ranks.first_goes_first():  # it makes the cache
            return open_second_labels(
                data.val,
                data.inputs,
                folder=folder,
                config=config.data,
                device=start.device,
                tick=start.check,
            )
    except DataError as error:
        if config.clean_labels:
            raise
        start.warn([f"no memorisation curve: {error}"])
        return None


def _onlooker(  # noqa: PLR0913 - all by name
    config: NoiseConfig,
    start: Start,
    *,
    network: nn.Module,
    data: Labelled,
    stop: EarlyStop | None,
    samples: int,
) -> Onlooker:
    output, training = config.output, config.training
    every = steps_in(output.examples_every, config=training, samples=samples) if output.examples_every else 0
    return Onlooker(
        network,
        data.val,
        places=spread_over(len(data.val), count=output.examples),
        folder=start.arguments.folder.predictions / "examples" if start.ranks.first else None,
        every=every,
        stop=stop,
    )
