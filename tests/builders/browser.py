"""A headless Chromium, driven through the DevTools protocol over a pipe: the standard library is enough."""

from __future__ import annotations

import base64
import contextlib
import fcntl
import json
import os
import select
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
TIMEOUT_S = 60.0
SPECIAL = {"ArrowDown": 40, "ArrowUp": 38, "ArrowLeft": 37, "ArrowRight": 39, "Enter": 13, "Escape": 27}


def find_browser() -> str | None:
    """Return the path of a Chromium, or None."""
    return next(filter(None, map(shutil.which, NAMES)), None)


class BrowserError(AssertionError):
    """What the browser answered instead of doing what it was told."""


class Page:
    """One tab. Messages are JSON, ended by a zero byte."""

    def __init__(self, reader: int, writer: int) -> None:
        self._reader, self._writer = reader, writer
        self._buffer = b""
        self._number = 0
        self._session: dict[str, str] = {}
        self.events: list[dict[str, Any]] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = {"sessionId": attached["sessionId"]}
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: object) -> dict[str, Any]:
        """Send a command and return its result; events that come meanwhile are kept."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters, **self._session}
        os.write(self._writer, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._receive()
            if answer.get("id") == self._number:
                break
            self.events.append(answer)
        if "error" in answer:
            raise BrowserError(f"{method}: {answer['error']}")
        return answer["result"]

    def open(self, path: Path) -> None:
        """Show a file and wait until its scripts have run."""
        self.events.clear()
        self.call("Page.navigate", url=path.resolve().as_uri())
        self._wait_for_load()

    def reload(self) -> None:
        self.events.clear()
        self.call("Page.reload")
        self._wait_for_load()

    def run(self, expression: str) -> Any:  # noqa: ANN401 - whatever the page holds
        """Return the value of a JavaScript expression."""
        answer = self.call(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True, userGesture=True
        )
        if "exceptionDetails" in answer:
            raise BrowserError(f"{expression}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    def press(self, key: str) -> None:
        """Press a key as a person does."""
        number = SPECIAL[key] if key in SPECIAL else ord(key.upper()) if key.isalnum() else 0
        code = {"key": key, "windowsVirtualKeyCode": number}
        text = {} if key in SPECIAL else {"text": key}
        self.call("Input.dispatchKeyEvent", type="keyDown", **code, **text)
        self.call("Input.dispatchKeyEvent", type="keyUp", **code)

    def click(self, selector: str) -> None:
        """Click on the middle of what a CSS selector names, with the mouse."""
        box = self.run(
            f"(({{x, y, width, height}}) => [x + width / 2, y + height / 2])"
            f"(document.querySelector({json.dumps(selector)}).getBoundingClientRect())"
        )
        where = {"x": box[0], "y": box[1], "button": "left", "clickCount": 1}
        self.call("Input.dispatchMouseEvent", type="mousePressed", **where)
        self.call("Input.dispatchMouseEvent", type="mouseReleased", **where)

    def size(self, width: int, height: int) -> None:
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )

    def screenshot(self) -> bytes:
        return base64.b64decode(self.call("Page.captureScreenshot")["data"])

    def troubles(self) -> list[str]:
        """Return what the page complained of: exceptions, failed requests, lines in the console."""
        names = {
            "Runtime.exceptionThrown",
            "Network.loadingFailed",
            "Log.entryAdded",
            "Runtime.consoleAPICalled",
        }
        return [json.dumps(event["params"]) for event in self.events if event.get("method") in names]

    def requests(self) -> list[str]:
        """Return the addresses that the page asked for."""
        return [
            event["params"]["request"]["url"]
            for event in self.events
            if event.get("method") == "Network.requestWillBeSent"
        ]

    def _wait_for_load(self) -> None:
        while not any(event.get("method") == "Page.loadEventFired" for event in self.events):
            self.events.append(self._receive())

    def _receive(self) -> dict[str, Any]:
        end = time.monotonic() + TIMEOUT_S
        while b"\0" not in self._buffer:
            if not select.select([self._reader], [], [], max(0, end - time.monotonic()))[0]:
                raise BrowserError(f"The browser has not answered for {TIMEOUT_S:.0f} s.")
            piece = os.read(self._reader, 1 << 20)
            if not piece:
                raise BrowserError("The browser has ended.")
            self._buffer += piece
        message, _, self._buffer = self._buffer.partition(b"\0")
        return json.loads(message)


@contextlib.contextmanager
def browsing(binary: str, *, profile: Path) -> Iterator[Page]:
    """Start a browser with a fresh profile in `profile`, and end it and all its children afterwards."""
    from_us, to_browser = os.pipe()
    from_browser, to_us = os.pipe()
    argv = [
        *(
            binary,
            "--headless=new",
            "--remote-debugging-pipe",
            f"--user-data-dir={profile}",
            "--no-first-run",
        ),
        *(
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--disable-extensions",
            "--disable-background-networking",
        ),
        *(["--no-sandbox"] if os.geteuid() == 0 else []),
    ]

    def on_3_and_4() -> None:
        low = (
            fcntl.fcntl(from_us, fcntl.F_DUPFD, 10),
            fcntl.fcntl(to_us, fcntl.F_DUPFD, 10),
        )  # neither is 3 or 4
        os.dup2(low[0], 3)
        os.dup2(low[1], 4)

    process = subprocess.Popen(
        argv,
        preexec_fn=on_3_and_4,  # noqa: PLW1509 - the pipe has to be at these two numbers
        pass_fds=(3, 4),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    os.close(from_us)
    os.close(to_us)
    try:
        yield Page(from_browser, to_browser)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        os.close(from_browser)
        os.close(to_browser)
