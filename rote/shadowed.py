"""A look at the packages beside `rote`: others of the same names must not be in front of them."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

OURS = ("pipeline", "flows", "schemas", "sql")


def refuse_others() -> None:
    """Refuse to begin where another package has the name of one of ours.

    Raises:
        ImportError: One has; the message says which, where, and what to do.
    """
    home = Path(__file__).resolve().parents[1]
    for name in OURS:
        place = _place(name)
        if place is not None and place.parent != home:
            message = (
                f"Another package named `{name}` is in front of the one that rote needs.\n"
                f"  where: {place}\n"
                f"  expected: {home / name}\n"
                "  to do: run Python from another folder, take this one out of PYTHONPATH, or "
                "rename the package"
            )
            if Path(sys.argv[0]).name == "rote":  # the command: no traceback
                sys.exit(f"rote: {message}")
            raise ImportError(message, name=name, path=str(place))


def _place(name: str) -> Path | None:
    """Return the folder or file that a top-level name is imported from; None without one."""
    loaded = sys.modules.get(name)
    spec = getattr(loaded, "__spec__", None) if loaded is not None else find_spec(name)
    if spec is None or not (spec.origin or spec.submodule_search_locations):
        return None
    if spec.submodule_search_locations:
        return Path(next(iter(spec.submodule_search_locations))).resolve()
    return Path(str(spec.origin)).resolve()
