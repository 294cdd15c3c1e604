import pytest

from flows.terminal import PlainProgress
from pipeline.errors import InputError
from pipeline.names import shown, shown_lines


@pytest.mark.parametrize(
    ("name", "seen"),
    [
        ("a b.jsonl", "a b.jsonl"),
        ("\u00e9\u4e2d.txt", "\u00e9\u4e2d.txt"),
        ("\x1b]0;OWNED\x07", "\\x1b]0;OWNED\\x07"),
        ("c\x9b31m", "c\\x9b31m"),
        ("x\nrote: forged", "x\\nrote: forged"),
        ("a\rb\tc", "a\\rb\\tc"),
        ("\u202egpj.exe", "\\u202egpj.exe"),
        ("a\u2028b", "a\\u2028b"),
        ("a\u00a0b\u3000c", "a\\xa0b\\u3000c"),
        ("b\udcff", "b\\xff"),
        ("[bold]b", "[bold]b"),
    ],
)
def test_a_name_is_one_line_that_acts_on_nothing(name, seen):
    """Controls, line ends, bidi marks, other spaces and bytes of no UTF-8 are written out."""
    assert shown(name) == seen
    assert seen.isprintable()
    assert shown_lines(f"{name}\n{name}").count("\n") == 1 + 2 * name.count("\n")


def test_no_part_of_an_error_acts_on_a_terminal():
    """Whoever raised it with whatever name: no control, and no line that looks like ours."""
    evil = "x\x1b[2J\nrote: forged"
    text = str(InputError(evil, where=evil, found=evil, expected=evil, fix=evil))
    assert "\x1b" not in text
    assert [line for line in text.split("\n") if line.startswith("rote:")] == []
    assert "  where: x\\x1b[2J\\nrote: forged\n" in text


def test_messages_while_stages_run_are_shown_too(capsys):
    """A line that holds a name is one line, with nothing for a terminal."""
    progress = PlainProgress()
    progress.stage("emit", 1)
    progress.message("left out: a\nrote: forged\x1b[1m")
    assert capsys.readouterr().err == "left out: a\\nrote: forged\\x1b[1m\n"
