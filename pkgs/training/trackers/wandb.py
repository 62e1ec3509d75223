"""Weights & Biases: offline files in the run folder, which `wandb sync` sends; online only if asked for."""

from __future__ import annotations

import os
import uuid
from collections.abc import Mapping
from typing import Any, Final, final

from pkgs.training.trackers.config import TrackerConfig
from pkgs.training.trackers.tracker import Outcome, TrackedRun, lasting

EXIT_CODES: Final[Mapping[Outcome, int]] = {"finished": 0, "stopped": 143, "failed": 1}
CONNECT_S: Final = 15.0
"""Below the guard's limit for a start, so that the library says itself what it waited for."""


@final
class WeightsAndBiases:
    """One run, the same one after every resume."""

    def __init__(self, config: TrackerConfig) -> None:
        self._config = config
        self._run: Any = None

    def start(self, run: TrackedRun) -> None:
        if self._config.wandb_mode == "offline":
            os.environ.setdefault("WANDB_ERROR_REPORTING", "false")  # it is sent to a third party
        import wandb  # noqa: PLC0415 - an extra

        if self._config.wandb_mode == "online" and not wandb.login(prompt=False, verify=False):
            raise ValueError(
                "no key; set WANDB_API_KEY, or leave wandb_mode at offline and `wandb sync` later"
            )
        identity, _ = lasting(run.folder / "wandb_run", lambda: uuid.uuid4().hex[:16])
        quiet = wandb.Settings(
            silent=True,
            console="off",  # what the run prints is in attempts/<k>/output.log
            disable_git=True,  # provenance.json has the commit
            disable_code=True,
            init_timeout=CONNECT_S,
        )
        self._run = wandb.init(
            project=self._config.project,
            name=run.name,
            id=identity,
            resume="allow",
            dir=str(run.folder),
            mode=self._config.wandb_mode,
            config=dict(run.config),
            settings=quiet,
        )
        # its own counter must only grow, and our steps may come again after a resume
        self._run.define_metric("*", step_metric="step")

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        self._run.log({"step": step, **values})

    def finish(self, outcome: Outcome) -> None:
        import wandb  # noqa: PLC0415 - an extra

        self._run.finish(exit_code=EXIT_CODES[outcome])
        wandb.teardown()  # its helper process may still be writing when `finish` returns
