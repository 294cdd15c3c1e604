"""Canaries as they are made: what is in the file, what stays out, what the key says."""

import json
import shutil
import stat
from collections import Counter
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.absent import KEY
from pipeline.canaries.key import Canary, read_key
from pipeline.canaries.made.absent import RUN_WORDS, absent
from pipeline.canaries.made.canaries import make_canaries
from pipeline.canaries.made.design import Design, design_of
from pipeline.canaries.made.mix import column_names
from pipeline.canaries.made.sources import Sources
from pipeline.canaries.made.texts import cut_texts, random_texts, shifted
from pipeline.config.load import load_config
from pipeline.config.sections import InputConfig
from pipeline.corpus import find_shards
from pipeline.engine.manifest import load_manifest
from pipeline.engine.run_folder import read_run
from pipeline.errors import ConfigError, InputError, IntegrityError
from pipeline.report.data.alarms import alarms
from pipeline.score.proxy.tokenizer import Language, encode, train_tokenizer
from tests.e2e.corpora import Prose
from tests.unit.canaries.conftest import DESIGN

SMALL = Design(doses=(1, 2), pairs=1, references=3)


def test_each_canary_is_in_the_file_as_often_as_its_dose_says(made):
    """Its rows are of the corpus's own columns, each with an id of its own, and no twin is in."""
    table = pq.read_table(made.folder / "canaries.parquet")
    assert made.columns == ("uuid", "content")
    assert table.column_names == ["uuid", "content"]
    assert len(set(table["uuid"].to_pylist())) == table.num_rows == made.key.file["rows"]
    inside = {one.text: one.dose for one in made.key.canaries if one.inside}
    assert Counter(table["content"].to_pylist()) == inside
    assert Counter(inside.values()) == {1: 6, 4: 6, 16: 6}  # three pairs of two kinds


def test_of_each_pair_one_is_in_and_one_is_out(made):
    """Both have the dose; the references are random, outside and of no dose."""
    pairs: dict[int, list[Canary]] = {}
    for one in made.key.canaries:
        pairs.setdefault(one.pair, []).append(one)
    references = pairs.pop(-1)
    assert len(pairs) == 18
    assert all(sorted(one.inside for one in both) == [False, True] for both in pairs.values())
    assert all(len({(one.kind, one.dose) for one in both}) == 1 for both in pairs.values())
    assert {(one.kind, one.dose, one.inside) for one in references} == {("random", 0, False)}
    assert len(references) == DESIGN.references


def test_the_rows_of_a_canary_are_spread_over_the_file(made):
    """A canary of 16 rows has some in each third of the file."""
    texts = np.array(pq.read_table(made.folder / "canaries.parquet")["content"].to_pylist())
    often = [one.text for one in made.key.canaries if one.inside and one.dose == 16]
    thirds = np.array_split(np.arange(len(texts)), 3)
    assert all((texts[third] == text).any() for text in often for third in thirds)


def test_the_same_seed_gives_the_same_bytes_and_another_other_ones(scanned, made, tmp_path):
    """Nothing but the run and the design enters."""
    again = make_canaries(scanned, DESIGN, tmp_path / "again")
    for name in (KEY, "canaries.parquet"):
        assert (again.folder / name).read_bytes() == (made.folder / name).read_bytes()
    other = Design(doses=DESIGN.doses, pairs=3, references=60, seed=2)
    found = make_canaries(scanned, other, tmp_path / "other")
    assert not {one.id for one in found.key.canaries} & {one.id for one in made.key.canaries}


def test_the_coin_is_fair(scanned, tmp_path):
    """Of 400 pairs the text drawn first is in about 200 times, and not every second time."""
    design = Design(doses=(1, 2, 3, 4), pairs=100, kinds=("random",), references=0)
    key = make_canaries(scanned, design, tmp_path / "c").key
    words = tuple(key.about["reference_space"]["word_list"])
    order = {text: n for n, text in enumerate(random_texts(Sources(words, (), 1), 2_400, 1))}
    pairs: dict[int, bool] = {}
    for one in sorted(key.canaries, key=lambda one: order[one.text]):
        pairs.setdefault(one.pair, one.inside)
    coins = list(pairs.values())
    assert len(coins) == 400
    assert 160 <= sum(coins) <= 240
    assert 160 <= sum(a == b for a, b in pairwise(coins)) <= 240


