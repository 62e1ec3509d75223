"""What a student and its method tell of themselves once the training is over."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from pkgs.data.labelled import Labelled
from pkgs.data.samples import Part
from pkgs.ensemble import evaluation
from pkgs.ensemble.verdicts import Verdict, verdicts_on
from pkgs.foundation.run_folder import RunFolder
from pkgs.student.config import StudentConfig
from pkgs.student.method import Judged, StudentMethod
from pkgs.training.checkpoint_folder import Name
from pkgs.training.ema import Ema


def judge(  # noqa: PLR0913 - all by name
    method: StudentMethod[Any],
    folder: RunFolder,
    *,
    config: StudentConfig,
    data: Labelled,
    average: Ema | None,
    check: Callable[[], None],
) -> list[Verdict]:
    """Return the scores of all weights, `last` first. Afterwards the networks have those of `best`.

    Args:
        method: Whose networks take up one set of weights after the other.
        folder: Of the run; holds `last` and `best`, and gets what the method tells of its own.
        config: Its settings.
        data: The threshold is chosen on train, temperatures and teachers are adjusted on val, all are judged
            on test.
        average: The moving average of the weights, if there is one.
        check: Called between batches.
    """
    with_objects = replace(
        data.val, instances=data.test.instances
    )  # validation during training asks for none

    def loaded(name: Name, step: int) -> None:
        method.settle(name, checkpoints=folder.checkpoints)
        if name == "last":
            _store(method, folder, config=config, test=data.test)
        method.judge(Judged(name, step, with_objects, data.test), folder=folder.predictions)

    return verdicts_on(
        data,
        method.network,
        modules=method.modules,
        folder=folder,
        average=average,
        batch=config.training.batch_samples,
        check=check,
        loaded=loaded,
        drop_p1_bin=config.compat.drop_p1_bin,
    )


def _store(method: StudentMethod[Any], folder: RunFolder, *, config: StudentConfig, test: Part) -> None:
    """Write a few predictions of `last` for overlays."""
    chosen = evaluation.chosen(test, count=config.output.samples, seed=config.data.split.seed)
    evaluation.store_predictions(
        method.network, test, indices=chosen, folder=folder.predictions, error=method.predicted_error
    )
