"""Visdom: what its client is asked to do, and the real client against a small server."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pkgs.training.trackers.catalog import open_trackers
from pkgs.training.trackers.config import TrackerConfig
from pkgs.training.trackers.guard import Limits
from pkgs.training.trackers.tracker import TrackedRun

PATIENT = Limits(call_s=60, start_s=60, exit_s=120)
"""The machine of a test may be busy."""


class Client:
    """Stands in for `visdom.Visdom`."""

    made: dict[str, Any]
    lines: list[dict[str, Any]]
    connected = True

    def __init__(self, **settings: object) -> None:
        type(self).made, type(self).lines = settings, []

    def check_connection(self) -> bool:
        return self.connected

    def line(self, **settings: object) -> None:
        self.lines.append(settings)


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> type[Client]:
    monkeypatch.setitem(sys.modules, "visdom", SimpleNamespace(Visdom=Client))  # type: ignore[arg-type]
    monkeypatch.setattr(Client, "connected", True)
    return Client


def track(folder: Path, url: str, said: list[str]) -> None:
    config = TrackerConfig(names=("visdom",), project="ke", visdom_url=url)
    with open_trackers(config, TrackedRun("a/seed_0", folder), say=said.append, limits=PATIENT) as trackers:
        trackers.scalars(1, {"loss": 0.5})
        trackers.scalars(2, {"loss": 0.25})
        trackers.scalars(2, {"iou": 0.75}, part="val")


def test_the_client_is_given_the_parts_of_the_address_and_secrets_of_the_environment(
    client: type[Client], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VISDOM_USERNAME", "me")
    monkeypatch.setenv("VISDOM_PASSWORD", "secret")
    track(tmp_path, "https://host:1234/base/", said := [])
    assert said == []
    wanted = {
        "server": "https://host", "port": 1234, "base_url": "/base", "env": "ke_a_seed_0", "username": "me",
        "password": "secret", "raise_exceptions": True, "use_incoming_socket": False,
    }  # fmt: skip
    assert client.made == wanted


def test_every_value_is_appended_to_the_window_of_its_name(client: type[Client], tmp_path: Path) -> None:
    track(tmp_path, "http://localhost:8097", [])
    lines = [(line["win"], line["X"].tolist(), line["Y"].tolist(), line["update"]) for line in client.lines]
    assert lines == [
        ("train/loss", [1], [0.5], "append"),
        ("train/loss", [2], [0.25], "append"),
        ("val/iou", [2], [0.75], "append"),
    ]


def test_a_server_that_is_not_running_is_named_with_the_cure(
    client: type[Client], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "connected", False)
    track(tmp_path, "http://localhost:8097", said := [])
    assert len(said) == 1
    assert "no visdom server at http://localhost:8097; `python -m visdom.server` starts one" in said[0]


@pytest.fixture
def server() -> Iterator[tuple[str, list[tuple[str, dict[str, Any]]]]]:
    """Answer as a visdom server does, and note what is sent."""
    posts: list[tuple[str, dict[str, Any]]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            posts.append((self.path, json.loads(body)))
            there = any(path == "/events" and sent["win"] == posts[-1][1].get("win") for path, sent in posts)
            answer = str(there).lower().encode() if self.path == "/win_exists" else b"window"
            self.send_response(200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_parts: object) -> None:
            """Nothing to standard error."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as made:
        threading.Thread(target=made.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{made.server_port}", posts
        made.shutdown()


@pytest.mark.filterwarnings("ignore:The 'warn' method is deprecated:DeprecationWarning")  # visdom 0.2.4
def test_the_real_client_sends_every_value(
    server: tuple[str, list[tuple[str, dict[str, Any]]]], tmp_path: Path
) -> None:
    pytest.importorskip("visdom", reason="the extra `visdom` is not installed")
    address, posts = server
    track(tmp_path, address, said := [])
    assert said == []
    sent = [(path, body) for path, body in posts if path in {"/events", "/update"}]
    assert [(path, body["win"]) for path, body in sent] == [
        ("/events", "train/loss"), ("/update", "train/loss"), ("/events", "val/iou"),
    ]  # fmt: skip
    assert all(body["eid"] == "ke_a_seed_0" for _, body in sent)
