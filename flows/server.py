"""A Prefect server that lives as long as the run that started it, for users who have none of their own.

Prefect's own temporary server is not used: it is started after Prefect is imported, so its 3 s of imports come on top;
it shares the terminal's process group, so Ctrl-C kills it under the run's feet; and a run that is killed leaves it
behind. This one starts first, in a session of its own, on a socket that is bound before it starts (no port can be taken
in between), and ends when the pipe to its parent closes, however the parent ends.
"""

from __future__ import annotations

import asyncio
import fcntl
import importlib.metadata
import os
import select
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

HOST = "127.0.0.1"
UI_PORT = 4200
READY = b"ready\n"
START_SECONDS = 120.0
STOP_SECONDS = 5.0


def home() -> Path:
    """Return Prefect's folder: PREFECT_HOME, else ~/.prefect."""
    return Path(os.environ.get("PREFECT_HOME") or Path.home() / ".prefect").expanduser()


def database() -> Path:
    """Return the file that keeps the history of runs.

    Not Prefect's own `prefect.db`: this Prefect would migrate it to its version, and a server of another version that
    the user runs from another environment could then no longer open it. A new version starts a new file.
    """
    return home() / f"rote-{importlib.metadata.version('prefect')}.db"


class TemporaryServer:
    """A server process; starts on construction, is waited for with `wait`, ends with `stop` or with this process.

    scheduling: also run the scheduler and the browser pages, on Prefect's usual port when that is free.
    """

    def __init__(self, *, scheduling: bool = False) -> None:
        home().mkdir(parents=True, exist_ok=True)
        self._released = False
        listener = _listen(UI_PORT) if scheduling else _listen(0)
        self.url = f"http://{HOST}:{listener.getsockname()[1]}/api"
        self._errors = tempfile.TemporaryFile()
        with listener:
            self._process = subprocess.Popen(  # noqa: S603 - this very file, by this interpreter
                [
                    sys.executable,
                    "-P",
                    __file__,
                    str(listener.fileno()),
                    "all" if scheduling else "few",
                ],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                pass_fds=[listener.fileno()],
                start_new_session=True,
                env=_environment(self.url, scheduling),
            )

    def wait(self, seconds: float = START_SECONDS) -> bool:
        """Return whether the server came up in time."""
        stream = self._process.stdout
        readable = stream is not None and select.select([stream], [], [], seconds)[0]
        return bool(readable) and stream is not None and stream.readline() == READY

    def complaint(self) -> str:
        """Return the last line that the server wrote before it failed."""
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").strip().splitlines()
        return lines[-1][:300] if lines else f"no answer within {START_SECONDS:.0f} s"

    def release(self) -> None:
        """Tell the server to end, without waiting until it has."""
        self._released = True
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


def _environment(url: str, scheduling: bool) -> dict[str, str]:
    """Return the child's environment; a database that the user names is used."""
    named = {
        "PREFECT_SERVER_DATABASE_CONNECTION_URL",
        "PREFECT_API_DATABASE_CONNECTION_URL",
    } & os.environ.keys()
    ours = (
        {}
        if named
        else {"PREFECT_SERVER_DATABASE_CONNECTION_URL": f"sqlite+aiosqlite:///{database()}"}
    )
    ours["PREFECT_UI_ENABLED"] = str(int(scheduling))
    ours["PREFECT_UI_API_URL"] = url
    ours["PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL"] = "WARNING"  # into the file that `complaint` reads
    return {**os.environ, **ours}


def _serve(handle: int, services: str) -> None:
    """Be the server process."""
    threading.Thread(target=_follow_parent, daemon=True).start()
    import uvicorn  # noqa: PLC0415 - only the server process needs these, and they are its start-up time
    from prefect.server.api.server import create_app  # noqa: PLC0415

    class Server(uvicorn.Server):
        """Tells the parent when it is up, and lets only one server at a time create or migrate the database."""

        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            with database().with_suffix(".lock").open("w") as lock:
                await asyncio.to_thread(fcntl.flock, lock, fcntl.LOCK_EX)
                await super().startup(sockets)
            _stopping.append(self)
            sys.stdout.buffer.write(READY)
            sys.stdout.buffer.flush()

    app = create_app(ephemeral=services == "few", final=True)
    config = uvicorn.Config(app, log_level="error", lifespan="on", timeout_graceful_shutdown=1)
    Server(config).run(sockets=[socket.socket(fileno=handle)])


_stopping: list[object] = []


def _follow_parent() -> None:
    """End this process when the parent's end of the pipe closes."""
    sys.stdin.buffer.read()
    for server in _stopping:
        server.should_exit = True  # type: ignore[attr-defined]
    time.sleep(STOP_SECONDS if _stopping else 0)
    os._exit(1)


if __name__ == "__main__":
    _serve(int(sys.argv[1]), sys.argv[2])
    os._exit(0)  # everything is closed; taking the interpreter down would need another second
