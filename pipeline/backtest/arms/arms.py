"""The arms of a back-test; there are none while they are moved to the run's own rows."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.errors import ConfigError


def require_arms(names: Sequence[str]) -> None:
    """Refuse arms that do not exist.

    Raises:
        ConfigError: When a name is no arm's.
    """
    if names:
        raise ConfigError(
            "There is no such arm of the back-test.",
            where=f"--arms {','.join(names)}",
            expected="no arms",
            fix="leave --arms out",
        )
