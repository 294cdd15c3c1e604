"""A webhook on loopback that keeps what it is told."""

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any


class Webhook(HTTPServer):
    """A webhook that keeps what it is told.

    Attributes:
        told: path, content type and facts of each notification.
        answer: its status.
        url: its address.
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Receiver)
        self.told: list[tuple[str, str | None, Any]] = []
        self.answer = 200
        self.url = f"http://127.0.0.1:{self.server_port}"


class Receiver(BaseHTTPRequestHandler):
    """What takes one notification."""

    server: Webhook

    def do_POST(self):
        """Take one notification."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.told.append((self.path, self.headers["Content-Type"], json.loads(body)))
        self.send_response(self.server.answer)
        self.end_headers()

    def log_message(self, *_):
        """Say nothing."""


@contextmanager
def serving():
    """Give a webhook that answers from a thread."""
    with Webhook() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
