"""Opening corpus files: their formats, and the one place that translates engine errors."""

from __future__ import annotations

import errno
import lzma
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from pipeline.config.sections import InputConfig
from pipeline.errors import CorruptFile, TransientIOError
from pipeline.storage.lent import held

FORMATS = {
    ".parquet": "parquet",
    ".pq": "parquet",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".jsonlines": "jsonl",
    ".json": "jsonl",
    ".arrow": "arrow",
    ".ipc": "arrow",
    ".feather": "arrow",
    ".lance": "lance",  # files of a table's rows, each part of one
    ".csv": "csv",
    ".tsv": "csv",
    ".txt": "text",
    ".md": "text",
    ".text": "text",
    ".log": "text",
    # records of their own kind, each read as a line of JSON: `archive_lines`
    ".tar": "jsonl",
    ".warc": "jsonl",
    ".wet": "jsonl",
    ".xml": "jsonl",
}
TOKENS = frozenset({".bin", ".npy", ".ds"})  # arrays of token ids, where they are asked for
INDEXES = (".idx", ".ds.index")  # beside them
_CODE = """
.adb .ads .asm .awk .bash .bat .c .cc .cfg .clj .cljs .cmake .coffee .cpp .cs .css .cu .cuh .cxx
.d .dart .el .erl .ex .exs .f .f90 .for .fs .go .gradle .graphql .groovy .h .hh .hpp .hs .html
.hxx .ini .java .jl .js .jsx .kt .kts .less .lisp .lua .m .mjs .ml .mli .mm .nim .nix .pas .php
.pl .pm .proto .ps1 .py .pyi .pyx .r .rb .rkt .rs .rst .s .sass .scala .scm .scss .sh .sol .sql
.sv .swift .tcl .tex .tf .toml .ts .tsx .v .vb .vhd .vhdl .vim .vue .yaml .yml .zig .zsh
"""
CODE = frozenset(_CODE.split())
DUMPS = "pages-"  # in the name of an XML file that is one of Wikipedia's; others are not read
CODECS = {
    ".gz": "gzip",
    ".zst": "zstd",
    ".bz2": "bz2",
    ".lz4": "lz4",
    ".br": "brotli",
    ".xz": "xz",
}
COMPRESSIBLE = frozenset({"jsonl", "csv", "text"})
TRANSIENT = frozenset({errno.EAGAIN, errno.EINTR, errno.ESTALE, errno.ETIMEDOUT, errno.ECONNRESET})
MAGIC = {
    b"\x1f\x8b": "gzip",
    b"\x28\xb5\x2f\xfd": "Zstandard",
    b"\xfd7zXZ\0": "xz",
    b"BZh91AY": "bzip2",
    b"\x04\x22\x4d\x18": "LZ4",
    b"PAR1": "Parquet",
    b"ARROW1": "Arrow",
}
OTHER_UNICODE = {b"\xff\xfe": "UTF-16 or UTF-32", b"\xfe\xff": "UTF-16", b"\0\0\xfe\xff": "UTF-32"}


@dataclass(frozen=True)
class Further:
    """What is read beside the known suffixes.

    Attributes:
        texts: suffixes of plain text, in lower case.
        tokens: whether arrays of token ids are read.
    """

    texts: frozenset[str] = frozenset()
    tokens: bool = False


NOTHING = Further()


def further(config: InputConfig) -> Further:
    """Return what a configuration asks to read beside the known suffixes."""
    named = {name.lower() for name in config.suffixes if name != "code"}
    return Further(
        frozenset(named | (CODE if "code" in config.suffixes else set())), bool(config.tokens)
    )


def file_format(name: str, more: Further = NOTHING) -> str | None:
    """Return the format that a file's suffix stands for, or None when rote does not read it."""
    inner, codec = _suffixes(name)
    found = FORMATS.get(inner)
    if found is None and inner in more.texts:
        found = "text"
    if found is None and more.tokens and inner in TOKENS:
        found = "tokens"
    if inner == ".xml" and DUMPS not in name.lower():
        return None
    return None if codec and found not in COMPRESSIBLE else found


