"""Promises 1 to 4 hold for every policy: nothing lost, all proved, same bytes, kill and resume."""

import random
import shutil
from dataclasses import asdict

import numpy as np
import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from examples.rebuild_texts import rebuilt
from flows.runners import LocalMapper
from pipeline import run
from pipeline.config.load import load_config
from pipeline.engine.group_digests import GROUPS, group_digests
from pipeline.engine.manifest import load_manifest
from pipeline.engine.shards import active_shards
from pipeline.engine.tables import conform, write_table
from pipeline.filter.overrides import forget, restore
from schemas.score.risk import DOCUMENT_RISK, RISK, RISK_MODEL

BASE = ("window.words=5", "input.source=source", "policy.cut_minimum=3")
WORDS = [f"w{n}" for n in range(60)]


def rows(seed):
    """Return rows of three sources: copies, near copies, shared passages, empty texts."""
    draw = random.Random(seed)  # noqa: S311 - a test's own
    base = [" ".join(draw.choices(WORDS, k=draw.randint(8, 60))) for _ in range(12)]
    texts = []
    for _ in range(60):
        text = draw.choice(base)
        kind = draw.random()
        if kind < 0.3:
            text = f"{text} {draw.choice(WORDS)}"
        elif kind < 0.6:
            text = f"{' '.join(draw.choices(WORDS, k=9))} {text[: len(text) // 2]} end"
        elif kind < 0.65:
            text = ""
        texts.append({"text": text, "source": draw.choice("abc")})
    return texts


def scored(folder, config):
    """Put a forecast into a run folder as if it had been scored: risk grows with the count."""
    with run.session(folder, config, LocalMapper(1)) as session:
        counts = session.run.paths("counts")[0]
        table = pa.parquet.read_table(counts)
        first = table.filter(pa.compute.equal(table["row_key"], table["representative"]))
        size, keys = first.num_rows, first["row_key"]
        risk = np.linspace(0.1, 0.9, size)
        places = {"row_key": keys, "start_byte": [0] * size, "end_byte": first["text_bytes"]}
        interval = {"risk": risk, "risk_low": risk, "risk_high": risk}
        slopes = {
            f"slope_{name}": [0.3] * size for name in ("count", "effective", "suffix", "ratio")
        }
        made = {
            RISK: {**places, **interval, "basis": ["seen"] * size, "extrapolated": [False] * size,
                   "kind": ["none"] * size},
            DOCUMENT_RISK: {"row_key": keys, **interval, "kind": ["none"] * size,
                            "extrapolated": [True] * size,
                            "expected_tokens": risk, "scored_share": [1.0] * size,
                            "last_exposure": [None] * size, "spacing": [None] * size},
            RISK_MODEL: {**places, "suffix_byte": [0] * size, "weight": first["exact_count"],
                         "epochs": [1.0] * size, "offset": risk - 1.5, **slopes},
        }  # fmt: skip
        files, shards = [], active_shards(session.manifest)
        for schema, columns in made.items():
            name = schema.metadata[b"table"].decode()
            with write_table(folder, name, "all", schema) as out:
                out.write(conform(pa.table(columns), schema))
            files.append(asdict(out.record))
        for name, own in (("sequences", []), ("risk", files)):
            groups = {GROUPS: group_digests(shards, [])}
            facts = {"fitted": False, "why_not": None, **groups} if own else {}
            entry = {"rows_in": 0, "rows_out": 0, "facts": facts, "files": own, "digest": name}
            entry["fingerprint"] = session.fingerprint(run.STAGES[name], "all")
            session.run.commit(f"{name}/all", entry)


@pytest.fixture(scope="module")
def first(tmp_path_factory, make_corpus, scan):
    """Give a scanned and scored run; tests copy it."""
    folder = tmp_path_factory.mktemp("policies")
    own = rows(1)
    corpus = make_corpus(folder / "c", {"a.jsonl": own[:25], "b.parquet": own[25:]})
    done = scan(corpus, folder / "run", *BASE, filtered=False)
    scored(done.folder, load_config(settings=BASE))
    return done, own


def filtered(folder, policy, mapper=None):
    """Filter a run folder by a policy; return the bytes of what it wrote."""
    config = load_config(settings=[*BASE, *policy])
    with run.session(folder, config, mapper or LocalMapper(2)) as session:
        run.filter_rows(session)
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for name in ("kept", "removed", "decisions", "cuts")
        for path in sorted((folder / name).rglob("*"))
        if path.is_file()
    }


def table(folder, name):
    """Return all rows of a folder of shards but those of removed/spans."""
    found = []
    for path in sorted((folder / name).rglob("*.parquet")):
        if "spans" not in path.parts or name.endswith("spans"):
            found += pa.parquet.read_table(path).to_pylist()
    return found


