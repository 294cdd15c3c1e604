"""The forms of keys and tokens that give access: the prefixes that their issuers publish."""

from __future__ import annotations

import re

PRIVATE_KEY = re.compile(
    r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY-----.*?(?:-----END [^-]{0,60}-----|\Z)", re.DOTALL
)
ACCESS_KEY = re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b")
TOKEN = re.compile(
    r"\b(?:gh[pousr]_[A-Za-z0-9]{16,}|github_pat_\w{20,}|glpat-[\w-]{16,}|hf_[A-Za-z0-9]{20,}"
    r"|npm_[A-Za-z0-9]{30,}|pypi-[\w-]{30,}|[sr]k_(?:live|test)_[A-Za-z0-9]{10,}|sk-[\w-]{16,}"
    r"|xox[a-z]-[\w-]{10,}|AIza[\w-]{30,}|ya29\.[\w-]{20,}|SG\.[\w-]{16,}\.[\w-]{16,}"
    r"|eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*)"
)
BEGINNINGS = (
    r"-----BEGIN |AKIA|ASIA|gh[pousr]_|github_pat_|glpat-|hf_|npm_|pypi-|[sr]k_(live|test)_|sk-"
    r"|xox[a-z]-|AIza|ya29\.|SG\.|eyJ"
)
"""A pattern that is in every text that holds one of them, for RE2."""
