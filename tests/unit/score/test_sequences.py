"""What a run trains its proxies on and what it scores, against counts by brute force."""

import json
import shutil
from collections import Counter
from dataclasses import dataclass
from itertools import chain, cycle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer

from flows.runners import LocalMapper
from pipeline import run
from pipeline.config.load import load_config
from pipeline.engine.manifest import load_manifest
from pipeline.engine.progress import Silent
from pipeline.engine.run_folder import open_run
from pipeline.errors import ConfigError, SchemaMismatch
from pipeline.score.proxy import checkpoint, ensemble, pool, train
from pipeline.score.proxy.tokenizer import Language, train_tokenizer
from pipeline.score.sequences import provenance, sequence_table, sequences
from pipeline.score.sequences.catalogue import catalogue, documents_to_score
from pipeline.score.sequences.declared import digests, seen_rows
from pipeline.score.sequences.sampling import half_of, held_out
from tests import reference
from tests.e2e.command import QUICK_SCORE, assert_same_files, few_plants
from tests.e2e.corpora import Prose

QUICK = tuple(option.removeprefix("--set=") for option in QUICK_SCORE)
SETTINGS = (
    *QUICK,
    "proxy.sample_tokens=16000",
    "proxy.epochs=2",
    "proxy.marks=3",
    "window.words=12",
)
SEED = 1
EMOJI = "🜁🜂🜃🜄👩‍🚀🦉🧭🪐"


@dataclass(frozen=True)
class Scored:
    """A scored run.

    texts: by row_key; taught: rows [n, 65] and halves that training was given; learnt: the sample.
    """

    done: Any
    texts: dict[int, str]
    taught: tuple[Any, Any]
    learnt: Any

    @property
    def counts(self):
        """The table `counts`."""
        return self.done.table("counts")

    @property
    def sequences(self):
        """The rows of `sequences`, as dictionaries."""
        return self.done.table("sequences").to_pylist()

    def of_counts(self, column):
        """Return a column of `counts` by row_key."""
        table = self.counts
        return dict(zip(table["row_key"].to_pylist(), table[column].to_pylist(), strict=True))

    def tokenizer(self):
        """Return the tokenizer saved beside a proxy."""
        path = next(self.done.folder.rglob("p0/tokenizer.json"))
        return Tokenizer.from_str(path.read_text())

    def rows(self):
        """Return per row_key its tokens of 64 at each start, in the order of the document."""
        tokenizer = self.tokenizer()
        ids = {key: tokenizer.encode(text).ids for key, text in self.texts.items()}
        return {
            key: {start: tuple(own[start : start + 64]) for start in starts(len(own))}
            for key, own in ids.items()
        }

    @property
    def sampled(self):
        """The training rows and halves of the sample, without the plants that follow them."""
        size = facts_of(self)["sample"]["training_sequences"]
        return tuple(part[:size] for part in self.taught)

    def trained_keys(self):
        """Return the row_keys of the documents that are trained on: the first copies of texts."""
        first = self.of_counts("representative")
        known = sorted(first)
        copies = dict(zip(self.learnt.documents.tolist(), self.learnt.copies.tolist(), strict=True))
        left = {known[number]: times for number, times in copies.items()}
        found = set()
        for key in known:
            if left.get(first[key], 0):
                left[first[key]] -= 1
                found.add(key)
        assert not any(left.values())
        return found

    def trained_families(self):
        """Return the families any of whose documents are trained on."""
        family = self.of_counts("family")
        return {family[key] for key in self.trained_keys()}


def starts(tokens):
    """Return where sequences start: every 64th token."""
    return range(0, tokens - 63, 64)


def corpus_texts():
    """Return texts: single ones, copies, near copies, shared passages, other scripts."""
    prose = Prose(11)
    single = [prose.text(40) for _ in range(36)]
    families = [[prose.text(26)] * copies for copies in (2, 2, 3, 3, 4, 4, 6, 6) for _ in "ab"]
    near = [[text, text, prose.edited(text, 1)] for text in (prose.text(40) for _ in range(4))]
    passage = prose.text(22)
    sharing = [f"{prose.text(6)} {passage} {prose.text(7)}" for _ in range(4)]
    # one long word, other in each text, that a sequence cuts before or after words all share
    longs = ["".join(prose.random.choices("0123456789", k=40)) for _ in range(6)]
    head, tail = prose.text(14), prose.text(30)
    sharing += [*(f"{long} {tail}" for long in longs), *(f"{head} {long}" for long in longs)]
    han = [prose.han(50) for _ in range(4)]
    mixed = [f"{prose.text(5)} {prose.han(20)} {EMOJI} naïve Ⅻ {prose.text(5)}" for _ in range(4)]
    others = [han[0], *han, *mixed, mixed[1], EMOJI * 4, EMOJI * 4, "la la lala " * 40]
    short = ["", "a few words", "a few words", "天地", "...", prose.text(8)]
    copies = chain.from_iterable(families + near)
    return [*single, *copies, *sharing, *others, *short]


