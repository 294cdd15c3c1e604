"""A tokenizer that somebody stored: `tokenizer.json` of the tokenizers library."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.errors import ConfigError

if TYPE_CHECKING:
    from tokenizers import Tokenizer


def read_tokenizer(path: Path, where: str) -> Tokenizer:
    """Return a stored tokenizer, set so that no characters of a text become a special token.

    Args:
        path: a `tokenizer.json`.
        where: what an error names as the place of the file.

    Raises:
        ConfigError: when the file is no tokenizer.
    """
    from tokenizers import Tokenizer

    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises nothing narrower
        raise ConfigError(
            "The tokenizer cannot be read.",
            where=f"{where}: {path}",
            found=type(error).__name__,
            expected="a tokenizer.json of the tokenizers library",
            fix="name another",
        ) from error
    tokenizer.no_truncation()
    tokenizer.no_padding()
    tokenizer.encode_special_tokens = True
    return tokenizer
