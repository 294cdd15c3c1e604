"""The parts of rote that are installed on their own, and the message when one is missing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec

from pipeline.errors import ConfigError

PARTS = {
    "score": ("torch", "transformers", "tokenizers", "safetensors", "sklearn"),
    "prefect": ("prefect", "fastapi", "sqlalchemy"),
    "storage": ("obstore", "fsspec"),
    "ray": ("ray",),
    "datasketch": ("datasketch",),
    "formats": ("warcio",),
    "tables": ("deltalake", "pyiceberg"),
    "lance": ("lance",),
    "personal": ("phonenumbers", "stdnum"),
}
"""The packages of each part, by the name after `rote` in `pip install 'rote[score]'`."""

APART = ("ray", "lance")
"""Parts that are not in `rote[all]`: they are large, and few need them."""

USES = {
    "score": "proxies, forecasts and loss masks",
    "prefect": "flows and schedules",
    "ray": "units of work on a cluster",
    "storage": "corpora and run folders in object storage",
    "datasketch": "signatures for datasketch",
    "formats": "web archives (WARC, WET)",
    "tables": "tables of Delta Lake and Iceberg",
    "lance": "Lance tables",
    "personal": "personal data",
}


def has(part: str) -> bool:
    """Tell whether a part is installed; nothing is imported."""
    return all(find_spec(name) is not None for name in PARTS[part])


def require(part: str) -> None:
    """Refuse to begin what needs a part that is not installed.

    Raises:
        ConfigError: It is not.
    """
    missing = [name for name in PARTS[part] if find_spec(name) is None]
    if missing:
        raise _missing(part, missing[0])


@contextmanager
def parts() -> Iterator[None]:
    """Tell which part to install where a package of one is missing.

    Raises:
        ConfigError: One is missing.
        ModuleNotFoundError: A package that is of no part.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        part = next((part for part, names in PARTS.items() if package in names), None)
        if part is None:
            raise
        raise _missing(part, package) from error


def _missing(part: str, package: str) -> ConfigError:
    every = "" if part in APART else ", or 'rote[all]' for every part"
    return ConfigError(
        f"The part of rote for {USES[part]} is not installed.",
        where=f"rote[{part}]",
        found=f"no package {package}",
        fix=f"pip install 'rote[{part}]'{every}",
    )