@pytest.fixture(scope="session")
def scored(tmp_path_factory, make_corpus, scan):
    """Scan and score a small corpus of two shards; what training was given is written down."""
    folder = tmp_path_factory.mktemp("scored")
    texts = corpus_texts()
    shards = {"a.jsonl": texts[::2], "b.parquet": [{"text": text} for text in texts[1::2]]}
    done = scan(make_corpus(folder / "corpus", shards), folder / "run", *SETTINGS, filtered=False)
    given, chosen = [], []
    train_all, material = ensemble.train_all, sequences.material

    def noting(rows, half, *rest):
        given.append((rows.copy(), half.copy()))
        return train_all(rows, half, *rest)

    def choosing(*given_to_it):
        chosen.append(material(*given_to_it))
        return chosen[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ensemble, "train_all", noting)
        patch.setattr(sequences, "material", choosing)
        score(done.folder, *SETTINGS)
    rows = done.rows("counts", "row_key", "shard", "row")
    by_key = {key: shards[shard][row] for key, shard, row in rows}
    plain = {key: text["text"] if isinstance(text, dict) else text for key, text in by_key.items()}
    assert len(plain) == len(texts) - 1  # an empty text is no document
    assert len(given) == 1
    return Scored(done, plain, given[0], chosen[0].learnt)


def score(folder, *settings):
    """Score a scanned run folder."""
    config = load_config(settings=["limits.workers=2", *settings])
    with run.session(folder, config, LocalMapper(2)) as session:
        run.score(session)


def whole_words(text, start, end):
    """Return the words of a text that lie wholly inside bytes [start, end)."""
    placed = zip(reference.words(text), reference.byte_spans(text), strict=True)
    return tuple(word for word, (first, last) in placed if start <= first and last <= end)


def with_cut_words(text, start, end):
    """Return the same with a word that the first byte is inside of, and one that the last is."""
    spans = reference.byte_spans(text)
    first = max([begin for begin, past in spans if begin < start < past], default=start)
    last = min([past for begin, past in spans if begin < end < past], default=end)
    return whole_words(text, first, end), whole_words(text, start, last)


def count_in(found, run_of_words):
    """Return how often a run of words occurs in a list of words, overlaps counted."""
    size = len(run_of_words)
    return sum(
        tuple(found[place : place + size]) == run_of_words for place in range(len(found) - size + 1)
    )


def token_bytes(tokenizer, text):
    """Return the bytes [start, end) of each token, widened to whole characters."""
    raw = text.encode()
    sizes = [len(token) for token in tokenizer.encode(text).tokens]
    ends = np.cumsum(sizes, dtype=np.int64).tolist()
    assert ends[-1] == len(raw)
    places = []
    for first, last in zip([0, *ends[:-1]], ends, strict=True):
        while raw[first] & 0xC0 == 0x80:
            first -= 1
        while last < len(raw) and raw[last] & 0xC0 == 0x80:
            last += 1
        places.append((first, last))
    return places


def test_something_was_scored(scored):
    """The sample holds repeated and single text, seen and unseen, within the budget of tokens."""
    rows = scored.sequences
    assert 60 < len(rows) <= 8192 // 64
    assert {row["stratum"] for row in rows} == {"repeated", "sampled"}
    assert max(row["sequence_count"] for row in rows) >= 6
    seen = {max(proxy["seen"] for proxy in row["proxies"]) for row in rows}
    assert 0 in seen
    assert max(seen) >= 12


@pytest.mark.parametrize(("column", "skipped"), [("sequence_count", 0), ("suffix_count", 32)])
def test_counts_are_those_of_brute_force(scored, column, skipped):
    """A sequence's whole words, and its suffix's, are counted exactly in the whole corpus."""
    words = {key: reference.words(text) for key, text in scored.texts.items()}
    exact, tokenizer = scored.of_counts("exact_count"), scored.tokenizer()
    wrong, wordless, cut = [], 0, [0, 0]
    for row in scored.sequences:
        text = scored.texts[row["row_key"]]
        start = token_bytes(tokenizer, text)[row["start_token"] + skipped][0]
        inside = whole_words(text, start, row["end_byte"])
        found = sum(count_in(own, inside) for own in words.values())
        expected = found if inside else exact[row["row_key"]]
        wordless += not inside
        for side, other in enumerate(with_cut_words(text, start, row["end_byte"])):
            cut[side] += sum(count_in(own, other) for own in words.values()) < found
        if row[column] != expected:
            wrong.append((row["row_key"], row["start_token"], row[column], expected))
    assert wrong == []
    assert wordless > 0
    if skipped:  # words that a suffix cuts would have made a difference
        assert min(cut) > 0


def test_the_continuation_share_is_that_of_brute_force(scored):
    """Of the places of a prefix's whole words, the share that go on with the whole sequence."""
    words = {key: reference.words(text) for key, text in scored.texts.items()}
    exact, tokenizer = scored.of_counts("exact_count"), scored.tokenizer()
    shares = []
    for row in scored.sequences:
        text = scored.texts[row["row_key"]]
        end = token_bytes(tokenizer, text)[row["start_token"] + 31][1]
        prefix = whole_words(text, row["start_byte"], end)
        found = sum(count_in(own, prefix) for own in words.values())
        places = found if prefix else exact[row["row_key"]]
        shares.append(min(1.0, row["sequence_count"] / places))
    assert [row["continuation_share"] for row in scored.sequences] == pytest.approx(shares)
    assert min(shares) < 0.5
    assert max(shares) == 1.0


def test_surface_columns_tell_loops_rare_words_and_scripts_apart(scored):
    """A loop is a template of little entropy, Han is not Latin, the rare share is about a tenth."""
    rows = scored.sequences
    loops = [row for row in rows if scored.texts[row["row_key"]].startswith("la la lala")]
    han = [row for row in rows if row["non_latin_share"] > 0.5]
    assert loops
    assert han
    assert all(row["template_share"] > 0.9 and row["suffix_in_prefix"] > 0.9 for row in loops)
    assert all(row["suffix_entropy_bits"] < 2.5 for row in loops)
    assert all(not scored.texts[row["row_key"]].isascii() for row in han)
    others = [row for row in rows if row["template_share"] < 0.3 and row["non_latin_share"] == 0.0]
    assert len(others) > len(rows) / 2
    assert all(row["suffix_entropy_bits"] > 3 for row in others)
    assert 0.02 < np.mean([row["rare_token_share"] for row in rows]) < 0.3
    assert all(row["token_bits"] <= row["rarest_token_bits"] for row in rows)