def require_promises(folder, own):
    """Hold a filtered run folder against the rows that went in."""
    keys = [n if n < 25 else (1 << 40) + n - 25 for n in range(len(own))]
    texts = {key: row["text"] for key, row in zip(keys, own, strict=True) if row["text"]}
    kept = {row["rote"]["row_key"]: row for row in table(folder, "kept")}
    removed = {row["rote"]["row_key"]: row for row in table(folder, "removed")}
    assert kept.keys() | removed.keys() == texts.keys()
    assert not kept.keys() & removed.keys()
    cut: dict[int, list[tuple[int, bytes, bytes]]] = {}
    for row in table(folder, "removed/spans"):
        own_cut = (row["start_byte"], row["text"], (row["instead"] or "").encode())
        cut.setdefault(row["row_key"], []).append(own_cut)
    for row in (*kept.values(), *removed.values()):
        flag = row["rote"]["extrapolated"]  # the run's forecasts are: the flag stands beside each
        assert flag is (None if row["rote"]["risk"] is None else True)
    for key, row in kept.items():
        assert rebuilt(row["text"].encode(), cut.get(key, [])) == texts[key].encode()
        assert row["source"] == own[keys.index(key)]["source"]
    for key, row in removed.items():
        reason, keeper = row["rote"]["reason"], row["rote"]["keeper"]
        assert row["text"] == (None if reason == "forgotten" else texts[key])
        if reason in ("exact_copy", "near_copy"):
            assert keeper in kept
            assert row["rote"]["jaccard"] >= 0.8
        else:
            assert keeper is None


POLICIES = [
    ['policy.rules=["keep-n","drop-risk","cut-spans"]', "policy.risk=0.5", 'policy.exempt=["a"]'],
    ['policy.rules=["drop-copies","cut-spans"]', "policy.cut_short=drop"],
    ['policy.rules=["drop-risk"]', "policy.risk_share=0.4", "mitigation.weights=effective"],
    ['policy.rules=["drop-copies","drop-risk","cut-spans"]', "policy.cut=all",
     "policy.sources={b={risk=0.3},c={rules=['drop-copies']}}"],
]  # fmt: skip


@pytest.mark.parametrize("policy", POLICIES)
def test_nothing_is_lost_and_all_is_proved(first, tmp_path, policy):
    """Each row is in one place; texts are rebuilt; keepers stay; another mapper, same bytes."""
    done, own = first
    one = shutil.copytree(done.folder, tmp_path / "one")
    two = shutil.copytree(done.folder, tmp_path / "two")
    written = filtered(one, policy)
    require_promises(one, own)
    assert written == filtered(two, ["limits.workers=1", *policy], LocalMapper(1))
    rules = load_manifest(one)["outputs"]["decisions/all"]["facts"]["rules"]
    assert sum(rule["rows"] for rule in rules) == len(table(one, "removed"))
    assert all(rule["expected_tokens_avoided"] >= 0 for rule in rules)


class Stopping:
    """Runs units and stops after some."""

    def __init__(self, units):
        self.left = units

    def __call__(self, stage, function, works):
        """Yield receipts until none is left."""
        assert stage
        for place, work in enumerate(works):
            if not self.left:
                raise KeyboardInterrupt
            self.left -= 1
            yield place, function(work)


def test_a_policy_stopped_anywhere_ends_with_the_same_bytes(first, tmp_path):
    """From another policy's files, after any unit, with rows restored and forgotten."""
    done, own = first
    whole = shutil.copytree(done.folder, tmp_path / "whole")
    removed = next(row for row in table_after(whole, POLICIES[1]) if row["text"])
    name = f"a.jsonl#{removed['rote']['row_key']}"
    kept = next(row for row in table(whole, "kept") if row["rote"]["row_key"] < 25)
    restore(whole, [name])
    forget(whole, [f"a.jsonl#{kept['rote']['row_key']}"], load_config(settings=BASE))
    parts = [shutil.copytree(whole, tmp_path / str(units)) for units in range(3)]
    written = filtered(whole, POLICIES[0])
    require_promises(whole, own)
    for units, part in enumerate(parts):
        with pytest.raises(KeyboardInterrupt):
            filtered(part, POLICIES[0], Stopping(units))
        assert filtered(part, POLICIES[0]) == written


def table_after(folder, policy):
    """Filter by a policy and return the rows of a.jsonl that went."""
    filtered(folder, policy)
    return [row for row in table(folder, "removed") if row["rote"]["row_key"] < 25]


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(st.data())
def test_any_policy_keeps_the_promises(first, tmp_path_factory, data):
    """Random rules, thresholds and exemptions."""
    done, own = first
    names = st.lists(st.sampled_from(["drop-copies", "keep-n", "drop-risk"]), unique=True)
    rules = [*data.draw(names), *data.draw(st.sampled_from([[], ["cut-spans"]]))]
    policy = [
        f"policy.rules={rules}",
        f"policy.keep={data.draw(st.integers(1, 3))}",
        f"policy.risk={data.draw(st.sampled_from([0.2, 0.5, 0.8]))}",
        f"policy.cut={data.draw(st.sampled_from(['later', 'mask', 'all']))}",
        f"policy.cut_short={data.draw(st.sampled_from(['leave', 'drop']))}",
        f"policy.exempt={data.draw(st.sampled_from([[], ['a'], ['b', 'c']]))}",
    ]
    folder = tmp_path_factory.mktemp("any") / "run"
    shutil.copytree(done.folder, folder)
    filtered(folder, policy)
    require_promises(folder, own)
