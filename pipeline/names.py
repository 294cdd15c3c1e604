"""Names that are not ours as they may stand on a terminal: of files, columns, ids, sources.

A name may hold what a terminal obeys or what makes a line that looks like ours.
"""

from __future__ import annotations


def shown(name: str) -> str:
    r"""Return a name on one line, with what cannot be seen or acts on a terminal escaped.

    That is what Python calls not printable: controls, bidi marks, halves, characters that Unicode
    has not named, and every space but the common one, which it would be taken for. A byte of a
    file name that is no UTF-8 is written `\xff`, other characters as Python does.
    """
    if name.isprintable():
        return name
    return "".join(_escaped(character) for character in name)


def shown_lines(text: str) -> str:
    """Return a text of several lines, each as `shown` writes it."""
    return "\n".join(shown(line) for line in text.split("\n"))


def meanings(name: str) -> tuple[tuple[str, ...], str | None]:
    """Return the ids that a typed name of a row may be, and the SHARD#ROW that it may be.

    `id:` or `row:` before it says which is meant. An id may itself begin like that, so such a name
    is an id too.
    """
    if name.startswith("row:"):
        return (name,), name.removeprefix("row:")
    if name.startswith("id:"):
        return (name, name.removeprefix("id:")), None
    return (name,), name


def _escaped(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # how Python holds such a byte
        return f"\\x{code - 0xDC00:02x}"
    if character.isprintable():
        return character
    return character.encode("unicode_escape").decode()
