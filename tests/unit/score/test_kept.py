"""Proxies that are kept: not trained again, asked at the doses that they were taught, and said."""

import hashlib
import json
import shutil
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from flows.runners import LocalMapper
from flows.summary import summarize
from pipeline import run
from pipeline.backtest.subject import read_subject
from pipeline.config.load import load_config
from pipeline.engine.facts import fault_of_facts
from pipeline.engine.stage import Work
from pipeline.engine.tables import read_table
from pipeline.errors import ConfigError, IntegrityError
from pipeline.filter.overrides import forget
from pipeline.outline import outline, plan
from pipeline.score.proxy import train
from pipeline.score.sequences.catalogue import COLUMNS, catalogue
from pipeline.score.sequences.provenance import SHORT, provenance
from pipeline.score.sequences.sequences import chosen_sample
from schemas.scan.counts import COUNTS
from tests import reference
from tests.e2e.command import QUICK_SCORE, few_plants
from tests.e2e.corpora import Prose
from tests.unit.score.test_sequences import count_in, score, whole_words

SETTINGS = (
    *(option.removeprefix("--set=") for option in QUICK_SCORE),
    "proxy.sample_tokens=16000",
    "score.max_tokens=65536",
    "window.words=12",
    "proxy.retrain_above=0.5",
)


@dataclass(frozen=True)
class Grown:
    """A scored run folder, its corpus, and the texts of each shard."""

    folder: Path
    corpus: Path
    shards: dict[str, list[str]]

    def table(self, name):
        """Return the rows of a table, as dictionaries."""
        return pq.read_table(self.folder / name / "all.parquet").to_pylist()

    def facts(self, stage):
        """Return the facts of a stage."""
        manifest = json.loads((self.folder / "manifest.json").read_bytes())
        return manifest["outputs"][f"{stage}/all"]["facts"]

    def files(self, stage):
        """Return the digest of each file of a stage."""
        manifest = json.loads((self.folder / "manifest.json").read_bytes())
        files = manifest["outputs"][f"{stage}/all"]["files"]
        return {record["path"]: record["digest"] for record in files}

    def models(self):
        """Return the bytes of the files of the models, without what is told of them."""
        files = sorted((self.folder / "models").glob("*/*"))
        return {f"{file.parent.name}/{file.name}": file.read_bytes() for file in files}


def first_shards():
    """Return two shards: single texts, and texts of which both shards have copies."""
    prose = Prose(23)
    single = [prose.text(44) for _ in range(60)]
    shared = [prose.text(44) for _ in range(10)]
    return {"a.jsonl": [*single[:30], *shared * 2], "b.jsonl": [*single[30:], *shared]}


@pytest.fixture(scope="module", autouse=True)
def _few_plants():
    """Plant few in every training of this file."""
    with pytest.MonkeyPatch.context() as patch:
        few_plants(patch)
        yield


@pytest.fixture(scope="module")
def first(tmp_path_factory, make_corpus, scan):
    """Scan and score two shards."""
    folder, shards = tmp_path_factory.mktemp("kept"), first_shards()
    corpus = make_corpus(folder / "corpus", shards)
    scan(corpus, folder / "run", *SETTINGS, filtered=False)
    score(folder / "run", *SETTINGS)
    return Grown(folder / "run", corpus, shards)


def counting(patch):
    """Return a list to which each step of a training adds from now on."""
    taken, step = [], train._step

    def counted(*given):
        taken.append(1)
        return step(*given)

    patch.setattr(train, "_step", counted)
    return taken


@pytest.fixture
def steps(monkeypatch):
    """Note each step of a training."""
    return counting(monkeypatch)


@pytest.fixture(scope="module")
def grow(first, make_corpus, scan):
    """Give a function that scores a copy of the first run over other shards, and counts steps."""

    def growing(place, shards):
        folder = shutil.copytree(first.folder, place / "run")
        corpus = make_corpus(place / "corpus", shards)
        scan(corpus, folder, *SETTINGS, filtered=False)
        with pytest.MonkeyPatch.context() as patch:
            taken = counting(patch)
            score(folder, *SETTINGS)
        return Grown(folder, corpus, shards), len(taken)

    return growing