def test_bytes_are_whole_characters_around_the_tokens(scored):
    """Byte ends are the tokens' own, widened to whole characters, in Han and emoji too."""
    tokenizer = scored.tokenizer()
    inside_character = 0
    for row in scored.sequences:
        text = scored.texts[row["row_key"]]
        places = token_bytes(tokenizer, text)
        own = places[row["start_token"] : row["start_token"] + 64]
        assert (row["start_byte"], row["end_byte"]) == (own[0][0], own[-1][1])
        assert text.encode()[row["start_byte"] : row["end_byte"]].decode() in text
        before = places[: row["start_token"]][-1:]
        inside_character += bool(before) and before[0][1] > own[0][0]
    assert inside_character > 0


def test_sequences_start_where_they_should(scored):
    """Sequences start at tokens 0, 64, 128, ...; a rest below 64 tokens is in none."""
    rows = scored.rows()
    for row in scored.sequences:
        places = rows[row["row_key"]]
        assert row["start_token"] in places
        assert row["document_sequences"] == len(places)


def test_each_text_is_scored_once_in_order(scored):
    """Rows are those of first documents, in order of row_key and start, none twice."""
    places = [(row["row_key"], row["start_token"]) for row in scored.sequences]
    assert places == sorted(set(places))
    first = scored.of_counts("representative")
    assert all(first[key] == key for key, _ in places)


def test_weights_are_at_least_the_copies(scored):
    """A certain sequence stands for its exact copies, a drawn one for them and others."""
    exact = scored.of_counts("exact_count")
    for row in scored.sequences:
        copies = exact[row["row_key"]]
        assert row["weight"] == copies if row["stratum"] == "repeated" else row["weight"] >= copies


def test_held_out_families_are_never_trained_on(scored):
    """No row of a held-out family is among the training rows, and there are such families."""
    known = catalogue(scored.counts)
    names = np.array(known.family_names)[held_out(known, SEED)].tolist()
    assert len(names) >= 3
    assert scored.trained_families().isdisjoint(names)


def test_families_are_trained_on(scored):
    """The training rows are all rows of the chosen documents, once for each, whole families mostly.

    Of the largest families a part is chosen, never more than 1/24 of the budget.
    """
    family, rows, keys = scored.of_counts("family"), scored.rows(), scored.trained_keys()
    chosen = scored.trained_families()
    expected = Counter(row for key in keys for row in rows[key].values())
    assert Counter(tuple(row[1:]) for row in scored.sampled[0].tolist()) == expected
    assert max(expected.values()) >= 4
    assert set(scored.taught[0][:, 0].tolist()) == {0}
    assert len({(family[key], scored.texts[key]) for key in keys}) > len(chosen)  # near copies
    with_rows = {key for key, own in rows.items() if own}
    assert chosen < {family[key] for key in with_rows}
    whole = {name for name in chosen if {k for k in with_rows if family[k] == name} <= keys}
    assert len(chosen) - len(whole) == facts_of(scored)["sample"]["families_in_part"] > 0
    assert len(whole) > len(chosen) / 2
    for name in chosen - whole:
        tokens = [64 * len(rows[key]) for key in keys if family[key] == name]
        assert 0 < sum(tokens) <= 16000 / 24


def test_a_family_is_in_one_half(scored):
    """All rows of a family are of the half of its name, and both halves have some."""
    known = catalogue(scored.counts)
    half = dict(zip(known.family_names, half_of(known, SEED).tolist(), strict=True))
    family = scored.of_counts("family")
    names = {row: family[key] for key, own in scored.rows().items() for row in own.values()}
    rows, halves = scored.sampled
    assert [half[names[tuple(row[1:])]] for row in rows.tolist()] == halves.tolist()
    assert set(halves.tolist()) == {0, 1}


def test_the_sample_keeps_to_its_budget(scored):
    """The documents of the sample have at most proxy.sample_tokens tokens, copies included."""
    tokenizer = scored.tokenizer()
    total = sum(len(tokenizer.encode(scored.texts[key]).ids) for key in scored.trained_keys())
    assert 2000 < total <= 16000


def test_seen_is_epochs_times_occurrences_in_what_was_trained_on(scored):
    """A proxy has seen a sequence as often as its words occur in its documents, each epoch."""
    known = catalogue(scored.counts)
    half = dict(zip(known.family_names, half_of(known, SEED).tolist(), strict=True))
    family = scored.of_counts("family")
    trained: list[dict[int, list[str]]] = [{}, {}]
    for key in scored.trained_keys():
        trained[half[family[key]]][key] = reference.words(scored.texts[key])
    halves = {"half-a": (0,), "half-b": (1,)}
    names = set()
    for row in scored.sequences:
        inside = whole_words(scored.texts[row["row_key"]], row["start_byte"], row["end_byte"])
        if not inside:
            continue
        in_half = [sum(count_in(own, inside) for own in part.values()) for part in trained]
        for proxy in row["proxies"]:
            name = proxy["proxy"]
            names.add(name)
            times = sum(in_half[number] for number in halves.get(name, (0, 1)))
            assert proxy["seen"] == times * (1 if name.endswith("-early") else 2)
    assert {"p0", "p1", "p2", "p0-early", "half-a", "half-b"} <= names


