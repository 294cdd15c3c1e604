from __future__ import annotations

import pytest

from pipeline.report.quotes.masks import mask
from pipeline.report.quotes.quotes import label, quote, shorten, visible


def test_control_bidi_and_zero_width_characters_are_written_out() -> None:
    """What a reader could not see, or what would turn the line around, becomes visible."""
    shown = visible("a\x00b\x1b[31m\u202eevil\u202c\u200bz\ufeff\x7f\x85")
    assert shown == "a␀b␛[31m⟨U+202E⟩evil⟨U+202C⟩⟨U+200B⟩z⟨U+FEFF⟩⟨U+007F⟩⟨U+0085⟩"


def test_white_space_becomes_single_spaces() -> None:
    """A quote is one line."""
    assert visible("  one\r\n\ttwo\u2028three\u3000four ") == "one two three four"


def test_joiners_stay_for_scripts_and_emoji() -> None:
    """A family emoji and a Persian word with a joiner come through unchanged."""
    assert visible("\U0001f468\u200d\U0001f469\u200d\U0001f467 می\u200cشود") == (
        "\U0001f468\u200d\U0001f469\u200d\U0001f467 می\u200cشود"
    )


def test_a_pile_of_marks_is_cut_to_four() -> None:
    """Stacked combining marks cannot paint over other lines."""
    assert visible("e" + "\u0301" * 500 + "x") == "e" + "\u0301" * 4 + "x"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("write to ada.lovelace+x@mail.example.org now", "write to [e-mail] now"),
        ("key AKIAIOSFODNN7EXAMPLE end", "key [key] end"),
        ("ghp_0123456789abcdefghijABCDEFGHIJ012345", "[token]"),
        ("https://user:hunter2@example.org/x", "https://[credentials]@example.org/x"),
        ('password = "correct-horse"', 'password = "[secret]"'),
        (
            "-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----\nok",
            "[private key]\nok",
        ),
        ("-----BEGIN PRIVATE KEY-----\nMIIEcut off", "[private key]"),
        ("MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7 x", "[long token] x"),
        ("token = self.next_token", "token = self.next_token"),
        ("a plain sentence, 3 > 2 @ noon", "a plain sentence, 3 > 2 @ noon"),
    ],
)
def test_addresses_and_secrets_are_masked(text: str, shown: str) -> None:
    """Each kind of secret is replaced by its name, and ordinary text is left alone."""
    assert mask(text) == shown


def test_a_quote_is_cut_with_an_ellipsis() -> None:
    """At most `limit` characters are shown, the last one an ellipsis."""
    assert quote("word " * 100, limit=11) == "word word…"
    assert quote("w" * 100, limit=11) == "wwwwwwwwww…"
    assert quote("short") == "short"


def test_a_cut_never_parts_a_character_from_its_marks() -> None:
    """The letter whose accent would be cut off goes too."""
    assert shorten("abcde\u0301\u0302fgh", 7) == "abcd…"


def test_a_byte_range_that_cuts_a_character_drops_the_half() -> None:
    """Bytes 1 to 6 of three three-byte characters hold one whole character."""
    assert quote("漢字語", 1, 6) == "字"


def test_a_secret_at_the_cut_does_not_slip_through() -> None:
    """An address that the looked-at piece would cut in half is dropped, not shown in part."""
    limit = 10
    text = " " * (limit * 32 - 6) + "secretive.person@example.org tail"
    assert quote(text, limit=limit) == "…"


def test_a_label_keeps_an_id_readable_and_short() -> None:
    """Ids come from users: one line, no control characters, at most 120 characters."""
    assert label("a\nb\x00") == "a b␀"
    assert len(label("x" * 10_000)) == 120