@pytest.fixture(scope="module")
def kept(grow, tmp_path_factory):
    """Score the corpus after a small change; nothing is trained."""
    found, steps = grow(tmp_path_factory.mktemp("changed"), changed())
    assert steps == 0
    return found


def changed():
    """Return the first shards with some texts gone and a third shard.

    Of four texts one copy of three is gone. In the new shard are near copies of texts that are
    there, which join families, further copies of three, and a text of its own.
    """
    prose, shards = Prose(29), first_shards()
    near = [prose.edited(text, 1) for text in shards["a.jsonl"][:8]]
    new = [*near, *shards["a.jsonl"][-3:], prose.text(44)]
    return {"a.jsonl": shards["a.jsonl"], "b.jsonl": shards["b.jsonl"][:-4], "c.jsonl": new}


def test_models_and_plants_are_those_of_the_training(first, kept):
    """Byte for byte, with the tables of what they showed then; the facts say since when."""
    assert kept.models() == first.models()
    for name in ("plants", "dynamics", "taught"):
        path = Path(name) / "all.parquet"
        assert (kept.folder / path).read_bytes() == (first.folder / path).read_bytes()
    facts, before = kept.facts("sequences"), first.facts("sequences")
    assert facts["kept"]["scorings"] == 1
    assert 0 < facts["kept"]["share_changed"] <= 0.5
    assert facts["sample"]["tokens"] == before["sample"]["tokens"]
    assert "kept" not in before


def test_the_same_history_gives_the_same_bytes(kept, grow, tmp_path):
    """Grown once more from the same first run, every file of the scoring is the same."""
    twin, _ = grow(tmp_path, changed())
    for stage in ("sequences", "risk"):
        assert twin.files(stage) == kept.files(stage)


def test_a_second_time_counts_on(kept, tmp_path, make_corpus, scan):
    """Two scorings after the training they are still those of the training."""
    folder = shutil.copytree(kept.folder, tmp_path / "run")
    corpus = make_corpus(tmp_path / "corpus", {**kept.shards, "d.jsonl": [Prose(31).text(44)]})
    scan(corpus, folder, *SETTINGS, filtered=False)
    score(folder, *SETTINGS)
    assert Grown(folder, corpus, {}).facts("sequences")["kept"]["scorings"] == 2


def test_sequences_have_the_doses_that_they_were_taught(first, kept):
    """Gone copies count, copies that came later do not, against a count by brute force."""
    keys = {key_of(text): reference.words(text) for text in chain(*first.shards.values())}
    taught = [(keys[row["text_key"]], row["copies"]) for row in kept.table("taught")]
    counts = {row["row_key"]: row for row in kept.table("counts")}
    now = [reference.words(text) for text in chain(*kept.shards.values())]
    compared = 0
    for row in kept.table("sequences"):
        of = counts[row["row_key"]]
        text = kept.shards[of["shard"]][of["row"]]
        words = whole_words(text, row["start_byte"], row["end_byte"])
        seen = {one["proxy"]: one["seen"] for one in row["proxies"]}
        dose = sum(copies * count_in(found, words) for found, copies in taught)
        assert seen["p2"] == dose
        assert seen["half-a"] + seen["half-b"] == dose
        assert row["sequence_count"] == sum(count_in(found, words) for found in now)
        compared += dose != row["sequence_count"]
    assert compared > 10


def test_what_joined_a_taught_family_is_not_in_the_floor(kept):
    """Near copies that came later were not taught, but what they are near was."""
    families = json.loads((kept.folder / "models/sample.json").read_bytes())["half_of_family"]
    rows = [
        (row["family"], next(p["seen"] for p in row["proxies"] if p["proxy"] == "p2"))
        for row in kept.table("sequences")
    ]
    joined = [family for family, seen in rows if not seen and family in families]
    apart = [family for family, seen in rows if not seen and family not in families]
    assert joined
    outside = [row for row in kept.table("plants") if not row["inside"]]
    assert kept.facts("risk")["floor"]["sequences"] == len(apart) + len(outside)


def test_a_family_of_a_planted_text_is_not_scored(first, grow, tmp_path):
    """A copy of it that comes later was seen as a plant, and no dose of the sample says so."""
    planted = {row["text_key"] for row in first.table("taught") if row["planted"]}
    sources = [text for text in chain(*first.shards.values()) if key_of(text) in planted]
    grown, steps = grow(tmp_path, {**first.shards, "c.jsonl": sources[:3] * 2})
    assert steps == 0
    counts = {row["row_key"]: row for row in grown.table("counts")}
    scored = {
        key_of(grown.shards[counts[key]["shard"]][counts[key]["row"]])
        for key in (row["row_key"] for row in grown.table("sequences"))
    }
    assert len(sources) >= 3
    assert not scored & planted