def test_the_gap_is_of_rows_that_one_half_saw(scored):
    """The gap is the bits that one half saves over the other, null where both or neither saw it."""
    gaps = 0
    for row in scored.sequences:
        by_name = {proxy["proxy"]: proxy for proxy in row["proxies"]}
        first, second = by_name["half-a"], by_name["half-b"]
        if bool(first["seen"]) == bool(second["seen"]):
            assert row["gap_bits"] is None
            continue
        inside, outside = (first, second) if first["seen"] else (second, first)
        bits = (inside["log_p_z"] - outside["log_p_z"]) / np.log(2)
        assert row["gap_bits"] == pytest.approx(bits, rel=1e-4, abs=1e-4)
        gaps += 1
    assert gaps > 10


def test_early_proxies_score_only_what_they_saw(scored):
    """A proxy after one epoch has no statistics of unseen rows; all others score every row."""
    for row in scored.sequences:
        names = [proxy["proxy"] for proxy in row["proxies"]]
        early = [proxy for proxy in row["proxies"] if proxy["proxy"].endswith("-early")]
        assert {"p0", "p1", "p2", "half-a", "half-b"} <= set(names)
        assert all(proxy["seen"] > 0 for proxy in early)
        assert len(names) == len(set(names))


def test_the_window_count_is_of_a_window_that_overlaps(scored):
    """The window count is the largest count of a window of words that the sequence touches."""
    counted = Counter(
        window for text in scored.texts.values() for window in reference.windows(text, 12)
    )
    for row in scored.sequences:
        text = scored.texts[row["row_key"]]
        touched = [
            place
            for place, (first, last) in enumerate(reference.byte_spans(text))
            if first < row["end_byte"] and last > row["start_byte"]
        ]
        overlapping = [
            counted[window]
            for place, window in enumerate(reference.windows(text, 12))
            if touched and place <= touched[-1] and place + 11 >= touched[0]
        ]
        largest = max(overlapping, default=0)
        assert row["window_count"] == (largest if largest > 1 else 0)


def test_facts_say_what_the_proxies_were_made_from(scored):
    """Tokenizer, seeds, dilution and the families trained on are on record."""
    facts = scored.done.manifest["outputs"]["sequences/all"]["facts"]
    assert facts["tokenizer"]["digest"] == Language(scored.tokenizer()).digest
    assert facts["tokenizer"]["trained_here"]
    assert facts["seeds"] == {"sample": SEED, "initial_weights": SEED, "order": SEED}
    assert facts["precision"] == "fp32"
    sample = facts["sample"]
    assert sample["dilution"] == round(facts["corpus_tokens"] / sample["tokens"], 3) > 1
    (path,) = scored.done.folder.rglob("models/sample.json")
    manifest = json.loads(path.read_bytes())
    assert set(manifest["half_of_family"]) == scored.trained_families()
    assert manifest["rows"] == sample["training_sequences"]


class Killed(BaseException):
    """Stands for the end of the process."""


def unscored(scored, folder):
    """Copy a scored run as a kill before scoring would have left it."""
    shutil.copytree(scored.done.folder, folder)
    with open_run(folder) as opened:
        opened.forget(["sequences/all", "risk/all"])
    return folder


