"""Which trackers a run has, and where they send what they are given."""

from __future__ import annotations

from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from pkgs.foundation.config import Section

TrackerName = Literal["tensorboard", "wandb", "mlflow", "visdom"]


class TrackerConfig(Section):
    """Who besides the CSV files is told the numbers of a run.

    Secrets come from the environment alone, under the names of the tools themselves: WANDB_API_KEY,
    MLFLOW_TRACKING_USERNAME, MLFLOW_TRACKING_PASSWORD, MLFLOW_TRACKING_TOKEN; for visdom VISDOM_USERNAME and
    VISDOM_PASSWORD.
    """

    names: tuple[TrackerName, ...] = ()
    """For instance `[tensorboard, wandb]`; each must be installed."""

    project: str = Field(default="queuemanager", min_length=1)
    """Project of Weights & Biases, experiment of MLflow, first part of the environment of visdom."""

    wandb_mode: Literal["offline", "online"] = "offline"
    """Offline writes into the run folder, and `wandb sync` sends it later."""

    mlflow_uri: str = ""
    """Address of an MLflow server or store. Empty: an SQLite file in the run folder."""

    visdom_url: str = "http://localhost:8097"
    """Address of a visdom server that is running."""

    @field_validator("mlflow_uri", "visdom_url")
    @classmethod
    def _holds_no_password(cls, address: str) -> str:
        if urlsplit(address).password is not None:
            raise ValueError(
                "the address holds a password, which would be written into config.yaml; "
                "set MLFLOW_TRACKING_PASSWORD or VISDOM_PASSWORD in the environment instead"
            )
        return address

    @field_validator("visdom_url")
    @classmethod
    def _is_an_address(cls, address: str) -> str:
        parts = urlsplit(address)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError("expected an address such as http://localhost:8097")
        return address
