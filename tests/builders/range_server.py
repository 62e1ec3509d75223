"""A web server on this machine with one file, which can resume, break off, hang, and change its mind."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Site:
    """What is served, and what was asked."""

    data: bytes
    tag: str = '"v1"'
    resumes: bool = True
    status: int = 200
    """Another than 200: the next requests are refused with it."""
    break_after: int = 0
    """Bytes after which each connection ends; 0: never."""
    hang_after: int = 0
    """Bytes after which a connection waits until `go_on` is set; 0: never."""
    go_on: threading.Event = field(default_factory=threading.Event)
    url: str = ""
    asked: list[int] = field(default_factory=list)
    """First byte of each request."""


def _handler(site: Site) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            span = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
            same = self.headers.get("If-Range", site.tag) == site.tag
            first = int(span[1]) if span and site.resumes and same else 0
            site.asked.append(int(span[1]) if span else 0)
            total = len(site.data)
            if site.status != 200:
                self.send_error(site.status)
                return
            if first and first >= total:
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{total}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            self.send_response(206 if first else 200)
            if first:
                self.send_header("Content-Range", f"bytes {first}-{total - 1}/{total}")
            self.send_header("Content-Length", str(total - first))
            self.send_header("ETag", site.tag)
            self.end_headers()
            self._send(site.data[first:])

        def _send(self, body: bytes) -> None:
            limit = site.break_after or site.hang_after or len(body)
            self.wfile.write(body[:limit])
            self.wfile.flush()
            if site.hang_after and limit < len(body):
                site.go_on.wait()
            if not site.break_after:
                self.wfile.write(body[limit:])

        def handle(self) -> None:
            try:
                super().handle()
            except (BrokenPipeError, ConnectionResetError):
                return  # who asked was killed

        def log_message(self, *words: object) -> None:
            """Say nothing."""

    return Handler


@contextmanager
def served(data: bytes, *, name: str = "file.zip") -> Iterator[Site]:
    """Serve `data` under `site.url` until the block ends."""
    site = Site(data)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(site))
    server.daemon_threads = True
    site.url = f"http://127.0.0.1:{server.server_port}/{name}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield site
    finally:
        site.go_on.set()
        server.shutdown()
        server.server_close()
        thread.join()
