"""Personal data as a report may show it: enough to find it again by hand, too little to use."""

from __future__ import annotations

STARS = "***"
PREFIX = 4  # characters of a key, which are its issuer's


def value_mask(kind: str, value: str) -> str:
    """Return a mask of a value: of an e-mail address `j***@e***.org`, of others less.

    Args:
        kind: as the table `personal` has it.
        value: the personal data itself.
    """
    if kind == "email":
        local, _, domain = value.rpartition("@")
        return f"{local[:1]}{STARS}@{domain[:1]}{STARS}.{domain.rpartition('.')[2]}"
    if kind == "phone":
        digits = [sign for sign in value if sign.isdigit()]
        return f"{'+' if value.startswith('+') else ''}{digits[0]}{STARS}{digits[-1]}"
    if kind in ("iban", "ip"):
        return f"{value[:2]}{STARS}"
    return f"{value[:PREFIX]}{STARS}" if kind == "key" else f"{STARS}{value[-1:]}"
