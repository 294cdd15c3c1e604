"""What is added for training: each mitigation is held to the property that it promises."""

import importlib.util
import random
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from pipeline.config.load import load_config
from pipeline.engine.shards import active_shards
from pipeline.engine.stage import Work
from pipeline.engine.tables import write_table
from pipeline.errors import ConfigError, CorruptFile
from pipeline.filter.mitigations import bloom as blooms
from pipeline.filter.mitigations.goldfish import load_tokenizer, loss_masks, token_ids
from pipeline.filter.mitigations.memfree import CHANGES, by_words, distinct, false_rate, memfree
from pipeline.filter.mitigations.sink_ids import changed_sinks, sink_ids
from pipeline.filter.mitigations.token_kernels import in_the_loss, run_hash
from pipeline.score.proxy.tokenizer import train_tokenizer
from schemas.score.risk import RISK

SHARD = 1 << 40
POEM = "tyger tyger burning bright in the forests of the night what immortal hand or eye"


def documents(rows):
    """Return row_key, representative and a text hash by name of text."""
    keys = sorted(rows)
    first: dict[str, int] = {}
    for key in keys:
        first.setdefault(rows[key], key)
    return pa.table(
        {
            "row_key": pa.array(keys, pa.uint64()),
            "representative": pa.array([first[rows[key]] for key in keys], pa.uint64()),
            "text_hash": pa.array([rows[key].encode().ljust(16) for key in keys], pa.binary(16)),
        }
    )


def near(*pairs):
    """Return pairs of near copies."""
    return pa.table(
        {side: pa.array([p[k] for p in pairs], pa.uint64()) for k, side in enumerate("ab")}
    )


def test_copies_and_near_copies_have_one_sink():
    """Rows of a cluster share a number, others have their own."""
    sinks = sink_ids(documents({0: "a", 1: "b", 2: "a", 3: "c", 4: "d"}), near((0, 1), (1, 3)))
    assert len({*sinks[:4].tolist()}) == 1
    assert sinks[4] != sinks[0]


def test_a_sink_stays_when_shards_are_added():
    """A smaller hash in a later shard does not rename the cluster; the same text elsewhere does
    not either: the number is of the text seen first.
    """
    before = sink_ids(documents({0: "m", 1: "n"}), near((0, 1)))
    rows = {0: "m", 1: "n", SHARD: "a", SHARD + 1: "m"}
    after = sink_ids(documents(rows), near((0, 1), (0, SHARD)))
    assert after.tolist() == [before[0]] * 4
    assert changed_sinks(documents(rows), near((0, 1), (0, SHARD)), 1) == 0


def test_when_clusters_join_the_oldest_wins_and_changes_are_counted():
    """A bridge in a later shard joins two clusters: the rows of the younger change, told."""
    rows = {0: "a", 1: "b", 2: "b", SHARD: "bridge"}
    pairs = near((0, SHARD), (1, SHARD))
    old = sink_ids(documents({0: "a", 1: "b", 2: "b"}), near())
    new = sink_ids(documents(rows), pairs)
    assert new.tolist() == [old[0]] * 4
    assert changed_sinks(documents(rows), pairs, 1) == 2
    assert changed_sinks(documents(rows), pairs, 0) == 0


def test_sinks_and_weights_are_in_kept(tmp_path, make_corpus, scan):
    """sink_id is null nowhere; weights of equal texts add up to one over the rows that stay."""
    texts = [POEM, POEM, POEM, f"{POEM} fearful", "another text of its own"]
    corpus = make_corpus(tmp_path / "c", {"a.jsonl": texts})
    asked = ("mitigation.sink_id=true", "mitigation.weights=exact")
    done = scan(corpus, tmp_path / "run", *asked, "policy.rules=[]")
    rows = done.table("kept")["rote"].to_pylist()
    assert [row["weight"] for row in rows] == [pytest.approx(1 / 3)] * 3 + [1.0, 1.0]
    assert len({row["sink_id"] for row in rows[:4]}) == 1
    assert rows[4]["sink_id"] != rows[0]["sink_id"]
    done = scan(corpus, tmp_path / "run", *asked)
    assert [row["weight"] for row in done.table("kept")["rote"].to_pylist()] == [1.0, 1.0]
    done = scan(corpus, tmp_path / "run", "mitigation.weights=effective", "policy.rules=[]")
    weights = [row["weight"] for row in done.table("kept")["rote"].to_pylist()]
    counts = [row["effective_count"] for row in done.table("kept")["rote"].to_pylist()]
    assert weights == pytest.approx([1 / count for count in counts])


