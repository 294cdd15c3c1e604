"""The command `rote`: it begins here, where a foreign package of our names is refused first."""

from __future__ import annotations

from typing import NoReturn


def main() -> NoReturn:
    """Run one command and exit."""
    from flows.cli import main as begin

    begin()
