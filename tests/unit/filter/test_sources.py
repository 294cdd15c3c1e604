"""The sources that settings name: each must be a value, a group or a split of some document."""

import polars as pl
import pytest

from pipeline.errors import ConfigError
from pipeline.filter.sources import require_known_sources

DOCUMENTS = pl.DataFrame(
    {
        "source": ["web/1", "web/2", "book", None],
        "source_group": ["web", "web", "a", None],
        "split": ["train", "train", "test", None],
    }
)


def test_values_groups_and_splits_are_sources():
    """Each names rows; no names at all need nothing."""
    require_known_sources(DOCUMENTS, ("web/1", "a", "book", "test"), "near.sources")
    require_known_sources(DOCUMENTS, (), "near.sources")


def test_an_unknown_source_is_refused_with_the_setting_and_the_largest_groups():
    """All unknown names are found, once each; examples are groups, the largest first."""
    with pytest.raises(ConfigError, match="does not occur") as refused:
        require_known_sources(DOCUMENTS, ("c", "web", "None", "c"), "policy.exempt")
    assert refused.value.where == "policy.exempt"
    assert refused.value.found == "'c', 'None'"
    assert refused.value.expected.endswith("for example 'web', 'a'")
    assert refused.value.fix == "correct the name or leave it out of policy.exempt"
