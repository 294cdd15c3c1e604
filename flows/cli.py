"""The command `rote`: arguments in, one exit code and at most one message out.

Nothing that takes long is imported before `main` begins, so that Ctrl-C is heard from the start.
"""

from __future__ import annotations

import atexit
import gc
import os
import shlex
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import NoReturn

OK, FAILED, INTERRUPTED = 0, 1, 130
TRACE = "ROTE_TRACEBACK"
ROOT = Path(__file__).resolve().parents[1]


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run one command and exit: 0 ok, 1 a problem of the data or a strict alarm, 2 usage.

    130 after Ctrl-C.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    gc.disable()  # what imports make stays; to look for garbage in it took a tenth of a small scan
    _open_streams()

    def stop(_number: int, _frame: FrameType | None) -> NoReturn:
        _stopped(given)

    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, stop)
    try:
        code = _told(given)
        sys.stdout.flush()
    except KeyboardInterrupt:
        _stopped(given)
    except BrokenPipeError:  # the reader of our output has gone, as in `rote explain ... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = OK
    sys.exit(code)


def interruptible() -> None:
    """Let Ctrl-C raise KeyboardInterrupt and collect garbage from now on: imports are done.

    Within an import the exception may be swallowed or turned into another; until then the process
    ends at once. In what imports made no garbage is looked for.
    """
    gc.freeze()
    gc.enable()
    atexit.register(gc.unfreeze)  # else libraries tell what is left at the end as a leak
    if signal.getsignal(signal.SIGINT) not in {signal.SIG_IGN, signal.default_int_handler, None}:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _told(given: list[str]) -> int:
    """Run one command; write its error, if there is one, and return the exit code."""
    from pipeline.engine.system import require_address_space, writing
    from pipeline.errors import PipelineError
    from pipeline.installed import parts

    try:
        with writing(Path()):
            require_address_space()
            from flows.command_line import run

            try:
                with parts():
                    return run(given)
            except ImportError as error:
                require_address_space(error)
                raise
    except PipelineError as error:
        sys.stderr.write(f"rote: {error}\n")
        return error.exit_code
    except (KeyboardInterrupt, ConnectionError):
        raise
    except Exception as error:
        if os.environ.get(TRACE):
            raise
        sys.stderr.write(f"rote: {fault(error)}\n")
        return FAILED


def fault(error: Exception) -> Exception:
    """Return the message for an error that nobody foresaw; its own words may quote a document."""
    import traceback

    from pipeline.errors import PipelineError

    frames = list(traceback.extract_tb(error.__traceback__))
    ours = [frame for frame in frames if Path(frame.filename).is_relative_to(ROOT)]
    last = (ours or frames)[-1]
    return PipelineError(
        "This is a fault in rote itself; what is finished stays.",
        where=f"{last.filename}, line {last.lineno}, in {last.name}",
        found=type(error).__name__,
        fix=f"report it with these lines; {TRACE}=1 shows more, which may quote the corpus",
    )


def _stopped(given: list[str]) -> NoReturn:
    """End the process now, without waiting for threads in the middle of a unit."""
    from flows.notify import without_secret
    from flows.runners import leave

    again = shlex.join(["rote", *without_secret(given)])
    sys.stderr.write(f"\nStopped; what is finished stays. To go on from here: {again}\n")
    leave(INTERRUPTED)


def _open_streams() -> None:
    """Give a process that was started without them a place for its output, and no crash by a name.

    Else the first file that it opens would be its standard output.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
    if sys.stdout is None or sys.stderr is None:
        nowhere = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - for the process
        sys.stdout, sys.stderr = sys.stdout or nowhere, sys.stderr or nowhere
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
