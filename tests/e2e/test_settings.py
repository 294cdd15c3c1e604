"""A stage reads no setting that it does not declare: its fingerprint would not notice a change."""

from collections import defaultdict
from typing import get_args

import pytest

from pipeline import run
from pipeline.config import sections
from pipeline.config.fields import Section
from pipeline.config.load import load_config
from pipeline.config.policy import Rule
from pipeline.engine.session import one_by_one
from tests.e2e import corpora
from tests.e2e.command import QUICK_SCORE, few_plants

WHOLE = {"model_dump", "model_copy", "__iter__", "model_dump_json"}
EVERYTHING = (
    *(setting.removeprefix("--set=") for setting in QUICK_SCORE),
    "near.containment=0.9",
    f"policy.rules={list(get_args(Rule))}",
    "policy.risk=0.5",
    "mitigation.sink_id=true",
    "mitigation.weights=effective",
    "mitigation.goldfish_k=4",
    "mitigation.memfree_n=5",
    "mitigation.memfree_words=6",
    'probes.signals=["extraction"]',
)


class Reads:
    """Notes which settings are read while a stage is named."""

    def __init__(self):
        self.stage = None
        self.of = defaultdict(set)

    def note(self, section, name):
        """Note a field of a section, or all of them."""
        kind = type(section)
        if self.stage is None:
            return
        if kind is sections.Config:
            parts = kind.model_fields if name in WHOLE else ()
            for part in parts:
                self.note(getattr(section, part), "model_dump")
            return
        fields = kind.model_fields if name in WHOLE else {name} & set(kind.model_fields)
        self.of[self.stage] |= {f"{kind.__name__}.{field}" for field in fields}


@pytest.fixture
def reads(monkeypatch):
    """Note every read of a setting."""
    noted, plain = Reads(), Section.__getattribute__

    def reading(section, name):
        noted.note(section, name)
        return plain(section, name)

    monkeypatch.setattr(Section, "__getattribute__", reading)
    return noted


def test_each_stage_reads_only_the_settings_that_it_declares(tmp_path, reads, monkeypatch):
    """Over a whole run with every rule and mitigation, what is read is part of the fingerprint."""

    def mapper(stage, function, works):
        for place, work in enumerate(works):
            reads.stage = stage
            receipt = function(work)
            reads.stage = None
            yield place, receipt

    few_plants(monkeypatch)
    corpus, items = tmp_path / "corpus", tmp_path / "items.jsonl"
    corpora.small(corpus)
    corpora.write(items, [{"question": "one two three four five", "answer": "six"}])
    index = tmp_path / "index"
    with run.session(index, load_config(), one_by_one, corpus=[str(items)]) as session:
        run.scan(session)
    kept_out = [f"decontaminate.files={items}", f"minus.run={index}"]
    config = load_config(settings=[*EVERYTHING, *kept_out])
    with run.session(tmp_path / "run", config, mapper, corpus=[str(corpus)]) as session:
        run.everything(session)
    declared = {}
    for name, stage in run.STAGES.items():
        reads.stage = f"settings of {name}"
        stage.settings(config)
        declared[name] = reads.of[reads.stage]
    undeclared = {
        name: sorted(
            one for one in reads.of[name] - declared[name] if not one.startswith("LimitsConfig.")
        )
        for name in run.STAGES
    }
    assert {name: found for name, found in undeclared.items() if found} == {}
