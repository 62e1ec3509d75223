"""The labelled data of a training run: opened for all its processes, and given out in batches.

Stands here because nothing lower knows both data and trainings. Loads torch.
"""

from __future__ import annotations

from pkgs.data.cache.loader import Loader
from pkgs.data.config import DataConfig
from pkgs.data.labelled import Labelled, open_labelled
from pkgs.data.part_statistics import statistics_of
from pkgs.data.samples import Part
from pkgs.foundation.colours import Colours
from pkgs.models.config import ModelConfig
from pkgs.training.assembly import Start


def load(config: DataConfig, start: Start) -> Labelled:
    """Return the parts of the split; in a short training one batch of each.

    Raises:
        DataError: If data are missing, unpaired, changed, or do not fit the split file.
        Stopped: If a stop was asked for meanwhile.
    """
    with start.ranks.first_goes_first():  # it may write the split file, and makes the cache
        data = open_labelled(config, device=start.device, tick=start.check)
    start.warn(data.inputs.warnings)
    training = start.plan.training
    return data.short(training.batch_samples) if training.short_training else data


def counted_colours(config: ModelConfig, train: Part, start: Start) -> Colours | None:
    """Return the colours of the training part where the network normalises by these; else None.

    Raises:
        Stopped: If a stop was asked for meanwhile.
    """
    return Colours(*statistics_of(train, tick=start.check)) if config.colours == "train" else None


def loader_of(train: Part, start: Start, *, config: DataConfig) -> Loader:
    """Return the batches of the whole run, in an order that its seed decides."""
    return Loader(
        train.cache,
        indices=train.numbers,
        seed=start.seed,
        config=config.loader,
        bad_file=start.bad_file,
        draws=start.draws(len(train)),
        debug=start.plan.training.debug,
    )