def test_a_change_above_the_share_trains_anew(first, grow, tmp_path):
    """Most of the sample gone: other proxies, and nothing says that they are kept."""
    grown, steps = grow(tmp_path, {"a.jsonl": [Prose(37).text(44) for _ in range(60)]})
    assert steps > 0
    assert "kept" not in grown.facts("sequences") | grown.facts("risk")
    assert grown.models() != first.models()


def test_the_forecast_says_that_its_proxies_are_kept(kept):
    """In its facts, and on the terminal."""
    told = kept.facts("risk")["kept"]
    assert told == kept.facts("sequences")["kept"]
    assert "The proxies were trained 1 scoring ago" in summarize(kept.folder)[0]


@pytest.mark.parametrize("more", ["score.max_tokens=32768", "proxy.retrain_above=0"])
def test_other_settings_of_scoring_train_nothing(first, tmp_path, steps, scan, more):
    """Over the same corpus the proxies are those of a training anew, bit by bit, and not `kept`."""
    folder = shutil.copytree(first.folder, tmp_path / "run")
    score(folder, *SETTINGS, more)
    assert not steps
    anew = first.folder  # what is kept or not is no part of a training
    if not more.startswith("proxy."):
        anew = tmp_path / "anew"
        scan(first.corpus, anew, *SETTINGS, filtered=False)
        score(anew, *SETTINGS, more)
    done, fresh = (Grown(place, first.corpus, first.shards) for place in (folder, anew))
    for stage in ("sequences", "risk"):
        assert done.files(stage) == fresh.files(stage)


def test_proxies_that_are_kept_go_when_none_may_be(kept, tmp_path, steps):
    """`proxy.retrain_above = 0` trains those anew that are of another sample."""
    folder = shutil.copytree(kept.folder, tmp_path / "run")
    score(folder, *SETTINGS, "proxy.retrain_above=0")
    assert steps
    assert "kept" not in Grown(folder, kept.corpus, kept.shards).facts("sequences")


@pytest.mark.parametrize("planted", [False, True], ids=["taught", "planted"])
def test_proxies_that_learnt_a_forgotten_text_are_trained_anew_without_it(
    first, tmp_path, steps, planted
):
    """Also where nothing else changed; the filter has the forecast until the next scoring."""
    folder = shutil.copytree(first.folder, tmp_path / "run")
    row = next(row for row in first.table("taught") if row["planted"] == planted)
    place, text = next(
        (f"{shard}#{number}", text)
        for shard, texts in first.shards.items()
        for number, text in enumerate(texts)
        if key_of(text) == row["text_key"]
    )
    forget(folder, [place], load_config(settings=list(SETTINGS)))
    config = load_config(settings=list(SETTINGS))
    assert ("sequences", 1, 1) in plan("score", outline(folder, config))
    with pytest.raises(ConfigError, match="sequences"):
        read_subject(folder, config)
    with run.session(folder, config, LocalMapper(2)) as session:
        run.filter_rows(session)
        assert session.current(run.STAGES["risk"])
    score(folder, *SETTINGS)
    assert steps
    done = Grown(folder, first.corpus, first.shards)
    keys = {row["row_key"]: row for row in done.table("counts")}
    scored = [keys[row["row_key"]] for row in done.table("sequences")]
    assert row["text_key"] not in {row["text_key"] for row in done.table("taught")}
    assert text not in {first.shards[row["shard"]][row["row"]] for row in scored}
    assert "kept" not in done.facts("sequences")
    assert ("sequences", 0, 1) in plan("score", outline(folder, config))


def test_proxies_that_never_saw_a_forgotten_text_are_kept(first, tmp_path, steps):
    """It is neither taught nor planted, so nothing of it is in them; its sequences go."""
    folder = shutil.copytree(first.folder, tmp_path / "run")
    taught = {row["text_key"] for row in first.table("taught")}
    texts = first.shards["a.jsonl"]
    number = next(n for n, text in enumerate(texts) if key_of(text) not in taught)
    forget(folder, [f"a.jsonl#{number}"], load_config(settings=list(SETTINGS)))
    score(folder, *SETTINGS)
    assert not steps
    done = Grown(folder, first.corpus, first.shards)
    assert done.models() == first.models()
    assert number not in {row["row_key"] for row in done.table("sequences")}  # of the first shard


