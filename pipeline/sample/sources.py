"""Natural text of the machine: files are read as text, never run or imported; any may be absent.

Relatives should be drawn together, or a sample of a few megabytes would hold half of each pair:
files are ordered by the hash of their name, so that a vendored copy and its original, or two
versions of one module, come at the same time. Names that many folders share (`__init__.py`,
`copyright`) are ordered with the name of their folder.
"""

from __future__ import annotations

import ast
import gzip
import os
import re
import site
import sysconfig
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline.sample.documents import SampleDocument, rank

FILE_BYTES = 100_000  # longer files are passed over: mostly generated tables
LEAST_BYTES = 40
COMMON = 6  # a name that more files than this share is no sign of kinship
CODE = (".py", ".pyi")
TEXT = (".md", ".rst", ".txt")
LICENCE = re.compile(r"(licen[cs]e|copying|notice)", re.IGNORECASE)
# The sample must not change with rote's own code.
OURS = frozenset({"pipeline", "flows", "sql", "schemas", "rote"})
# Shares of the natural text in percent; what one cannot give is taken from the others in turn.
SHARES = {
    "stdlib": 40,
    "packages": 22,
    "topics": 6,
    "licences": 8,
    "descriptions": 8,
    "debian": 11,
    "manuals": 5,
}


@dataclass(frozen=True)
class Roots:
    """The folders to look in; those that do not exist give nothing.

    Attributes:
        stdlib: Python's own modules.
        packages: installed packages.
        documents: documentation of the system's packages.
        licences: licences of the system.
        manuals: manual pages.
    """

    stdlib: Path
    packages: tuple[Path, ...]
    documents: Path
    licences: Path
    manuals: Path

    @classmethod
    def here(cls) -> Roots:
        """Return the folders of the running Python and of the system."""
        named = sysconfig.get_paths()
        packages = (named["purelib"], named["platlib"], *site.getsitepackages())
        share = Path("/usr/share")
        return cls(
            stdlib=Path(named["stdlib"]),
            packages=tuple(dict.fromkeys(Path(folder).resolve() for folder in packages)),
            documents=share / "doc",
            licences=share / "common-licenses",
            manuals=share / "man",
        )


@dataclass(frozen=True)
class _File:
    """A file that may become a document.

    Attributes:
        path: where it is.
        name: group/path, the id and source of the document.
        package: the software that it came with.
    """

    path: Path
    name: str
    package: str | None