def test_joined_clusters_are_counted_over_added_shards(tmp_path, make_corpus, scan):
    """Two texts that are not near each other, then in a later shard one that is near both."""
    shared = " ".join(f"word{n}" for n in range(60))
    one, two = (f"{shared} {' '.join(f'{name}{n}' for n in range(9))}" for name in "ab")
    corpus = make_corpus(tmp_path / "c", {"m.jsonl": [one, two]})
    asked = ("mitigation.sink_id=true", "policy.rules=[]")
    before = scan(corpus, tmp_path / "run", *asked)
    old = [row["sink_id"] for row in before.table("kept")["rote"].to_pylist()]
    assert old[0] != old[1]
    facts = before.manifest["outputs"]["decisions/all"]["facts"]["sinks"]
    assert facts == {"sinks": 2, "documents_with_another_sink_than_before": 0}
    make_corpus(corpus, {"a.jsonl": [shared]})
    after = scan(corpus, tmp_path / "run", *asked)
    new = {row["row_key"]: row["sink_id"] for row in after.table("kept")["rote"].to_pylist()}
    assert new == dict.fromkeys([0, 1, SHARD], old[0])
    facts = after.manifest["outputs"]["decisions/all"]["facts"]["sinks"]
    assert facts == {"sinks": 1, "documents_with_another_sink_than_before": 1}


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    """Give a small tokenizer and its file."""
    made = train_tokenizer([POEM, "the quick brown fox jumps over a lazy dog"] * 3, 320)
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    path.write_text(made.to_str())
    return made, path


def test_a_passage_has_the_same_holes_wherever_it_stands():
    """Whether a token is left out depends on the h before it only."""
    draw = np.random.default_rng(1)
    passage, h = draw.integers(0, 999, 300).astype(np.uint64), 5
    places = []
    for before in (0, 7, 50):
        tokens = np.concatenate([draw.integers(0, 999, before).astype(np.uint64), passage])
        places.append(in_the_loss(tokens, 4, h)[before + h :].tolist())
    assert places[0] == places[1] == places[2]
    assert 0 in places[0]


def test_the_hash_counts_the_order_and_leaves_out_one_of_k():
    """Permuted contexts have other hashes; of many tokens about 1/k are left out."""
    context = np.array([5, 6, 7], np.uint64)
    hashes = {run_hash(context[[*order]], 0, 3, np.uint64(0)) for order in
              ((0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0))}  # fmt: skip
    assert len(hashes) == 6
    tokens = np.random.default_rng(2).integers(0, 50_000, 40_000).astype(np.uint64)
    for k in (2, 3, 4, 32):
        left_out = 1 - in_the_loss(tokens, k, 13).mean()
        assert left_out == pytest.approx(1 / k, abs=0.01)


def test_only_the_h_tokens_before_decide_about_a_token():
    """Another token in its own place, or h + 1 before it, changes nothing; one of the h can."""
    draw, h, k = np.random.default_rng(3), 4, 3
    changed = dict.fromkeys(range(h + 2), 0)  # places before the token
    for _ in range(200):
        tokens = draw.integers(0, 999, h + 2).astype(np.uint64)
        before = in_the_loss(tokens, k, h)[-1]
        for back in changed:
            other = tokens.copy()
            other[-1 - back] += np.uint64(1)
            changed[back] += before != in_the_loss(other, k, h)[-1]
    assert changed[0] == changed[h + 1] == 0
    assert min(changed[back] for back in range(1, h + 1)) > 50


def configured(path):
    """Return a configuration that names a tokenizer."""
    return load_config(settings=[f"mitigation.tokenizer={path}"])


def test_masks_are_over_the_tokens_of_each_text(tokenizer):
    """One flag a token; the first h always count; special tokens of a text are text."""
    made = load_tokenizer(configured(tokenizer[1]), [])
    texts = [POEM, "", "<|endoftext|> fox", "漢字"]
    masks = loss_masks(made, texts, 2, 3)
    assert [len(mask) for mask in masks.to_pylist()] == [len(t) for t in token_ids(made, texts)]
    assert all(all(mask[:3]) for mask in masks.to_pylist())
    assert 0 not in token_ids(made, texts)[2]


