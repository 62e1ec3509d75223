"""What a run writes down about itself before its first step, and where its loop writes afterwards."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from pkgs.foundation.config import Section, digest, dump_yaml
from pkgs.foundation.files import write_json, write_whole
from pkgs.foundation.provenance import collect
from pkgs.training.arguments import Arguments
from pkgs.training.checkpoints import CONFIG_DIGEST, DATA_DIGEST
from pkgs.training.loop import Loop
from pkgs.training.state import Places
from pkgs.training.tables import Table
from pkgs.training.trackers.catalog import Trackers, open_trackers
from pkgs.training.trackers.config import TrackerConfig
from pkgs.training.trackers.tracker import TrackedRun


def write_down(
    arguments: Arguments, config: Section, *, fingerprint: str, about: Mapping[str, object]
) -> None:
    """Keep the resolved settings and where everything comes from; what is there already stays.

    Args:
        arguments: Of the run.
        config: All settings.
        fingerprint: Digest of the data.
        about: Further entries of provenance.json: data, numerics, inputs.
    """
    import torch  # noqa: PLC0415

    if arguments.folder.config.exists():
        return
    devices = [torch.cuda.get_device_name(k) for k in range(torch.cuda.device_count())] or ["cpu"]
    told = collect(sys.argv, data_fingerprint=fingerprint, config_digest=digest(config), devices=devices)
    write_json(arguments.folder.provenance, {**told, **about})
    write_whole(arguments.folder.config, dump_yaml(config))


def places(  # noqa: PLR0913 - all by name
    arguments: Arguments,
    config: Section,
    *,
    module: str,
    fingerprint: str,
    model: str,
    train: Sequence[str],
    val: Sequence[str],
) -> Places:
    """Return where the loop of this run writes.

    Args:
        arguments: Of the run.
        config: All settings; their digest stands in each checkpoint.
        module: What `python -m` runs.
        fingerprint: Digest of the data; a resume on others is refused.
        model: Name of the network.
        train: Columns of train.csv.
        val: Columns of val.csv.
    """
    folder = arguments.folder
    return Places(
        checkpoints=folder.checkpoints,
        train=Table(folder.train_csv, train),
        val=Table(folder.val_csv, val),
        nan=folder.attempt(arguments.attempt).nan,
        attempt=arguments.attempt,
        command=("python", "-m", module, *arguments.words),
        about={CONFIG_DIGEST: digest(config), DATA_DIGEST: fingerprint, "model": model},
    )


def trackers_of(
    loop: Loop[Any], arguments: Arguments, config: Section, *, trackers: TrackerConfig
) -> Trackers:
    """Open the trackers that the config names, in the one process that speaks for all."""
    if not loop.ranks.first:
        return Trackers([])
    run = TrackedRun(
        name=f"{arguments.config.resolve().parent.name}/{arguments.config.stem}/seed_{arguments.seed}",
        folder=arguments.folder.trackers,
        config=config.model_dump(mode="json"),
        first_step=loop.state.step,
    )
    return open_trackers(trackers, run, say=loop.heart.say)