def known_suffixes() -> str:
    """Return the suffixes that rote reads, for messages."""
    packed = [suffix for suffix, format_ in FORMATS.items() if format_ in COMPRESSIBLE]
    return f"{' '.join(FORMATS)}; behind {' '.join(packed)} also {' '.join(CODECS)}"


def suffix_of(path: str) -> str:
    """Return the suffix that tells a file's format, in lower case."""
    return _suffixes(path)[0]


def is_packed(path: str) -> bool:
    """Tell whether a file's name says that it is compressed."""
    return bool(_suffixes(path)[1])


def open_stream(path: str) -> pa.NativeFile:
    """Open a JSON Lines, CSV or packed text file, unpacked.

    Raises:
        CorruptFile: When the first bytes are those of another format than the name says.
    """
    codec = CODECS.get(_suffixes(path)[1])
    with Path(path).open("rb") as stream:
        start = stream.read(8)
    if codec is not None:
        if not start:
            raise CorruptFile("A compressed file is empty.", where=path, expected=f"{codec} data")
        if codec == "xz":  # which Arrow does not know
            return pa.PythonFile(lzma.open(path), mode="r")
        return pa.CompressedInputStream(pa.OSFile(path, "rb"), codec)
    refuse_other_unicode(start, path)
    for magic, kind in MAGIC.items():
        if start.startswith(magic):
            raise CorruptFile(
                "A file is not what its name says.",
                where=path,
                found=f"{kind} data",
                fix="rename it",
            )
    return pa.OSFile(path, "rb")


def refuse_other_unicode(start: bytes, path: str) -> None:
    """Refuse a file whose first bytes say that it is Unicode, but not UTF-8.

    Args:
        start: its first bytes, unpacked.
        path: the file.

    Raises:
        CorruptFile: When they do.
    """
    for mark, kind in OTHER_UNICODE.items():
        if start.startswith(mark):
            raise CorruptFile(
                "A file is not UTF-8.",
                where=path,
                found=f"{kind}, by its byte order mark",
                expected="UTF-8",
                fix="convert it: iconv -f UTF-16 -t UTF-8, or leave it out: --skip-bad-files",
            )


@contextmanager
def reading(path: str) -> Iterator[None]:
    """Translate what pyarrow and the system raise about a corpus file into the pipeline's errors.

    A file that comes and goes is there meanwhile: no byte of a corpus may be read elsewhere.
    A damaged length asks for absurd memory, so a failed allocation counts as damage too.

    Raises:
        ArrowCancelled: When the user interrupts: it goes through as it is.
        CorruptFile: When the file cannot be read.
        TransientIOError: When the system reports an error that may pass.
    """
    with held(path):
        try:
            yield
        except pa.ArrowCancelled:
            raise
        except (pa.ArrowException, OSError, EOFError, UnicodeDecodeError, lzma.LZMAError) as error:
            if isinstance(error, OSError) and error.errno in TRANSIENT:
                raise TransientIOError(
                    "Reading a file failed.", where=path, found=_first_line(error)
                ) from error
            raise CorruptFile(
                "A file cannot be read.",
                where=path,
                found=_first_line(error),
                fix="repair or remove the file, or leave it out: --skip-bad-files",
            ) from error


def _first_line(error: BaseException) -> str:
    """Return the first line of what an error says."""
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno)
    return str(error).partition("\n")[0][:200]


def _suffixes(name: str) -> tuple[str, str]:
    """Return the format suffix and the compression suffix (or "") of a file name, in lower case."""
    path = Path(name.lower())
    if path.suffix == ".tgz":
        return ".tar", ".gz"
    if path.suffix in CODECS:
        return Path(path.stem).suffix, path.suffix
    return path.suffix, ""