def test_masks_without_any_tokenizer_are_refused():
    """A run too small to train proxies has none: that is said, with what to do."""
    with pytest.raises(ConfigError, match="There is no tokenizer") as refused:
        load_tokenizer(load_config(settings=["mitigation.goldfish_k=4"]), [])
    assert "proxy.sample_tokens" in refused.value.fix


def test_a_mask_that_leaves_nothing_in_the_loss_is_refused():
    """One token of one would be all of them."""
    with pytest.raises(ConfigError, match="not valid"):
        load_config(settings=["mitigation.goldfish_k=1"])


def test_loss_masks_are_in_kept_and_the_same_in_copies(tmp_path, make_corpus, scan, tokenizer):
    """With k, h and a tokenizer each row has its mask; without one it is refused by name."""
    corpus = make_corpus(tmp_path / "c", {"a.jsonl": [f"x {POEM}", f"yy z {POEM}"]})
    asked = ("mitigation.goldfish_k=3", "mitigation.goldfish_h=3", "policy.rules=[]")
    done = scan(corpus, tmp_path / "run", *asked, f"mitigation.tokenizer={tokenizer[1]}")
    one, two = (row["loss_mask"] for row in done.table("kept")["rote"].to_pylist())
    shared = len(token_ids(load_tokenizer(configured(tokenizer[1]), []), [f" {POEM}"])[0]) - 3
    assert one[-shared:] == two[-shared:]
    assert False in one
    facts = done.manifest["outputs"]["emit/g00000"]["facts"]
    assert facts["tokens"] == len(one) + len(two)
    assert facts["tokens_left_out"] == [*one, *two].count(False)
    with pytest.raises(ConfigError, match="needs a forecast") as refused:
        scan(corpus, tmp_path / "run", *asked)
    assert "mitigation.goldfish_k" in refused.value.where
    with pytest.raises(ConfigError, match="tokenizer is not there"):
        scan(corpus, tmp_path / "run", *asked, "mitigation.tokenizer=/nowhere")


def test_the_collator_leaves_masked_tokens_out_of_the_loss():
    """Labels are -100 where the mask says so and where there is padding; lengths must agree."""
    path = Path(__file__).parents[3] / "examples" / "goldfish_collator.py"
    spec = importlib.util.spec_from_file_location("goldfish_collator", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    import sys

    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    rows = [
        {"input_ids": [5, 6, 7], "loss_mask": [True, False, True]},
        {"input_ids": [8], "loss_mask": [True]},
    ]
    batch = module.GoldfishCollator(pad=0)(rows)
    assert batch["input_ids"].tolist() == [[5, 6, 7], [8, 0, 0]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1], [1, 0, 0]]
    assert batch["labels"].tolist() == [[5, -100, 7], [8, -100, -100]]
    assert module.GoldfishCollator(pad=0, context=2)(rows)["labels"].tolist() == [
        [5, -100],
        [8, -100],
    ]
    with pytest.raises(ValueError, match="3 tokens"):
        module.GoldfishCollator(pad=0)([{"input_ids": [1, 2, 3], "loss_mask": [True]}])


def some_runs(count, n, seed=3):
    """Return distinct runs of tokens."""
    draw = np.random.default_rng(seed)
    return np.unique(draw.integers(0, 5_000, (count, n)).astype(np.uint64), axis=0)


def test_a_filter_holds_all_that_was_entered_and_few_others():
    """No false negative; false positives as often as expected; all bits of the table are used."""
    runs = some_runs(3_000, 6)
    made = blooms.bloom(runs, 6, 8)
    assert made.bits == 15
    assert made.holds(runs.reshape(-1))[::6].all()
    others = some_runs(40_000, 6, seed=4)
    rate = false_rate(made, runs, others)
    assert rate == pytest.approx(made.expected_rate(), rel=0.5)
    bits = np.unpackbits(made.cells, bitorder="little")
    assert 0.3 < bits.mean() < 0.7  # a mask over another size than 2^m leaves much of it empty
    assert all(0.2 < part.mean() < 0.8 for part in np.array_split(bits, 16))


