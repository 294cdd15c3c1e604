"""When the runs of a schedule are due, as it is typed."""

from pathlib import Path

import pytest

from flows.arguments import ScheduleArguments
from flows.when import ByCron, Every, OnNewShards, in_words, when_of
from pipeline.errors import ConfigError


def asked(**options):
    """Return the arguments of `rote schedule` with some options."""
    return ScheduleArguments(("corpus",), out=Path("run"), **options)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"cron": "0 3 * * *"}, ByCron("0 3 * * *")),
        ({"every": "6h"}, Every(21_600, "6h")),
        ({"every": "90m"}, Every(5_400, "90m")),
        ({"every": "30s"}, Every(30, "30s")),
        ({"every": "1d"}, Every(86_400, "1d")),
        ({"on_new_shards": True}, OnNewShards(60)),
        ({"on_new_shards": True, "poll": 5}, OnNewShards(5)),
    ],
)
def test_each_of_the_three_ways_is_understood(options, expected):
    """A cron expression, an interval with its unit, the corpus itself."""
    assert when_of(asked(**options)) == expected


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"every": "six hours"}, "The interval is none."),
        ({"every": "6"}, "The interval is none."),
        ({"every": "0h"}, "The interval is none."),
        ({"every": "-6h"}, "The interval is none."),
        ({"every": "9s"}, "The interval is none."),
        ({"on_new_shards": True, "poll": 0}, "The corpus cannot be looked at that often."),
        ({"cron": "0 3 * * *", "poll": 60}, "Only --on-new-shards looks at the corpus"),
    ],
)
def test_what_is_no_time_is_refused(options, complaint):
    """The message quotes what was typed."""
    with pytest.raises(ConfigError, match=complaint) as refused:
        when_of(asked(**options))
    assert str(next(iter(set(options.values()) - {True, "0 3 * * *"}))) in refused.value.where


def test_when_is_told_in_words():
    """The line of `rote schedule` says when it begins."""
    assert in_words(Every(21_600, "6h")) == "now, and then every 6h"
    assert in_words(OnNewShards(60)) == "when files come, go or change: looked for every 60 s"