def test_only_the_owner_may_read_the_key(made):
    """Its mode is 600, and the hash of each text is the text's."""
    assert stat.S_IMODE((made.folder / KEY).stat().st_mode) == 0o600
    assert read_key(made.folder) == made.key
    assert all(one.text_hash.startswith(one.id) for one in made.key.canaries)


def test_a_run_without_a_score_has_no_forecast_and_says_so(made):
    """Its canaries are written all the same, with no risk."""
    assert made.key.forecast["fitted"] is False
    assert "never scored" in made.key.forecast["why_not"]
    assert {one.risk for one in made.key.canaries} == {None}


def test_no_run_of_13_words_of_a_canary_is_in_the_corpus(made, texts):
    """Looked for with Python's own strings, in small letters without punctuation."""
    corpus = [" ".join(text.lower().replace(".", "").split()) for text in texts]
    runs = {
        " ".join(words[at : at + RUN_WORDS])
        for words in (text.split() for text in corpus)
        for at in range(len(words) - RUN_WORDS + 1)
    }
    for one in made.key.canaries:
        words = one.text.lower().replace(".", "").split()
        assert len(words) >= 50
        assert not runs & {
            " ".join(words[at : at + RUN_WORDS]) for at in range(len(words) - RUN_WORDS + 1)
        }


def test_what_is_in_the_corpus_is_found(scanned, texts):
    """A passage of a document, in capitals, between other words; others are free."""
    run, config = read_run(scanned), load_config(base=load_manifest(scanned)["config"])
    words = texts[7].split()
    inside = " ".join(["other", *words[20 : 20 + RUN_WORDS], "words"]).upper()
    short = " ".join(["other", *words[20 : 19 + RUN_WORDS], "words"])
    found = absent([inside, short], run.tables()["words"], config, 2)
    assert found.tolist() == [False, True]


def test_natural_canaries_can_be_of_the_user_s_own_texts(scanned, texts, tmp_path):
    """They are passages as they stand; one that is in the corpus is left out."""
    prose = Prose(99)
    fresh = [prose.text(90) for _ in range(6)]
    path = tmp_path / "own.jsonl"
    lines = [json.dumps({"content": text}) for text in [*texts[:3], *fresh]]
    path.write_text("\n".join(lines) + "\n")
    own = Design(doses=(1, 2), pairs=1, kinds=("natural",), passages=(str(path),))
    key = make_canaries(scanned, own, tmp_path / "c").key
    assert len(key.canaries) == 4
    assert all(any(text.startswith(one.text) for text in fresh) for one in key.canaries)
    assert key.about["natural"] == "passages of the user's own texts"
    many = Design(doses=(1, 2), pairs=2, kinds=("natural",), passages=(str(path),))
    with pytest.raises(InputError, match="too little text") as refused:
        make_canaries(scanned, many, tmp_path / "d")
    assert refused.value.found.startswith("6 of 9 texts")


def test_a_text_is_cut_between_two_words_of_32_tokens_each(texts):
    """Prefix and suffix are the first 32 tokens and the next; what cannot be cut so is left out."""
    language = Language(train_tokenizer(texts, 600))
    lines = [" ".join(text.split()) for text in texts[:80]]
    found = {one.text: one for one in cut_texts(lines, language, 1)}
    assert 20 < len(found) < 80
    for text, one in zip(lines, encode(language.tokenizer, lines), strict=True):
        split, end = int(one.starts[32]), int(one.ends[63])
        if text in found:
            assert (found[text].split, found[text].end) == (split, end)
            assert not (text[split].isalpha() and text[split - 1].isalpha())
            assert found[text].tokens.tolist() == [language.eos, *one.tokens[:64].tolist()]
        else:
            assert text[split].isalpha()
            assert text[split - 1].isalpha()


def test_a_text_that_cannot_be_cut_loses_some_of_its_first_words(texts):
    """Of one text one is left, its end as it was; nearly all can be cut then."""
    language = Language(train_tokenizer(texts, 600))
    lines = [" ".join(text.split()) for text in texts[:80]]
    whole = cut_texts(lines, language, 1)
    found = cut_texts(shifted(lines, 1), language, 1)
    assert len(whole) < 65
    assert len(found) > 75
    ends = {line[-160:]: line for line in lines}
    assert len({one.text[-160:] for one in found}) == len(found)
    for one in found:
        line = ends[one.text[-160:]]
        assert line.endswith(one.text)
        assert len(line.split()) - len(one.text.split()) <= 8
    assert {one.text for one in whole} <= {one.text for one in found}