@pytest.mark.slow  # tests/unit/score/test_proxy_resume.py: a training alone, by default
@pytest.mark.parametrize(
    "place",
    [
        pytest.param(("training", 40), id="training"),
        pytest.param(("scoring", 3), id="scoring"),
    ],
)
def test_a_killed_score_goes_on_and_ends_with_the_same_bytes(tmp_path, scored, monkeypatch, place):
    """Killed in training or scoring, it takes up what was kept; nothing of it stays behind."""
    note, least = place
    folder, heard = unscored(scored, tmp_path / "run"), []
    progress_of = pool.WorkerPool.progress_of

    def dying(pool, name, cost):
        tell = progress_of(pool, name, cost)

        def on_progress(done, total):
            heard.append(1)
            if note in pool._note and len(heard) > least:
                raise Killed
            tell(done, total)

        return on_progress

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "SECONDS", 0.0)
        patch.setattr(pool.WorkerPool, "progress_of", dying)
        if note == "scoring":
            patch.setattr(pool.WorkerPool, "map", counting_from_scoring(heard))
        with pytest.raises(Killed):
            score(folder, *SETTINGS)
    left = {path.name for path in (folder / ".unfinished" / "all").iterdir()}
    assert any(name.endswith(note) for name in left)
    steps, step = [], train._step

    def counted(*given):
        steps.append(1)
        return step(*given)

    with monkeypatch.context() as patch:
        patch.setattr(train, "_step", counted)
        score(folder, *SETTINGS)
    sizes = [len(scored.taught[0])] * 3 + np.bincount(scored.taught[1]).tolist()
    undisturbed = sum(2 * -(-size // 16) for size in sizes)
    assert len(steps) < undisturbed if note == "training" else not steps
    assert_same_files(folder, scored.done.folder)
    assert not (folder / ".unfinished").exists()


def counting_from_scoring(heard):
    """Return `Crew.map` that forgets what was heard of before scoring."""
    perform = pool.WorkerPool.map

    def performing(pool, note, *rest):
        heard.clear()
        return perform(pool, note, *rest)

    return performing


def test_loaded_models_score_and_forecast_nothing(tmp_path, scored):
    """Models of a folder stand in for training: statistics, nothing seen, no forecast and why."""
    folder = unscored(scored, tmp_path / "run")
    models = [str(scored.done.folder / "models" / name) for name in ("p2", "p0")]
    score(folder, *SETTINGS, f"proxy.models={json.dumps(models)}")
    done = type(scored.done)(folder, [])
    rows = done.table("sequences").to_pylist()
    assert {proxy["seen"] for row in rows for proxy in row["proxies"]} == {0}
    assert {tuple(p["proxy"] for p in row["proxies"]) for row in rows} == {("m0", "m1")}
    facts = {name: entry["facts"] for name, entry in done.manifest["outputs"].items()}
    about = facts["sequences/all"]["proxies"]
    assert [(one["role"], one["source"]) for one in about] == [
        ("loaded", models[1]),
        ("loaded", models[0]),
    ]
    assert "unknown" in facts["sequences/all"]["seen"]
    own = {proxy["proxy"]: proxy["parameters"] for proxy in facts_of(scored)["proxies"]}
    assert [one["parameters"] for one in about] == [own["p0"], own["p2"]]
    risk = done.table("risk")
    assert risk["risk"].null_count == len(risk) == len(rows)
    assert "loaded" in facts["risk/all"]["why_not"]
    same = {(row["row_key"], row["start_token"]): row for row in scored.sequences}
    both = [(row, same[row["row_key"], row["start_token"]]) for row in rows if place(row) in same]
    assert len(both) > 20
    for row, other in both:  # the very models that were trained, read back by transformers
        expected = {proxy["proxy"]: proxy["log_p_z"] for proxy in other["proxies"]}
        found = [proxy["log_p_z"] for proxy in row["proxies"]]
        assert found == pytest.approx([expected["p0"], expected["p2"]], rel=1e-3, abs=1e-2)


def test_loaded_models_that_were_trained_on_the_corpus_are_a_ladder(tmp_path, scored):
    """Declared to have seen all of it they count as taught, and forecast as trained ones do."""
    folder = unscored(scored, tmp_path / "run")
    models = [str(scored.done.folder / "models" / name) for name in ("p0", "p1", "p2")]
    declared = ("proxy.trained_on=corpus", "proxy.epochs=3", "proxy.trained_tokens=90000")
    score(folder, *SETTINGS, f"proxy.models={json.dumps(models)}", *declared)
    done = type(scored.done)(folder, [])
    rows = done.table("sequences").to_pylist()
    assert all(
        proxy["seen"] == 3 * row["sequence_count"] for row in rows for proxy in row["proxies"]
    )
    facts = {name: entry["facts"] for name, entry in done.manifest["outputs"].items()}
    about = facts["sequences/all"]["proxies"]
    assert {(one["role"], one["tokens"]) for one in about} == {("ladder", 90_000)}
    assert facts["sequences/all"]["seen"].startswith("as declared")
    assert done.table("plants").num_rows == 0
    risk = facts["risk/all"]
    assert risk["floor"]["sequences"] == 0
    assert risk["fitted"] is (risk["memorized"][-1]["families_memorized"] >= 3)
    assert risk["fitted"] == (done.table("risk")["risk"].null_count == 0)


def test_checkpoints_of_one_model_saw_the_corpus_in_proportion(tmp_path, scored):
    """Each has tokens of its own; the later one is last, wherever it stands, and saw all epochs."""
    folder = unscored(scored, tmp_path / "run")
    models = [str(scored.done.folder / "models" / name) for name in ("p2", "p2-early", "p0")]
    declared = ("proxy.trained_on=corpus", "proxy.epochs=3")
    tokens = "proxy.trained_tokens=[90000, 30000, 20000]"
    score(folder, *SETTINGS, f"proxy.models={json.dumps(models)}", *declared, tokens)
    done = type(scored.done)(folder, [])
    facts = {name: entry["facts"] for name, entry in done.manifest["outputs"].items()}
    about = [
        (one["proxy"], Path(one["source"]).name, one["tokens"], one["epochs"])
        for one in facts["sequences/all"]["proxies"]
    ]
    assert about == [
        ("m0", "p0", 20_000, 3),
        ("m1", "p2-early", 30_000, 1.0),
        ("m2", "p2", 90_000, 3),
    ]
    for row in done.table("sequences").to_pylist():
        seen = {one["proxy"]: one["seen"] for one in row["proxies"]}
        count = row["sequence_count"]
        assert seen == {"m0": 3 * count, "m1": count, "m2": 3 * count}
    assert "earlier checkpoints in proportion to their tokens" in facts["sequences/all"]["seen"]
    assert facts["risk/all"]["target"]["tokens"] > 0
    assert facts["risk/all"]["fitted"] == (done.table("risk")["risk"].null_count == 0)


@pytest.mark.parametrize(
    ("share", "seen"),
    [(1.0, [0, 2, 4, 20]), (0.5, [0, 1, 2, 10]), (0.1, [0, 1, 1, 2]), (0.001, [0, 1, 1, 1])],
)
def test_an_earlier_checkpoint_saw_a_text_at_least_once(share, seen):
    """In whole times, of two epochs; what no epoch has was never seen."""
    model: Any = None  # is not asked
    proxy = ensemble.Proxy("m0", "ladder", model, (0,), 2, 9, 0.0, "cpu", share=share)
    found = sequence_table.times_seen(np.array([0, 1, 2, 10]), proxy)
    assert found.tolist() == seen


@pytest.mark.parametrize(
    ("tokens", "found"),
    [
        ("[5]", "a list of 1, and proxy.models one of 2: give a number for each model"),
        ("[]", "a list of 0, and proxy.models one of 2"),
        ("[5, 6, 7]", "a list of 3, and proxy.models one of 2"),
        ("[5, 0]", "has a 0 in its list: a model that was trained on nothing knows no text"),
        ("[5, -1]", "greater than or equal to 0 (given: [5, -1])"),
        (f"[5, {10**19}]", "at most 1,000,000,000,000,000,000: the forecast is of no use there"),
        ("['x', 5]", "a valid integer"),
    ],
)
def test_tokens_that_do_not_tell_of_each_model_are_refused(tokens, found):
    """The error says what is wrong with the list."""
    with pytest.raises(ConfigError) as caught:
        load_config(settings=["proxy.models=['a', 'b']", f"proxy.trained_tokens={tokens}"])
    assert found in str(caught.value)
    assert "proxy" in caught.value.where


def test_tokens_that_fall_are_said():
    """They are allowed, since which of two checkpoints is the earlier one follows from them."""
    models = ("proxy.models=['late', 'early']", "proxy.trained_on=corpus")
    said = sequences.falling(load_config(settings=[*models, "proxy.trained_tokens=[9, 3]"]).proxy)
    assert said.startswith("proxy.trained_tokens falls from 9 (late) to 3 (early)")
    for told in ("[3, 9]", "[9, 9]", "9", "0"):
        config = load_config(settings=[*models, f"proxy.trained_tokens={told}"])
        assert sequences.falling(config.proxy) == ""


def place(row):
    """Return which sequence a row is of."""
    return row["row_key"], row["start_token"]


def facts_of(scored):
    """Return the facts of scoring."""
    return scored.done.manifest["outputs"]["sequences/all"]["facts"]


def test_the_last_mark_of_a_training_is_what_its_plants_say(scored):
    """Recited plants by how often they were taught, of each size; three moments, the last the end.

    Doses grow with the moments, and those outside are never taught.
    """
    plants, marks = scored.done.table("plants").to_pylist(), scored.done.table("dynamics")
    rows = [row for row in marks.to_pylist() if row["steps_since"] is None]
    epochs = facts_of(scored)["sample"]["epochs"]
    sizes = [one["proxy"] for one in facts_of(scored)["proxies"] if one["role"] == "ladder"]
    assert list(dict.fromkeys(row["proxy"] for row in rows)) == sizes
    for name in sizes:
        expected: Counter[tuple[int, str]] = Counter()
        for one in (one for one in plants if one["kind"] == "exact"):
            dose = one["copies"] * epochs if one["inside"] else 0
            level = 1 << (dose.bit_length() - 1) if dose else 0
            [said] = [p for p in one["proxies"] if p["proxy"] == name]
            expected[level, "texts"] += 1
            expected[level, "memorized"] += said["memorized"]
        own = [row for row in rows if row["proxy"] == name]
        moments = sorted({row["share_of_training"] for row in own})
        assert len(moments) == 3
        assert moments[-1] == 1.0
        last = [row for row in own if row["share_of_training"] == 1.0]
        assert {
            (row["taught"], key): row[key] for row in last for key in ("texts", "memorized")
        } == {key: expected[key] for key in expected}
        first = [row for row in own if row["share_of_training"] == moments[0]]
        assert max(row["taught"] for row in first) < max(row["taught"] for row in last)
        assert first[0]["texts"] == last[0]["texts"]


def test_proxies_are_trained_with_the_targets_tokenizer(tmp_path, scored):
    """A given tokenizer is taken as it is, and a sequence begins after its own end of text."""
    given = tmp_path / "target"
    given.mkdir()
    tokenizer = train_tokenizer(["other merges, others altogether"] * 9, 290)
    tokenizer.add_special_tokens(["<end>"])
    (given / "tokenizer.json").write_text(tokenizer.to_str())
    (given / "tokenizer_config.json").write_text('{"eos_token": "<end>"}')
    taught, train_all = [], ensemble.train_all

    def noted(rows, half, *rest):
        taught.append(rows)
        return train_all(rows, half, *rest)

    folder = unscored(scored, tmp_path / "run")
    with pytest.MonkeyPatch.context() as patch:
        few_plants(patch)
        patch.setattr(ensemble, "train_all", noted)
        score(folder, *SETTINGS, "proxy.epochs=1", f"proxy.tokenizer={given}")
    done = type(scored.done)(folder, [])
    about = done.manifest["outputs"]["sequences/all"]["facts"]["tokenizer"]
    end = tokenizer.token_to_id("<end>")
    assert end is not None
    assert (about["end_of_text"], about["tokens"], about["trained_here"]) == (end, end + 1, False)
    assert set(taught[0][:, 0].tolist()) == {end}
    saved = json.loads((folder / "models/p0/config.json").read_bytes())
    assert (saved["eos_token_id"], saved["vocab_size"]) == (end, end + 1)


def test_other_weights_under_the_same_name_are_another_stage(tmp_path):
    """What a folder of a model holds is in the fingerprint; a hub name stands for itself."""
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(bytes(3 << 20))
    config = load_config(settings=[f"proxy.models={tmp_path}"])
    before = sequences.settings(config)
    assert sequences.settings(config) == before
    weights.write_bytes(bytes((3 << 20) - 1) + b"\x01")
    assert sequences.settings(config) != before
    assert sequences.settings(load_config(settings=["proxy.models=a/b"]))[2:] == [[]]
    assert len(sequences.settings(load_config())) == 2


def test_the_default_budget_is_that_of_the_device(monkeypatch):
    """A GPU scores 200 million tokens, a CPU 262,144, unless set."""
    config = load_config()
    assert provenance.sequences_at_most(config) == 262_144 // 64
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    assert provenance.sequences_at_most(config) == 200_000_000 // 64
    asked = load_config(settings=["score.max_tokens=6400"])
    assert provenance.sequences_at_most(asked) == 100


def test_a_short_training_forecasts_all_the_same(scored):
    """Plants tell what a corpus that repeats little does not; the order is all that is claimed."""
    risk, facts = (
        scored.done.table("risk"),
        scored.done.manifest["outputs"]["risk/all"]["facts"],
    )
    assert len(risk) == len(scored.sequences)
    assert risk["risk"].null_count == 0
    assert risk["kind"].null_count == len(risk)  # a billion parameters are far beyond these proxies
    assert facts["fitted"] is True
    assert facts["plants_memorized"] >= 3
    assert facts["base_rate"]["sequences"] <= len(risk)
    assert facts["floor"]["rate_of_families_95"][1] > 0
    assert facts["target"]["assumption"].startswith("assumed")
    assert any("not a privacy guarantee" in entry["warning"] for entry in facts["warnings"])
    models = facts["outlook"]["models"]
    assert facts["target"]["half_dose_95"] == models[1]["half_dose_95"]  # a billion is assumed
    assert [model["parameters_in_all"] for model in models] == [10**8, 10**9, 8 * 10**9, 7 * 10**10]
    for model in models:
        low, high = model["half_dose_95"]
        assert 1 < low < model["half_dose"] < high
        shares = [row["recited_95"][1] / row["sequences"] for row in model["by_occurrences"]]
        assert shares[0] < 0.2


def test_plants_are_drawn_in_or_out_and_leave_no_text(scored):
    """As many clusters of a dose inside as outside; each half is taught its own; only numbers."""
    plants = scored.done.table("plants")
    rows = plants.to_pylist()
    exact = [row for row in rows if row["kind"] == "exact"]
    inside = Counter(row["copies"] for row in exact if row["inside"])
    outside = Counter(row["copies"] for row in exact if not row["inside"])
    assert sum(inside.values()) >= 5
    assert all(abs(inside[dose] - outside[dose]) <= 1 for dose in (*inside, *outside))
    for row in rows:
        seen = {proxy["proxy"]: proxy["seen"] for proxy in row["proxies"]}
        taught = 2 * row["copies"] if row["inside"] else 0
        assert seen["p0"] == seen["p2"] == taught == seen["half-a"] + seen["half-b"]
        assert seen["half-a"] == 0 or seen["half-b"] == 0
    assert not any(
        field.type in ("string", "binary") for field in plants.schema if field.name != "kind"
    )


def test_plants_are_taught_as_often_as_they_say(scored):
    """The rows after the sample's are the plants, each as often as its copies, of its half."""
    size = facts_of(scored)["sample"]["training_sequences"]
    rows, halves = (part[size:] for part in scored.taught)
    assert len(rows) == facts_of(scored)["plants"]["sequences"]
    taught = Counter(tuple(row) for row in rows.tolist())
    exact = [
        r for r in scored.done.table("plants").to_pylist() if r["kind"] == "exact" and r["inside"]
    ]
    counts = Counter(taught.values())
    assert all(counts[row["copies"]] >= 1 for row in exact)
    assert set(halves.tolist()) <= {0, 1}
    family, known = scored.of_counts("family"), scored.rows()
    sampled = scored.trained_families()
    sources = {
        family[key] for key, own in known.items() if set(own.values()) & {row[1:] for row in taught}
    }
    assert sources
    assert sources.isdisjoint(sampled)


@pytest.mark.parametrize(
    "texts", [["a few words", "some other words", "天地"], ["", "..."], ["one word " * 2] * 3]
)
def test_a_corpus_without_sequences_is_no_error(tmp_path, make_corpus, scan, texts):
    """Documents shorter than a sequence give no rows, no proxies and no forecast."""
    corpus = make_corpus(tmp_path / "corpus", {"a.jsonl": texts})
    done = scan(corpus, tmp_path / "run", *SETTINGS, filtered=False)
    score(done.folder, *SETTINGS)
    assert done.table("sequences").num_rows == 0
    assert done.table("risk").num_rows == 0
    assert done.table("document_risk").num_rows == 0
    facts = done.manifest["outputs"]["risk/all"]["facts"]
    assert facts["fitted"] is False


@pytest.mark.parametrize(
    ("rows", "scored", "batch", "said"),
    [
        (0, 40, 16, "no text of 64 tokens to train on"),
        (800, 0, 16, "no text of 64 tokens to score"),
        (19 * 16, 40, 16, "learn in 19 steps"),
        (20 * 16, 40, 16, ""),
        (20 * 16, 40, 17, "learn in 19 steps"),
    ],
)
def test_what_cannot_be_forecast_is_known_before_a_training(rows, scored, batch, said):
    """Without rows, without sequences and with few steps it is said, with what would help."""
    found = sequences.foreseen(rows, scored, load_config(settings=[f"proxy.batch={batch}"]).proxy)
    assert said in found
    assert bool(found) == bool(said) == ("What would help: more" in found)


def test_it_is_said_before_the_proxies_are_trained(tmp_path, make_corpus, scan, monkeypatch):
    """An alarm first, then the time, then the trainings."""
    said = []
    monkeypatch.setattr(Silent, "message", lambda _, text: said.append(text))
    train_all = ensemble.train_all

    def noted(*given):
        said.append("trained")
        return train_all(*given)

    monkeypatch.setattr(ensemble, "train_all", noted)
    prose = Prose(5)
    texts = [prose.text(120) for _ in range(12)]
    corpus = make_corpus(tmp_path / "corpus", {"a.jsonl": texts})
    done = scan(corpus, tmp_path / "run", *SETTINGS, filtered=False)
    score(done.folder, *SETTINGS, "proxy.batch=1024")
    alarm, time, trained = said[-3:]
    assert alarm.startswith("ALARM  There")
    assert "What would help" in alarm
    assert "sequences to score: about 1 min" in time
    assert trained == "trained"


SAID = {"a.jsonl": (True, False), "b.parquet": (2, 0), "c.jsonl": ("Yes", "no")}
DECLARED = ("proxy.trained_on=corpus", "proxy.seen_column=saw")
NAMED = ("row_key", "shard", "row")


@pytest.fixture(scope="module")
def declared(tmp_path_factory, make_corpus, scan, scored):
    """Score by loaded models a corpus of which a column says what they saw; with the copies seen.

    Text n has 1 + n % 3 copies, of which n % (2 + n % 3) are marked.
    """
    folder = tmp_path_factory.mktemp("declared")
    prose, copies = Prose(8), {}
    rows: dict[str, list[dict[str, object]]] = {name: [] for name in SAID}
    for number, name in zip(range(36), cycle(SAID), strict=False):
        text, count = prose.text(90), 1 + number % 3
        copies[text] = (count, number % (1 + count))
        rows[name] += [
            {"text": text, "saw": SAID[name][0 if place < copies[text][1] else 1]}
            for place in range(count)
        ]
    done = scan(make_corpus(folder / "corpus", rows), folder / "run", *SETTINGS, filtered=False)
    models = [str(scored.done.folder / "models" / name) for name in ("p0", "p2")]
    score(done.folder, *SETTINGS, f"proxy.models={json.dumps(models)}", *DECLARED)
    by_key = {key: rows[shard][row]["text"] for key, shard, row in done.rows("counts", *NAMED)}
    return type(done)(done.folder, []), {key: copies[text] for key, text in by_key.items()}


def test_a_column_says_which_rows_loaded_models_saw(declared):
    """Each sequence was seen as often as its copies that the column marks, times the epochs."""
    done, copies = declared
    rows = done.table("sequences").to_pylist()
    seen = [{proxy["seen"] for proxy in row["proxies"]} for row in rows]
    assert seen == [{2 * copies[row["row_key"]][1]} for row in rows]
    assert [row["sequence_count"] for row in rows] == [copies[row["row_key"]][0] for row in rows]
    assert {times for [times] in seen} == {0, 2, 4, 6}


def test_what_the_column_leaves_out_is_the_floor(declared):
    """Of families without a seen row; the models were trained on as many tokens as were seen."""
    done, copies = declared
    facts = {name: entry["facts"] for name, entry in done.manifest["outputs"].items()}
    assert facts["sequences/all"]["seen"] == (
        "as declared: the loaded proxies saw the rows that a column names"
    )
    never = [row for row in done.table("sequences").to_pylist() if not copies[row["row_key"]][1]]
    assert facts["risk/all"]["floor"]["sequences"] == len(never) > 0
    [tokens] = {one["tokens"] for one in facts["sequences/all"]["proxies"]}
    assert 0 < tokens < 2 * facts["sequences/all"]["corpus_tokens"]
    assert set(done.table("risk")["basis"].to_pylist()) == {"seen", "unseen"}


@pytest.mark.parametrize(
    ("name", "rows", "found"),
    [
        ("a.jsonl", [{"text": "a b c", "other": 1}], "no such column"),
        ("a.jsonl", [{"text": "a b c", "saw": "perhaps"}], "words that are neither"),
        ("a.parquet", [{"text": "a b c", "saw": [1]}], "values of type list"),
    ],
)
def test_a_column_that_does_not_say_it_is_refused(tmp_path, make_corpus, scan, name, rows, found):
    """The error names the file and the column, and what is in it."""
    done = scan(make_corpus(tmp_path / "c", {name: rows}), tmp_path / "run", filtered=False)
    config = load_config(settings=["proxy.models=[some]", *DECLARED])
    with run.session(done.folder, config, LocalMapper(1)) as session:
        work = session.work(run.STAGES["sequences"], "all", 1)
        with pytest.raises(SchemaMismatch, match="which rows the loaded models") as caught:
            seen_rows(work, documents_to_score(work))
    assert name in str(caught.value)
    assert found in str(caught.value)


def test_a_column_that_changes_alone_is_noticed(declared):
    """No text tells of it, so the digests of the files are in the fingerprint, if one is named."""
    folder = declared[0].folder
    [first, *_] = shards = load_manifest(folder)["corpus"]["shards"]
    named = load_config(settings=["proxy.models=[some]", *DECLARED])
    assert digests(folder, named) == [shard["content_digest"] for shard in shards]
    assert len(first["content_digest"]) == 32
    assert digests(folder, load_config(settings=["proxy.models=[some]"])) is None
    assert run.STAGES["sequences"].outside is digests


def test_a_column_without_models_that_saw_it_is_refused():
    """It would say nothing of proxies that are trained here."""
    with pytest.raises(ConfigError, match=r"proxy\.trained_on = corpus"):
        load_config(settings=["proxy.seen_column=saw"])
