"""The errors of the pipeline: one small tree, each with attributes, each surviving pickling.

A message has four parts: what happened, where, found against expected, and what to do. It never
quotes document text.
"""

from __future__ import annotations

from pipeline.names import shown, shown_lines


class PipelineError(Exception):
    """Any error that rote itself reports; `str(error)` is the whole message for a person.

    Empty parts are left out of the message.

    Attributes:
        exit_code: of the command line.
        what: the fault in a sentence.
        where: file, row, column or option.
        found: what is there.
        expected: what should be there.
        fix: what to do next.
    """

    exit_code = 1

    def __init__(
        self, what: str, *, where: str = "", found: str = "", expected: str = "", fix: str = ""
    ) -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.found = found
        self.expected = expected
        self.fix = fix

    def __str__(self) -> str:
        named = (
            ("where", shown(self.where)),
            ("found", _indented(self.found)),
            ("expected", _indented(self.expected)),
            ("to do", _indented(self.fix)),
        )
        lines = [f"  {name}: {text}" for name, text in named if text]
        return "\n".join([_indented(self.what), *lines])

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (type(self), dict(self.__dict__)))


def _indented(text: str) -> str:
    """Return a text that cannot act on a terminal, later lines of it further in."""
    return shown_lines(text).replace("\n", "\n    ")


def _rebuild(kind: type[PipelineError], state: dict[str, str]) -> PipelineError:
    """Return the error that was pickled: exceptions with keyword arguments do not pickle alone."""
    return kind(**state)


class ConfigError(PipelineError):
    """The configuration or the command line asks for something that cannot be."""

    exit_code = 2


class InputError(PipelineError):
    """The corpus cannot be used as it is."""


class SchemaMismatch(InputError):
    """A column is missing or has a type that cannot be read as asked."""


class CorruptFile(InputError):
    """A file cannot be read: truncated, damaged, or not what its name says."""


class RunFolderError(InputError):
    """The run folder is not ours, is locked, or was written by another version."""


class IntegrityError(PipelineError):
    """A stage's output breaks its own contract.

    The reason is a bug or a damaged run folder, never the user's data.
    """


class OutOfMemory(PipelineError):
    """The system gave no more memory."""


class TransientIOError(PipelineError):
    """Reading or writing failed in a way that may pass; the only error that is tried again."""
