from __future__ import annotations

import pytest

from pipeline.report.quotes.masks import luhn, mask
from pipeline.report.quotes.quotes import quote


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("call +49 170 1234567 today", "call [phone] today"),
        ("(415) 555-2671 or 415-555-2671, 415.555.2671", "[phone] or [phone], [phone]"),
        ("+1-212-555-0123", "[phone]"),
        ("Tel.: 030/901820-12, Fax 0049 30 90182013", "Tel.: [phone], Fax [phone]"),
        ("phone: 0171 2345678.", "phone: [phone]."),
        ("+44 (0)20 7946 0958", "[phone]"),
        ("card 4111 1111 1111 1111 exp", "card [card number] exp"),
        ("5500005555555559, 378282246310005", "[card number], [card number]"),
        ("6011-1111-1111-1117", "[card number]"),
        ("2223 0031 2200 3222", "[card number]"),
        ("Authorization: Bearer abcdef0123456789abcdef", "Authorization: Bearer [token]"),
        ("API_KEY=0123456789abcdef0123", "API_KEY=[secret]"),
        ("sk_live_4eC39HqLyjWDarjtT1zdp7dc", "[token]"),
        ("x.y+z@mail.example.co.uk;", "[e-mail];"),
        (
            "DE89 3704 0044 0532 0130 00, GB82WEST12345698765432.",
            "[account number], [account number].",
        ),
        ("\u00fcnal@\u00f6rnek.example", "[e-mail]"),
    ],
)
def test_personal_data_is_hidden(text: str, shown: str) -> None:
    """Each form of address, number and key is replaced by its name and nothing beside it."""
    assert mask(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "on 2021-03-04 at 12:30:45",
        "ISBN 978-3-16-148410-0",
        "the address 192.168.100.200 and version 1.2.3.4",
        "from 1914-1918, pages 100-200, 3.141592653589793",
        "1234567890 and 1,234,567,890",
        "4111 1111 1111 1112 fails the check of cards",
        "0000 0000 0000 0000 is no card",
        "commit 3f786850e387550fdab836ed7e6dc881de23001b",
        "token = self.next_token_id2",
        "password: see the manual",
        "a += 1200300400; b = x@y",
        "call 911, phone home, tel aviv 2020",
        "0.4111111111111111 and 41111111111111110000",
        "SKU 555-12-3456-78",
        "DE88 3704 0044 0532 0130 00 fails the check of accounts",
        "@decorator, user@host, a @ b.c",
    ],
)
def test_ordinary_text_is_left_alone(text: str) -> None:
    """Dates, versions, book numbers, hashes and sums are shown as they are."""
    assert mask(text) == text


def test_the_check_of_cards() -> None:
    """The example of the standard passes; one digit changed does not."""
    assert luhn("79927398713")
    assert not luhn("79927398710")


@pytest.mark.parametrize("start", range(len("write to ada.lovelace@example.org now")))
def test_no_half_of_an_address_is_quoted(start: int) -> None:
    """Wherever a quote begins or ends, an address that it cuts is hidden whole."""
    text = "write to ada.lovelace@example.org now"
    for shown in (quote(text, start), quote(text, 0, start)):
        assert "lovelace" not in shown
        assert "example" not in shown


def test_masks_can_be_switched_off() -> None:
    """A quote without masks is the text as it is."""
    assert quote("mail root@example.org", masked=False) == "mail root@example.org"
