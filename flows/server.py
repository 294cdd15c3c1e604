"""A Prefect server that lives as long as the command that started it, for users without one.

Prefect's own temporary server is not used. It is started after Prefect is imported, so its own
imports come on top; it is in the terminal's process group, so Ctrl-C takes it from under the run;
a run that is killed leaves it behind. This one starts first, in a session of its own, on a socket
that is bound before it starts (nobody takes the port in between), and ends when the pipe to its
parent closes, however the parent ended.

Other users of the machine and pages in a browser can reach a port of it. So a server has a secret
of its own, without which it answers 401, listens on the loopback alone, and allows no page of
another origin to read its answers.
"""

from __future__ import annotations

import asyncio
import fcntl
import importlib.metadata
import os
import secrets
import select
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import uvicorn

HOST = "127.0.0.1"
UI_PORT = 4200
READY = b"ready\n"
START_SECONDS = 120.0
STOP_SECONDS = 5.0
DATABASE_SETTINGS = (
    "PREFECT_SERVER_DATABASE_CONNECTION_URL",
    "PREFECT_API_DATABASE_CONNECTION_URL",
)


def home() -> Path:
    """Return Prefect's folder: PREFECT_HOME, else ~/.prefect."""
    return Path(os.environ.get("PREFECT_HOME") or "~/.prefect").expanduser()


def database() -> Path:
    """Return the file that keeps the history of runs.

    Not Prefect's own `prefect.db`: this Prefect would migrate that to its version, and a Prefect of
    another version in another environment of the user could then no longer open it. A new version
    starts a new file.
    """
    return home() / f"rote-{importlib.metadata.version('prefect')}.db"


class TemporaryServer:
    """A server process of ours: it begins with this object, and ends with `stop` or this process.

    With `scheduling` it has the scheduler and the browser pages too, on Prefect's usual port when
    that is free. OSError is raised when Prefect's folder cannot be made.

    Attributes:
        url: address of its API.
        secret: what requests must show: Prefect's auth string.
        secret_file: where a schedule's is written, for this user alone; None for other servers.
    """

    def __init__(self, *, scheduling: bool = False) -> None:
        home().mkdir(parents=True, exist_ok=True)
        self.secret = f"rote:{secrets.token_urlsafe(32)}"
        self.secret_file: Path | None = None
        self._released = False
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `stop`
        with _listen(UI_PORT if scheduling else 0) as listener:
            self.url = f"http://{HOST}:{listener.getsockname()[1]}/api"
            handle = listener.fileno()
            services = "all" if scheduling else "few"
            self._process = subprocess.Popen(  # noqa: S603 - this file, by this interpreter
                [sys.executable, "-P", __file__, str(handle), services],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                pass_fds=[handle],
                start_new_session=True,
                env=_environment(self.url, self.secret, scheduling),
            )
            if scheduling:
                self.secret_file = _write_secret(listener.getsockname()[1], self.secret)

    def wait(self, seconds: float = START_SECONDS) -> bool:
        """Return whether the server came up in time."""
        stream = self._process.stdout
        if stream is None or not select.select([stream], [], [], seconds)[0]:
            return False
        return stream.readline() == READY

    def complaint(self) -> str:
        """Return the last line of the server's own words that names an error."""
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").splitlines()
        errors = [line.strip() for line in lines if "Error" in line]
        return errors[-1][:300] if errors else f"no answer within {START_SECONDS:.0f} s"

    def release(self) -> None:
        """Tell the server to end, without waiting until it has."""
        self._released = True
        if self.secret_file is not None:
            self.secret_file.unlink(missing_ok=True)
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()

    def stop(self) -> None:
        """End the server and wait, by force when it does not go; nothing more after `release`."""
        if self._released:
            return
        self.release()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._errors.close()


def _listen(port: int) -> socket.socket:
    try:
        return socket.create_server((HOST, port))
    except OSError:
        return socket.create_server((HOST, 0))


def _write_secret(port: int, secret: str) -> Path:
    """Write the secret of a schedule's server where only this user can read it."""
    path = home() / f"rote-{port}.auth"
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as stream:
        stream.write(secret)
    return path


def _environment(url: str, secret: str, scheduling: bool) -> dict[str, str]:
    """Return the server's environment; a database that the user names is used."""
    ours = {
        "PREFECT_UI_ENABLED": str(int(scheduling)),
        "PREFECT_UI_API_URL": url,
        "PREFECT_SERVER_API_AUTH_STRING": secret,
        "PREFECT_API_AUTH_STRING": secret,
        "PREFECT_SERVER_CORS_ALLOWED_ORIGINS": url.removesuffix("/api"),
        # not the terminal's silence: these words go to the file that `complaint` reads
        "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "ERROR",
    }
    if not any(name in os.environ for name in DATABASE_SETTINGS):
        ours[DATABASE_SETTINGS[0]] = f"sqlite+aiosqlite:///{database()}"
    return {**os.environ, **ours}


def _serve(handle: int, services: str) -> None:
    """Be the server process: `few` services are what a run needs, `all` what a schedule needs."""
    os.umask(0o077)  # the history names folders and settings
    running: list[uvicorn.Server] = []
    threading.Thread(target=_follow_parent, args=(running,), daemon=True).start()
    import uvicorn
    from prefect.server.api.server import create_app

    class Server(uvicorn.Server):
        """Tells the parent when it is up; one at a time creates or migrates the database."""

        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            with database().with_suffix(".lock").open("w") as lock:
                await asyncio.to_thread(fcntl.flock, lock, fcntl.LOCK_EX)
                await super().startup(sockets)
            running.append(self)
            if self.started:
                sys.stdout.buffer.write(READY)
                sys.stdout.buffer.flush()

    app = create_app(ephemeral=services == "few", final=True)
    config = uvicorn.Config(app, log_level="error", lifespan="on", timeout_graceful_shutdown=1)
    Server(config).run(sockets=[socket.socket(fileno=handle)])


def _follow_parent(running: list[uvicorn.Server]) -> None:
    """End this process when the parent's end of the pipe closes."""
    sys.stdin.buffer.read()
    for server in running:
        server.should_exit = True
    time.sleep(STOP_SECONDS if running else 0)
    os._exit(1)


if __name__ == "__main__":
    _serve(int(sys.argv[1]), sys.argv[2])
    os._exit(0)  # all is closed; taking the interpreter apart would need another second
