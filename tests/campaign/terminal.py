"""Commands on a pseudo-terminal, and what may not reach it."""

import fcntl
import functools
import os
import pty
import re
import resource
import sys
import termios
import threading
from pathlib import Path

from tests.campaign.case import Found
from tests.e2e.command import Ended, rote

ESCAPE = "\x1b]0;OWNED\x07\x1b[2J"
FORGED = "\nrote: forged\r\u202e"
MOST_BYTES = 12 << 30
"""Address space of a command: what reads a file without end fails there, not on the machine."""
OWN = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
EVIL = f"a{ESCAPE}{FORGED}[/bold]"
"""What a terminal obeys, a line that looks like ours, and markup that is not closed."""


def on_terminal(*words: object, seconds: float) -> Ended:
    """Run a command with a terminal as its three streams; what reached it is `out` and `err`.

    Raises:
        Found: a control of someone else reached it, or the command did not end in time.
    """
    ours, theirs = pty.openpty()
    seen = bytearray()

    def read() -> None:
        while True:
            try:
                piece = os.read(ours, 65_536)
            except OSError:
                return
            seen.extend(piece)
            if not piece:
                return

    reader = threading.Thread(target=read)
    reader.start()
    try:
        ended = rote(*words, before=functools.partial(take, os.ttyname(theirs)), after=seconds)
    finally:
        os.close(theirs)
        reader.join()
        os.close(ours)
    said = seen.decode(errors="replace").replace("\r\n", "\n")
    if ended.code == -9:
        raise Found("slow", f"still ran after {seconds:.0f} s: {said[-300:]!r}")
    require_tame(said)
    plain = OWN.sub("", said)  # of the bar, which is rote's own
    return Ended(ended.code, plain, plain)


def take(terminal: str) -> None:
    """Make a terminal the streams of this process."""
    resource.setrlimit(resource.RLIMIT_AS, (MOST_BYTES, MOST_BYTES))
    os.setsid()
    handle = os.open(terminal, os.O_RDWR)
    fcntl.ioctl(handle, termios.TIOCSCTTY, 0)
    os.environ["TERM"] = "xterm"
    for number in range(3):
        os.dup2(handle, number)
    # the streams of before have buffers and places of another kind of file
    sys.stdin = os.fdopen(0, encoding="utf-8", closefd=False)
    sys.stdout = os.fdopen(1, "w", encoding="utf-8", buffering=1, closefd=False)
    sys.stderr = os.fdopen(2, "w", encoding="utf-8", buffering=1, closefd=False)


def require_tame(said: str) -> None:
    """Require that what reached a terminal has no control of a stranger, and no forged line.

    Raises:
        Found: it has.
    """
    for control in ("\x1b]", "\x07", "\x1b[2J", "\x9b", "\u202e"):
        if control in said:
            at = said.index(control)
            raise Found(
                "wrong", f"{control!r} reached the terminal: {said[max(0, at - 80) : at + 40]!r}"
            )
    if re.search(r"^rote: forged", said.replace("\r", "\n"), re.MULTILINE):
        raise Found("wrong", "a forged line reached the terminal")


def listing(folder: Path) -> dict[str, bytes]:
    """Return the plain files below a folder with their bytes."""
    return {
        str(path): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.is_symlink()
    }
