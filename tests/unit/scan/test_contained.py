import random
from fractions import Fraction

import numpy as np
import pyarrow as pa
import pytest

from pipeline.engine import query
from pipeline.errors import ConfigError
from pipeline.inspect.explain import explain
from pipeline.scan import pair_kernels, shingle_sets
from pipeline.scan.repeats import contained, contained_kernels
from schemas.scan.contained import CONTAINED
from tests import reference, truth

ON = "near.containment=0.8"


def prose(seed, count):
    """Return that many random words, hardly any of them twice."""
    draw = random.Random(seed)  # noqa: S311
    return [f"{draw.choice('abcdefgh')}{draw.randrange(10**6)}" for _ in range(count)]


def planted():
    """Return long texts, and (place of the long one, excerpt of it, its share of shingles)."""
    longs = [prose(n, 400) for n in range(6)]
    one, other, third, *_ = longs
    excerpts = [
        (0, one[:60], Fraction(1)),
        (0, one[-75:], Fraction(1)),
        (1, other[100:200], Fraction(1)),
        (1, [*other[10:40], "edited", *other[41:110]], Fraction(91, 96)),
        (2, ["new", *third[200:262]], Fraction(58, 59)),
        (2, [*third[30:90], "and", "a", "tail"], Fraction(56, 59)),
        (2, [w.upper() for w in third[300:370]], Fraction(1)),
        (5, longs[5][:330], Fraction(1)),
    ]
    return [" ".join(words) for words in longs], [
        (place, ", ".join(words) + ".", share) for place, words, share in excerpts
    ]


def found(done):
    """Return the rows of `contained` as {(document, container): (inter, size)}."""
    names = ("document", "container", "inter", "size", "container_size", "containment")
    rows = done.rows("contained", *names)
    assert rows == sorted(rows)
    assert all(inter / size == share for _, _, inter, size, _, share in rows)
    return {row[:2]: row[2:4] for row in rows}


def test_nothing_is_done_unless_it_is_asked_for(tmp_path, make_corpus, scan):
    """By default the table is empty, and the excerpts stay."""
    longs, excerpts = planted()
    texts = [*longs, *(text for _, text, _ in excerpts)]
    done = scan(make_corpus(tmp_path / "c", {"a.jsonl": texts}), tmp_path / "run")
    assert done.table("contained").num_rows == 0
    assert done.manifest["outputs"]["contained/all"]["facts"] == {}
    assert done.table("removed").num_rows == 1  # 330 of 400 words are a near copy