def test_the_order_of_tokens_counts_in_a_filter():
    """The reverse of a run is another run."""
    runs = some_runs(500, 6)
    made = blooms.bloom(runs, 6, 16)
    assert made.holds(np.ascontiguousarray(runs[:, ::-1]).reshape(-1))[::6].mean() < 0.05


def test_a_filter_comes_back_from_its_file_and_a_damaged_one_is_refused():
    """The documented bytes are enough to ask it; a file cut short is named."""
    runs = some_runs(200, 4)
    made = blooms.bloom(runs, 4, 12)
    data = blooms.to_bytes(made)
    assert data[:8] == b"ROTEBLM1"
    again = blooms.from_bytes(data)
    assert (again.n, again.hashes, again.bits, again.items) == (4, made.hashes, made.bits, 200)
    assert again.holds(runs.reshape(-1))[::4].all()
    for bad in (data[:-1], b"ROTEBLM2" + data[8:], b""):
        with pytest.raises(CorruptFile, match="not a Bloom filter"):
            blooms.from_bytes(bad)


def test_other_letters_or_spaces_evade_a_filter_of_tokens(tokenizer):
    """What MemFree cannot do: the same words in capitals have other tokens."""
    made, _ = tokenizer
    draw = random.Random(5)  # noqa: S311 - a test's own
    passages = [" ".join(draw.choice(POEM.split()) for _ in range(20)) for _ in range(20)]
    runs = distinct(token_ids(made, passages), 5)
    held = blooms.bloom(runs, 5, 16)
    assert all(held.holds(tokens).all() for tokens in token_ids(made, passages))
    shouted = token_ids(made, [text.upper() for text in passages])
    assert np.mean([held.holds(tokens).any() for tokens in shouted]) < 0.2


def test_the_file_holds_the_runs_of_sequences_at_risk_and_no_others(
    tmp_path, make_corpus, scan, tokenizer
):
    """Of two sequences of a document the one at risk is entered; rates and evasions are told."""
    made, path = tokenizer
    text = f"漢 {POEM} — and then the quick brown fox jumps over a lazy dog"
    corpus = make_corpus(tmp_path / "c", {"a.jsonl": ["another", text]})
    done = scan(corpus, tmp_path / "run", filtered=False)
    start, end = len("漢 ".encode()), len(f"漢 {POEM}".encode())
    rows = [(1, start, end, 0.8), (1, end, len(text.encode()), 0.2)]
    names = ("row_key", "start_byte", "end_byte", "risk")
    table = pa.table({name: [row[k] for row in rows] for k, name in enumerate(names)})
    nulls = {
        field.name: pa.array(["seen"] * 2) if field.name == "basis" else
        pa.array([False] * 2) if field.name == "extrapolated" else pa.nulls(2, field.type)
        for field in RISK if field.name not in names
    }  # fmt: skip
    with write_table(done.folder, "risk", "all", RISK) as out:
        out.write(pa.table({**{n: table[n] for n in names}, **nulls}).select(RISK.names))
    words = ("mitigation.memfree_words=5", "mitigation.memfree_n=4")
    asked = (f"mitigation.tokenizer={path}", *words)
    config = load_config(settings=asked)
    shards = tuple(active_shards(done.manifest))
    tables: dict[str, tuple[str, ...]] = {"risk": (out.record.path,)}
    (record, of_words), facts = memfree(Work("seal", "all", done.folder, config, shards, tables))
    held = blooms.from_bytes((done.folder / record.path).read_bytes())
    assert record.path == "mitigation/memfree.bloom"
    assert held.holds(token_ids(made, [f" {POEM}"])[0][1:]).all()
    assert not held.holds(token_ids(made, [" the quick brown fox jumps over"])[0]).any()
    assert facts["memfree"]["sequences"] == 1
    assert facts["memfree"]["false_positives_of_random_runs"] < 0.01
    assert facts["memfree"]["missed_after"]["upper case"] == 1.0
    assert of_words.path == "mitigation/memfree-words.bloom"
    by_word = blooms.from_bytes((done.folder / of_words.path).read_bytes())
    loud = POEM.upper().replace(" ", "\n ")
    assert by_word.holds(by_words([loud])[0].values).all()
    assert not by_word.holds(by_words(["the quick brown fox jumps over"])[0].values).any()
    missed = facts["memfree_words"]["missed_after"]
    assert {missed[name] for name in list(CHANGES)[:4]} == {0.0}
    assert missed["every fourth word left out"] == 1.0