def natural(roots: Roots, budget: int, seed: int) -> list[SampleDocument]:
    """Return documents of about `budget` bytes of text together, less when the machine has less.

    Each source fills its share; then those that have more take turns until the budget is filled.
    """
    supplies = {group: _ordered(files, seed) for group, files in _files(roots).items()}
    readers = {group: map(_read, files) for group, files in supplies.items()}
    streams: dict[str, Iterator[SampleDocument]] = {
        group: (document for document in reader if document is not None)
        for group, reader in readers.items()
    }
    streams["topics"] = iter(sorted(_topics(roots.stdlib), key=lambda d: rank(seed, d.id)))
    chosen: list[SampleDocument] = []
    for group, share in SHARES.items():
        chosen += _take(streams[group], budget * share // 100)
    left = budget - sum(document.text_bytes for document in chosen)
    chosen += _take(_in_turn([streams[group] for group in SHARES]), left)
    return _distinct(chosen)


def _take(stream: Iterator[SampleDocument], budget: int) -> Iterator[SampleDocument]:
    """Yield documents while they fit; stop at a 99% fill or after 30 that are too large."""
    left, misses = budget, 0
    while left > budget // 100 and misses < 30:
        document = next(stream, None)
        if document is None:
            return
        if document.text_bytes > left:
            misses += 1
            continue
        left -= document.text_bytes
        yield document


def _in_turn(streams: list[Iterator[SampleDocument]]) -> Iterator[SampleDocument]:
    """Yield documents of the streams by turns, until all are empty."""
    while streams:
        for stream in list(streams):
            document = next(stream, None)
            if document is None:
                streams.remove(stream)
            else:
                yield document


def _distinct(documents: list[SampleDocument]) -> list[SampleDocument]:
    """Return the documents, numbered after the id where a package is installed in two folders."""
    seen: Counter[str] = Counter()
    out = []
    for document in documents:
        seen[document.id] += 1
        again = seen[document.id]
        out.append(replace(document, id=f"{document.id}~{again}") if again > 1 else document)
    return out


def _files(roots: Roots) -> dict[str, list[_File]]:
    """Return the files of each group of sources."""
    groups: dict[str, list[_File]] = {group: [] for group in SHARES if group != "topics"}
    for path in _walk(roots.stdlib, skip=("site-packages", "dist-packages", "pydoc_data")):
        group = "licences" if LICENCE.match(Path(path).name) else "stdlib"
        if path.endswith((*CODE, *TEXT)):
            groups[group].append(_file(roots.stdlib, path, group, "python", prefix="python/"))
    for root in roots.packages:
        for path in _walk(root, skip=()):
            _add_package_file(groups, root, path)
    for path in _walk(roots.documents, skip=("examples",)):
        if re.search(r"(copyright|README|NEWS|changelog|TODO|AUTHORS|FAQ|\.txt)[^/]*$", path):
            groups["debian"].append(_file(roots.documents, path, "debian", path.split("/", 1)[0]))
    for path in _walk(roots.licences, skip=()):
        groups["licences"].append(_file(roots.licences, path, "licences", None, prefix="common/"))
    for path in _walk(roots.manuals, skip=()):
        if re.match(r"man[1-8]/", path):
            groups["manuals"].append(_file(roots.manuals, path, "manuals", None))
    return groups


def _add_package_file(groups: dict[str, list[_File]], root: Path, path: str) -> None:
    """Add a file of a package to its group, unless it is of rote or no text."""
    top, _, rest = path.partition("/")
    package = re.sub(r"(-[^-]*)?\.(dist|egg)-info$", "", top.removesuffix(".py"))
    if package.split("-")[0] in OURS or top.startswith("__editable__"):
        return
    name = path.rsplit("/", 1)[-1]
    if LICENCE.match(name) and not name.endswith(CODE):
        groups["licences"].append(_file(root, path, "licences", package))
    elif top.endswith(".dist-info"):
        if rest == "METADATA":
            groups["descriptions"].append(_File(root / path, f"descriptions/{package}", package))
    elif name.endswith((*CODE, *TEXT)):
        groups["packages"].append(_file(root, path, "packages", package))


def _file(root: Path, path: str, group: str, package: str | None, prefix: str = "") -> _File:
    """Return a file with its name in the sample."""
    named = path if group == "stdlib" else prefix + path
    return _File(root / path, f"{group}/{named}", package)


def _walk(root: Path, skip: tuple[str, ...]) -> Iterator[str]:
    """Yield the files under a folder as sorted paths relative to it, links and caches left out."""
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(f for f in folders if f not in skip and f != "__pycache__")
        inside = Path(folder).relative_to(root).as_posix()
        for name in sorted(names):
            path = name if inside == "." else f"{inside}/{name}"
            if path.isascii() and path.isprintable() and not (root / path).is_symlink():
                yield path


def _ordered(files: list[_File], seed: int) -> Iterable[_File]:
    """Return files in the order of the hash of their names, relatives together."""
    shared = Counter(file.path.name for file in files)

    def key(file: _File) -> tuple[int, str]:
        last = file.name.split("/")
        kin = last[-1] if shared[last[-1]] <= COMMON else "/".join(last[-2:])
        return rank(seed, kin), file.name

    return sorted(files, key=key)


def _read(file: _File) -> SampleDocument | None:
    """Return the file as a document; None if unreadable, not UTF-8, too long or near empty."""
    try:
        data = _bytes(file.path)
        text = data.decode()
    except (OSError, EOFError, zlib.error, UnicodeDecodeError):
        return None
    group = file.name.split("/", 1)[0]
    if group == "descriptions":
        text = text.partition("\n\n")[2]
    if len(data) > FILE_BYTES or "\0" in text or len(text.strip()) < LEAST_BYTES:
        return None
    kind = "code" if file.path.suffix in CODE else "prose"
    return SampleDocument(file.name, text, file.name, file.package, (kind, group))


def _bytes(path: Path) -> bytes:
    """Return the content, unpacked, and at most one byte more than is allowed."""
    if path.suffix == ".gz":
        with gzip.open(path) as packed:
            return packed.read(FILE_BYTES + 1)
    with path.open("rb") as plain:
        return plain.read(FILE_BYTES + 1)


def _topics(stdlib: Path) -> Iterator[SampleDocument]:
    """Yield Python's help topics: the string literals of one dictionary, parsed and not run."""
    try:
        tree = ast.parse((stdlib / "pydoc_data" / "topics.py").read_bytes())
    except (OSError, SyntaxError, ValueError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Dict):
            for key, value in zip(node.keys, node.values, strict=True):
                name, text = _literal(key), _literal(value)
                if name and len(text) >= LEAST_BYTES:
                    yield SampleDocument(
                        f"topics/{name}", text, f"topics/{name}", "python", ("prose", "topics")
                    )


def _literal(node: ast.expr | None) -> str:
    """Return the string of a literal, empty for anything else."""
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""