def test_every_planted_excerpt_is_found_and_proved(tmp_path, make_corpus, scan):
    """Paragraphs of 60 words and more, edited a little too: all go, each to the text it is from,
    with the share that brute force gives; nothing else goes.
    """
    longs, excerpts = planted()
    texts = [*longs, *(text for _, text, _ in excerpts)]
    corpus = make_corpus(tmp_path / "c", {"a.jsonl": texts[::2], "b.jsonl": texts[1::2]})
    done = scan(corpus, tmp_path / "run", ON)
    place = {(n % 2) << 40 | n // 2: n for n in range(len(texts))}
    listed = {(place[a], place[b]): proof for (a, b), proof in found(done).items()}
    assert listed == truth.contained(texts)
    gone = done.rows("documents", "row_key", "keeper", "method", "score", "measure", "jaccard")
    removed = {place[row[0]]: (place[row[1]], *row[2:]) for row in gone if row[1] is not None}
    expected: dict[int, tuple[object, ...]] = {
        len(longs) + n: (long, "contained", float(share), "containment", None)
        for n, (long, _, share) in enumerate(excerpts)
    }
    near = len(texts) - 1
    expected[near] = (5, "near", 326 / 396, "jaccard", 326 / 396)
    assert removed == expected


def test_removed_excerpts_carry_their_proof(tmp_path, make_corpus, scan):
    """removed/ names reason, keeper, share, measure and threshold; `explain` says it in words."""
    longs, excerpts = planted()
    texts = [longs[1], excerpts[3][1], excerpts[3][1]]
    done = scan(make_corpus(tmp_path / "c", {"a.jsonl": texts}), tmp_path / "run", ON)
    names = ("rule", "reason", "keeper", "jaccard", "score", "measure", "threshold")
    rows = done.table("removed")["rote"].to_pylist()
    proof = ("drop-copies", "contained", 0, None, 91 / 96, "containment", 0.8)
    assert [tuple(row[name] for name in names) for row in rows] == [proof] * 2
    told = " ".join(explain(done.folder, "a.jsonl#1").split())
    assert "REMOVED as contained in a longer document (rule drop-copies)" in told
    assert (
        "proof: contained in it with 94.8% of its shingles (91 of 96); the threshold is 0.8" in told
    )


def test_the_option_changes_no_other_table(tmp_path, make_corpus, scan):
    """All that a scan counts is the same bytes with and without it."""
    longs, excerpts = planted()
    texts = [*longs, *(text for _, text, _ in excerpts)]
    corpus = make_corpus(tmp_path / "c", {"a.jsonl": texts})
    runs = [scan(corpus, tmp_path / name, *own) for name, own in (("off", ()), ("on", (ON,)))]
    tables = {"contained", "documents", "decisions", "kept", "removed"}
    digests = [
        {
            record["path"]: record["digest"]
            for entry in run.manifest["outputs"].values()
            for record in entry["files"]
            if record["table"] not in {*tables, "seal", "lists"}
        }
        for run in runs
    ]
    assert digests[0] == digests[1]
    again = scan(corpus, tmp_path / "on")
    assert again.performed[0] == "contained/all"
    for table in tables:
        assert again.table(table).equals(runs[0].table(table))


def test_the_threshold_changes_without_a_scan(tmp_path, make_corpus, scan):
    """A scan lists from one half on, so another threshold redoes the filter alone."""
    longs, excerpts = planted()
    texts = [*longs, *(text for _, text, _ in excerpts)]
    corpus = make_corpus(tmp_path / "c", {"a.jsonl": texts})
    scan(corpus, tmp_path / "run", ON)
    done = scan(corpus, tmp_path / "run", "near.containment=1.0")
    assert done.performed == ["documents/all", "decisions/all", "emit/g00000", "seal/all"]
    methods = [method for (method,) in done.rows("documents", "method") if method]
    assert sorted(methods) == ["contained"] * 4 + ["near"]


def random_texts(seed):
    """Return short texts cut out of a few long ones, edited and joined at random."""
    draw = random.Random(seed)  # noqa: S311
    longs = [draw.choices("abcdefghij", k=draw.randint(20, 90)) for _ in range(8)]
    texts = [*longs]
    for _ in range(40):
        long = draw.choice(longs)
        begin = draw.randrange(len(long) - 8)
        cut = long[begin : begin + draw.randint(6, 21)]
        if draw.random() < 0.5:
            cut[draw.randrange(len(cut))] = draw.choice("xyz")
        texts.append(cut)
    texts += [texts[-1], draw.choices("abcdefghij", k=5), ["."]]
    draw.shuffle(texts)
    return [" ".join(text) for text in texts]


def sharing(texts, size, most):
    """Return the (text, longer text) that hold a window that at most `most` texts hold."""
    first = [group[0] for group in truth.exact_groups(texts)]
    length = {place: len(reference.words(texts[place])) for place in first}
    holders: dict[tuple[str, ...], set[int]] = {}
    for place in first:
        for window in reference.windows(texts[place], size):
            holders.setdefault(window, set()).add(place)
    return {
        (a, b)
        for own in holders.values()
        if len(own) <= most
        for a in own
        for b in own
        if length[a] < length[b]
    }


@pytest.mark.parametrize(("seed", "most"), [(1, 64), (2, 64), (3, 3), (4, 1_000_000)])
def test_the_table_is_that_of_brute_force(tmp_path, make_corpus, scan, seed, most):
    """On random texts of at most 16 windows, and long ones: all that share a window are listed,
    with the numbers of the definition.
    """
    texts = random_texts(seed)
    corpus = make_corpus(tmp_path / "c", {"a.jsonl": texts})
    settings = (ON, "window.words=6", f"window.link_documents={most}")
    listed = found(scan(corpus, tmp_path / "run", *settings, filtered=False))
    shared = sharing(texts, 6, most)
    expected = {ends: proof for ends, proof in truth.contained(texts).items() if ends in shared}
    few = {n for n, text in enumerate(texts) if len(reference.words(text)) <= 21}
    assert {ends for ends in expected if ends[0] in few} <= listed.keys() <= expected.keys()
    assert listed == {ends: expected[ends] for ends in listed}
    assert len(listed) > (5 if most < 64 else 20)


def test_ranges_blocks_and_batches_change_nothing(tmp_path, make_corpus, scan, monkeypatch):
    """Hashes in eight ranges, documents in three blocks and pairs one by one: the same table."""
    texts = random_texts(5)
    corpus = make_corpus(tmp_path / "c", {"a.jsonl": texts})
    settings = (ON, "window.words=6")
    monkeypatch.setattr(contained, "CHOSEN", 3)
    whole = found(scan(corpus, tmp_path / "whole", *settings, filtered=False))
    monkeypatch.setattr(contained, "_ranges", lambda _: 3)
    monkeypatch.setattr(contained, "CODES_AT_ONCE", 0)
    monkeypatch.setattr(shingle_sets, "_block_of", lambda _work, keys, *_: np.arange(len(keys)) % 3)
    assert found(scan(corpus, tmp_path / "parts", *settings, filtered=False)) == whole
    assert len(whole) > 20


def test_many_exact_copies_hide_no_excerpt(tmp_path, make_corpus, scan):
    """Different texts are counted, not documents: a text with 99 copies still is a container."""
    longs, excerpts = planted()
    texts = [longs[0]] * 99 + [excerpts[0][1]]
    done = scan(make_corpus(tmp_path / "c", {"a.jsonl": texts}), tmp_path / "run", ON)
    assert found(done) == {(99, 0): (56, 56)}
    assert done.rows("documents", "keeper", "method")[-1] == (0, "contained")


def test_windows_of_too_many_texts_are_passed_over(tmp_path, make_corpus, scan):
    """A passage in more texts than link_documents proposes nothing."""
    passage = prose(1, 70)
    texts = [" ".join([*passage, *prose(n, 30)]) for n in range(2, 7)] + [" ".join(passage)]
    corpus = make_corpus(tmp_path / "c", {"a.jsonl": texts})
    for most, listed in ((6, 5), (5, 0)):
        settings = (ON, f"window.link_documents={most}")
        assert len(found(scan(corpus, tmp_path / "run", *settings, filtered=False))) == listed


def test_shorter_texts_than_a_window_are_not_looked_for(tmp_path, make_corpus, scan):
    """49 words of a longer text stay, 50 go."""
    long = prose(1, 300)
    texts = [" ".join(long), " ".join(long[:49]), " ".join(long[100:150])]
    done = scan(make_corpus(tmp_path / "c", {"a.jsonl": texts}), tmp_path / "run", ON)
    assert found(done) == {(2, 0): (46, 46)}


@pytest.mark.parametrize("setting", ["near.containment=0.49", "near.containment=1.1"])
def test_a_threshold_below_the_floor_is_refused(tmp_path, make_corpus, scan, setting):
    """What no scan lists cannot be asked for."""
    corpus = make_corpus(tmp_path / "c", {"a.jsonl": ["a"]})
    with pytest.raises(ConfigError, match="not valid") as refused:
        scan(corpus, tmp_path / "run", setting)
    assert refused.value.where in ("near", "near.containment")


def sets_of(*documents):
    """Return the sets of documents of (word hashes, shingle hashes), shingles of one word."""
    words = np.cumsum([0, *(len(own) for own, _ in documents)])
    places = [np.arange(len(own), dtype=np.uint32) for own, _ in documents]
    orders = [np.argsort(np.array(hashes, np.uint64)) for _, hashes in documents]
    pick = zip(documents, orders, strict=True)
    return pair_kernels.Sets(
        words,
        np.concatenate([np.array(hashes, np.uint64)[o] for (_, hashes), o in pick]),
        np.concatenate([own[o] for own, o in zip(places, orders, strict=True)]),
        words,
        np.concatenate([np.array(own, np.uint64) for own, _ in documents]),
    )


@pytest.mark.parametrize(
    ("ratio", "turned", "expected"),
    [
        ((3, 4), False, 3),
        ((4, 5), False, 0),
        ((3, 8), True, 3),
        ((2, 5), True, 0),
        ((1, 2), True, 0),
    ],
)
def test_the_share_is_of_the_document_said(ratio, turned, expected):
    """Three of four shingles are shared: 3/4 of the one, 3/8 of the other, to the integer."""
    left = sets_of(([1, 2, 3, 4], [11, 12, 13, 14]))
    right = sets_of(([9], [99]), ([3, 2, 1, 5, 6, 7, 8, 9], [13, 12, 11, 15, 16, 17, 18, 19]))
    inter = np.zeros(1, np.int64)
    pair = np.array([[0, 1]])
    pair_kernels.contained(pair, np.array([turned]), left, right, 1, np.array(ratio), inter)
    assert inter.tolist() == [expected]


def test_a_collision_is_found():
    """One shingle hash over different words proves nothing and is said."""
    left, right = sets_of(([1, 2], [11, 12])), sets_of(([1, 7, 8], [11, 12, 18]))
    inter = np.zeros(1, np.int64)
    pair_kernels.contained(
        np.array([[0, 0]]), np.array([False]), left, right, 1, np.array([1, 2]), inter
    )
    assert inter.tolist() == [pair_kernels.COLLISION]


def met(windows, words, most=9, chosen=9, room=1000):
    """Return what `meet` gives, and how many calls it took; windows: (hash, document)."""
    hashes = np.array([h for h, _ in windows], np.uint64)
    holders = np.array([d for _, d in windows], np.uint32)
    order = np.lexsort((holders, hashes))
    taken, state = np.zeros(len(words), np.uint8), np.zeros(3, np.int64)
    numbers = np.array([most, chosen])
    codes, pairs_met, calls, more = np.empty(room, np.uint64), [], 0, True
    while more:
        more = contained_kernels.meet(
            hashes[order], holders[order], np.array(words), numbers, taken, state, codes
        )
        pairs_met += [divmod(code, 2**32) for code in codes[: state[2]].tolist()]
        calls += 1
    return pairs_met, calls


def test_documents_meet_longer_ones_only():
    """Under each window, the smallest hash first; a window twice in a document counts once."""
    windows = [(7, 0), (7, 1), (7, 1), (7, 2), (5, 2), (5, 0), (9, 1)]
    assert met(windows, [10, 30, 30]) == ([(0, 2), (0, 1), (0, 2)], 1)
    assert met(windows, [10, 30, 30], most=2) == ([(0, 2)], 1)
    assert met(windows, [10, 30, 30], chosen=1) == ([(0, 2)], 1)


def test_windows_that_no_longer_text_holds_are_not_chosen():
    """What a document repeats with shorter ones leaves its choice open."""
    windows = [(1, 0), (1, 1), (2, 1), (2, 2)]
    assert met(windows, [10, 20, 30], chosen=1)[0] == [(0, 1), (1, 2)]


def test_a_full_answer_goes_on_where_it_stopped():
    """With room for one group at a time nothing is lost and nothing comes twice."""
    windows = [(h, d) for h in range(4) for d in range(5)]
    words = [1, 2, 3, 4, 5]
    whole, calls = met(windows, words)
    parts, many = met(windows, words, room=5)
    assert (sorted(parts), calls) == (sorted(whole), 1)
    assert len(whole) == 4 * 10
    assert many > 4


def test_the_query_gives_each_pair_once_in_order():
    """Pairs of several windows come once, by document, then container."""
    rows = [(2**63, 1), (3, 9), (3, 2), (3, 9), (2**63, 1)]
    table = pa.table(list(zip(*rows, strict=True)), schema=contained.MET)
    reader = pa.RecordBatchReader.from_batches(contained.MET, table.to_batches(2))
    listed = query.run("scan/contained", {"met": reader}, schema=contained.MET)
    assert [tuple(row.values()) for row in listed.to_pylist()] == [(3, 2), (3, 9), (2**63, 1)]


def test_the_query_of_a_proof_finds_one_direction(stored):
    """A text in another is not the other in the text."""
    columns = {
        "document": [1, 2],
        "container": [2, 3],
        "inter": [5, 6],
        "size": [6, 9],
        "containment": [5 / 6, 6 / 9],
    }
    paths = {"contained": stored(CONTAINED, **columns)}
    ends = {"document": 1, "container": 2}
    assert query.run("explain/contained", paths, ends).to_pylist() == [
        {"inter": 5, "total": 6, "containment": 5 / 6}
    ]
    turned = {"document": 2, "container": 1}
    assert query.run("explain/contained", paths, turned).num_rows == 0
