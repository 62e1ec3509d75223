"""MLflow: an SQLite store in the run folder, or the server or store whose address is given."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator, Mapping
from typing import Any, Final, final

from pkgs.training.trackers.config import TrackerConfig
from pkgs.training.trackers.tracker import Outcome, TrackedRun, lasting

STATUS: Final[Mapping[Outcome, str]] = {"finished": "FINISHED", "stopped": "KILLED", "failed": "FAILED"}
LONGEST_VALUE: Final = 500
"""Characters of a parameter that every version and store of MLflow accepts."""


@final
class MLflow:
    """One run of the experiment, the same one after every resume."""

    def __init__(self, config: TrackerConfig) -> None:
        self._config = config
        self._client: Any = None
        self._run = ""

    def start(self, run: TrackedRun) -> None:
        os.environ.setdefault(
            "MLFLOW_DISABLE_TELEMETRY", "true"
        )  # a training talks to no third party unasked
        for name in ("mlflow", "alembic"):
            logging.getLogger(name).setLevel(
                logging.WARNING
            )  # each migration of the store is a line otherwise
        from mlflow.tracking import MlflowClient  # noqa: PLC0415 - an extra

        store = self._config.mlflow_uri or f"sqlite:///{(run.folder / 'mlflow.sqlite').resolve()}"
        self._client = MlflowClient(tracking_uri=store)
        self._run, fresh = lasting(run.folder / "mlflow_run", lambda: self._new_run(run))
        if fresh:
            for key, value in _flat(run.config):
                self._client.log_param(self._run, key, value[:LONGEST_VALUE])
        else:
            self._client.update_run(self._run, status="RUNNING")

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        from mlflow.entities import Metric  # noqa: PLC0415 - an extra

        now_ms = int(time.time() * 1000)
        metrics = [Metric(name, value, now_ms, step) for name, value in values.items()]
        self._client.log_batch(self._run, metrics=metrics)

    def finish(self, outcome: Outcome) -> None:
        self._client.set_terminated(self._run, status=STATUS[outcome])

    def _new_run(self, run: TrackedRun) -> str:
        return str(self._client.create_run(self._experiment(), run_name=run.name).info.run_id)

    def _experiment(self) -> str:
        """Return the id of the experiment, made by whichever run comes first."""
        from mlflow.exceptions import MlflowException  # noqa: PLC0415 - an extra

        name = self._config.project
        if (found := self._client.get_experiment_by_name(name)) is None:
            try:
                return str(self._client.create_experiment(name))
            except MlflowException:
                if (found := self._client.get_experiment_by_name(name)) is None:
                    raise  # else another run made it meanwhile
        return str(found.experiment_id)


def _flat(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield `training.optimiser.lr` and its value as text, in the order of the configuration."""
    for key, value in config.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield prefix + key, str(value)
