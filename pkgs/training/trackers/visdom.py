"""Visdom: one line chart per value on a server that is running."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from typing import Any, final
from urllib.parse import urlsplit

from pkgs.training.trackers.config import TrackerConfig
from pkgs.training.trackers.tracker import Outcome, TrackedRun


@final
class Visdom:
    """Appends to the windows of the environment `<project>_<run>`."""

    def __init__(self, config: TrackerConfig) -> None:
        self._config = config
        self._client: Any = None

    def start(self, run: TrackedRun) -> None:
        import visdom  # noqa: PLC0415 - an extra

        logging.getLogger("visdom").setLevel(logging.ERROR)  # it warns that it opens a session
        address = urlsplit(self._config.visdom_url)
        self._client = visdom.Visdom(
            server=f"{address.scheme}://{address.hostname}",
            port=address.port or (443 if address.scheme == "https" else 80),
            base_url=address.path.rstrip("/") or "/",
            env=f"{self._config.project}_{run.name}".replace("/", "_"),
            username=os.environ.get("VISDOM_USERNAME"),
            password=os.environ.get("VISDOM_PASSWORD"),
            raise_exceptions=True,
            use_incoming_socket=False,  # it would be one more thread, for clicks that nobody handles
        )
        if not self._client.check_connection():
            raise ConnectionError(
                f"no visdom server at {self._config.visdom_url}; `python -m visdom.server` starts one"
            )

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        import numpy as np  # noqa: PLC0415 - visdom takes arrays

        for name, value in values.items():
            self._client.line(
                X=np.array([step]),
                Y=np.array([value]),
                win=name,
                update="append",  # the client makes a window that the server does not have
                opts={"title": name, "xlabel": "step"},
            )

    def finish(self, _outcome: Outcome) -> None:
        """Nothing is kept back: every value was sent when it came."""
