"""MLflow with a store of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from pkgs.training.stop import Stopped
from pkgs.training.trackers.catalog import open_trackers
from pkgs.training.trackers.config import TrackerConfig
from pkgs.training.trackers.guard import Limits
from pkgs.training.trackers.tracker import TrackedRun

pytest.importorskip("mlflow", reason="the extra `mlflow` is not installed")

CONFIG = TrackerConfig(names=("mlflow",), project="ke")
PATIENT = Limits(call_s=60, start_s=120, exit_s=240)


def attempt(folder: Path, first_step: int) -> None:
    run = TrackedRun("a/seed_0", folder, config={"training": {"lr": 0.125}}, first_step=first_step)
    with open_trackers(CONFIG, run, say=pytest.fail, limits=PATIENT) as trackers:
        trackers.scalars(first_step + 1, {"loss": 1 / (first_step + 1)})
        if first_step == 0:
            raise Stopped


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy")  # SQLAlchemy 2.1 about MLflow 3.17
def test_a_local_store_holds_values_settings_and_the_outcome_over_a_resume(tmp_path: Path) -> None:
    from mlflow.tracking import MlflowClient

    with pytest.raises(Stopped):
        attempt(tmp_path, 0)
    client = MlflowClient(tracking_uri=f"sqlite:///{tmp_path / 'mlflow.sqlite'}")
    identity = (tmp_path / "mlflow_run").read_text().strip()
    assert client.get_run(identity).info.status == "KILLED"
    attempt(tmp_path, 1)
    run = client.get_run(identity)
    assert (run.info.run_name, run.info.status) == ("a/seed_0", "FINISHED")
    assert run.data.params == {"training.lr": "0.125"}
    assert client.get_experiment_by_name("ke").experiment_id == run.info.experiment_id
    history = client.get_metric_history(identity, "train/loss")
    assert [(metric.step, metric.value) for metric in history] == [(1, 1.0), (2, 0.5)]