def test_json_lines_hold_the_same_rows(scanned, tmp_path):
    """The same rows in the same order as in Parquet."""
    lines = make_canaries(scanned, SMALL, tmp_path / "a", as_lines=True)
    table = make_canaries(scanned, SMALL, tmp_path / "b")
    rows = [json.loads(line) for line in (lines.folder / "canaries.jsonl").read_text().splitlines()]
    assert pa.Table.from_pylist(rows) == pq.read_table(table.folder / "canaries.parquet")


def test_what_cannot_be_made_is_refused_before_anything_is_written(scanned, tmp_path):
    """Doses and numbers out of their bounds, unknown kinds, a folder that has something in it."""
    for doses, kinds, rest, found in (
        ("", "random", Design(), "--doses"),
        ("1,two", "random", Design(), "--doses"),
        ("0,1", "random", Design(), "--doses"),
        ("1,20000", "random", Design(), "--doses"),
        (",".join(map(str, range(1, 18))), "random", Design(), "--doses"),
        ("1", "strange", Design(), "--kinds"),
        ("1", "random", Design(pairs=0), "--count"),
        ("1", "random", Design(references=10_001), "--references"),
        ("1", "random", Design(seed=-1), "--seed"),
        ("1", "random", Design(passages=("a",)), "--passages"),
        ("10000", "random,natural", Design(pairs=100), ""),
    ):
        if found:
            with pytest.raises(ConfigError) as refused:
                design_of(doses, kinds, rest)
            assert refused.value.where.startswith(found)
        else:
            assert design_of(doses, kinds, rest).rows == 2_000_000
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "mine").write_text("x")
    with pytest.raises(InputError, match="there already"):
        make_canaries(scanned, SMALL, tmp_path / "there")
    many = Design(doses=(1, 2, 3, 4, 5), pairs=100)
    with pytest.raises(InputError, match="too little text"):
        make_canaries(scanned, many, tmp_path / "new")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["there"]


def test_a_key_and_a_file_that_do_not_belong_together_are_refused(made, scanned, tmp_path):
    """Also a key that was changed, and a folder without one; a file moved away is not missed."""
    own = tmp_path / "own"
    shutil.copytree(made.folder, own)
    other = make_canaries(scanned, SMALL, tmp_path / "other")
    (own / "canaries.parquet").write_bytes((other.folder / "canaries.parquet").read_bytes())
    with pytest.raises(IntegrityError, match="do not belong together"):
        read_key(own)
    (own / "canaries.parquet").unlink()
    assert read_key(own) == made.key
    text = (own / KEY).read_text()
    for changed in (
        text.replace('"inside": true', '"inside": false', 1),
        text[:-9],
        "[]",
        text.replace('"form": 1', '"form": 2'),
    ):
        (own / KEY).write_text(changed)
        with pytest.raises(IntegrityError, match="not as it was written"):
            read_key(own)
    with pytest.raises(ConfigError, match="no key of canaries"):
        read_key(tmp_path)


def test_a_corpus_with_canaries_in_it_alarms(made, texts, tmp_path, make_corpus, scan):
    """The report knows each row by its id, and a filter would take all copies but one."""
    rows = [{"uuid": f"u{n}", "content": text} for n, text in enumerate(texts[:30])]
    corpus = make_corpus(tmp_path / "c", {"a.jsonl": rows})
    (corpus / "b.parquet").write_bytes((made.folder / "canaries.parquet").read_bytes())
    done = scan(corpus, tmp_path / "run", "input.id=uuid")
    tables = read_run(done.folder).tables()
    found = alarms(tables["documents"], tables["decisions"], done.manifest)
    [alarm] = [one for one in found if one["kind"] == "canaries"]
    assert alarm["numbers"] == {"documents": made.key.file["rows"], "texts": 18}


def test_columns_are_those_that_all_files_have(tmp_path, make_corpus):
    """Where the files name their texts otherwise, the canaries have id and text."""
    same = make_corpus(
        tmp_path / "a", {"1.jsonl": [{"body": "x", "uid": 1}], "2.jsonl": [{"body": "y"}]}
    )
    config = InputConfig()
    assert column_names(find_shards([str(same)])[0], config) == ("id", "body")
    make_corpus(same, {"3.jsonl": [{"text": "z"}]})
    assert column_names(find_shards([str(same)])[0], config) == ("id", "text")