def test_a_filter_whose_score_is_damaged_is_refused(tmp_path, first):
    """Without a file of the models it would write kept/ as if nothing had ever been scored."""
    folder = shutil.copytree(first.folder, tmp_path / "run")
    gone = folder / "models" / "p0" / "config.json"
    gone.unlink()
    config = load_config(settings=["limits.workers=2", *SETTINGS])
    for act in (run.filter_rows, run.write_report):
        with (
            pytest.raises(IntegrityError, match="damaged or missing") as refused,
            run.session(folder, config, LocalMapper(2)) as session,
        ):
            act(session)
        assert refused.value.where == str(gone)
    assert not (folder / "kept").exists()
    score(folder, *SETTINGS)
    assert gone.exists()
    with run.session(folder, config, LocalMapper(2)) as session:
        run.filter_rows(session)
    assert (folder / "kept" / "_SUCCESS").exists()


def test_facts_tell_the_machine_of_the_training_and_that_of_a_scoring_apart():
    """Kept proxies were made with what they were made with, wherever they are asked now."""
    now = load_config(settings=[*SETTINGS, "proxy.device=cpu"])
    work = Work("sequences", "all", Path(), now, (), {})
    proxy: Any = SimpleNamespace(device="cpu")
    language: Any = SimpleNamespace(digest="", size=1, eos=0)
    pool: Any = SimpleNamespace(short={"scoring p0": 8}, relabelled={})
    short = {"training p0": 4, "scoring p2": 2}
    then: dict[str, Any] = {
        "torch": "1.0",
        "threads": 2,
        "device": "cuda",
        "precision": "bf16",
        SHORT: short,
    }
    facts = provenance(work, language, [proxy], pool, then)
    assert {name: facts[name] for name in then if name != SHORT} == {
        name: value for name, value in then.items() if name != SHORT
    }
    assert facts[SHORT] == {"scoring p0": 8, "training p0": 4}
    here = facts["scored_with"]
    assert (here["device"], here["precision"], here["threads"]) == ("cpu", "fp32", 1)
    anew = provenance(work, language, [proxy], pool, {})
    assert anew["device"] == "cpu"
    assert "scored_with" not in anew
    assert provenance(work, language, [proxy], pool, anew) == anew
    assert not fault_of_facts("sequences", facts)


def test_a_back_test_of_kept_proxies_is_refused(kept):
    """What they were taught cannot be chosen again; the message says how to train them."""
    config = load_config(base=json.loads((kept.folder / "manifest.json").read_bytes())["config"])
    with pytest.raises(ConfigError, match="retrain_above=0"):
        read_subject(kept.folder, config)


def test_the_share_is_of_what_goes_or_of_what_comes(first, kept):
    """By bytes of the copies chosen, whichever is more."""
    rows = [row for row in first.table("taught") if row["chosen"]]
    before = sum(row["chosen"] * row["text_bytes"] for row in rows)
    known = catalogue(read_table([kept.folder / "counts/all.parquet"], COUNTS, list(COLUMNS)))
    config = load_config(settings=list(SETTINGS)).proxy
    sample, _ = chosen_sample(known, config)
    now = {
        int(known.text_key[number]): int(sample.copies[number])
        for number in np.flatnonzero(np.isin(known.family, sample.families) & known.first)
    }
    size = {int(key): int(own) for key, own in zip(known.text_key, known.text_bytes, strict=True)}
    out = sum(max(0, r["chosen"] - now.get(r["text_key"], 0)) * r["text_bytes"] for r in rows)
    old = {row["text_key"]: row["chosen"] for row in rows}
    more = sum(max(0, copies - old.get(key, 0)) * size[key] for key, copies in now.items())
    share = kept.facts("sequences")["kept"]["share_changed"]
    assert share == pytest.approx(max(out, more) / before, abs=1e-6)


def key_of(text):
    """Return the first 8 bytes of a text's hash."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=16).digest()[:8], "big")
