"""What a schedule tells a webhook, and that its address is told to nobody."""

import pytest

from flows.notify import event_of, in_words, post, require_url, without_secret
from pipeline.errors import ConfigError
from tests import webhook

SECRET = "T0P-S3CRET"  # noqa: S105 - of this test


@pytest.mark.parametrize(
    ("state", "alarms", "former", "expected"),
    [
        ("COMPLETED", 0, None, "success"),
        ("COMPLETED", 0, "COMPLETED", None),
        ("COMPLETED", 0, "FAILED", "success"),
        ("COMPLETED", 0, "CRASHED", "success"),
        ("COMPLETED", 2, "COMPLETED", "alarm"),
        ("COMPLETED", 2, None, "alarm"),
        ("FAILED", 0, "COMPLETED", "failure"),
        ("CRASHED", 0, "FAILED", "failure"),
    ],
)
def test_alarms_failures_and_the_first_success_are_told(state, alarms, former, expected):
    """A success after a success is no news."""
    assert event_of(state, alarms, former) == expected


def test_a_notification_is_a_sentence():
    """With the first alarm, or with what Prefect says of a failure."""
    assert in_words("alarm", "corpus run 2", ["One.", "Two."], "") == (
        "corpus run 2 has raised an alarm. One. (and 1 more)"
    )
    assert in_words("failure", "corpus run 2", [], "Why.") == "corpus run 2 has failed. Why."


@pytest.fixture
def receiver():
    """Give a webhook on this machine."""
    with webhook.serving() as server:
        yield server


def test_facts_are_posted_as_json(receiver):
    """To the whole address, which may have a secret in its path."""
    url = f"{receiver.url}/hook/{SECRET}"
    assert post(url, {"event": "alarm", "text": "One."}) == ""
    told = [(f"/hook/{SECRET}", "application/json", {"event": "alarm", "text": "One."})]
    assert receiver.told == told


def test_what_goes_wrong_is_told_without_the_address(receiver):
    """A refusal by its code, a dead end by the kind of error."""
    url = f"{receiver.url}/hook/{SECRET}"
    receiver.answer = 403
    assert post(url, {}) == "HTTP 403"
    assert post(f"http://127.0.0.1:1/{SECRET}", {}) == "ConnectionRefusedError"


@pytest.mark.parametrize(
    "url",
    [f"ftp://host/{SECRET}", f"{SECRET}", f"https:///{SECRET}", f"http://[{SECRET}", "http://a b"],
)
def test_what_is_no_address_is_refused_without_quoting_it(url):
    """Other schemes, no host, what cannot be parsed."""
    with pytest.raises(ConfigError) as refused:
        require_url(url)
    assert SECRET not in str(refused.value)
    require_url(f"https://hooks.example.org/{SECRET}")


def test_no_command_line_is_shown_with_the_address():
    """Neither as a word of its own nor after an equals sign."""
    given = ["schedule", "c", "--notify", f"http://h/{SECRET}", f"--notify=http://h/{SECRET}"]
    assert without_secret(given) == ["schedule", "c", "--notify", "...", "--notify=..."]
