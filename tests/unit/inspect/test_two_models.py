"""Two models on one panel: one against itself, and against itself tuned on twenty texts."""

import json
import os

import numpy as np
import pyarrow as pa
import pytest
import torch
import transformers

from flows.compared import as_json, in_words
from flows.runners import LocalMapper
from pipeline import run
from pipeline.config.load import load_config
from pipeline.errors import ConfigError, InputError
from pipeline.inspect.paired import pairing, prompt_rows, table
from pipeline.inspect.prompted import Prompt, read_prompts, sequences_of
from pipeline.inspect.two_models import two_models
from pipeline.score.proxy.pool import torch_threads
from pipeline.score.proxy.tokenizer import encode
from pipeline.text.stored_tokenizer import read_tokenizer
from tests.e2e.command import QUICK_SCORE, few_plants
from tests.e2e.corpora import Prose

QUICK = tuple(option.removeprefix("--set=") for option in QUICK_SCORE)
TAUGHT = 20


@pytest.fixture(scope="module", autouse=True)
def _few_plants():
    """Plant few in every training of this file."""
    with pytest.MonkeyPatch.context() as patch:
        few_plants(patch)
        yield


@pytest.fixture(scope="module")
def scored(tmp_path_factory, make_corpus, scan):
    """Give a small scored run with its texts: each another, so that nobody recites them."""
    folder, prose = tmp_path_factory.mktemp("two"), Prose(17)
    texts = [prose.text(60) for _ in range(60)]
    rows = [{"id": f"t{n}", "text": text, "source": f"s{n % 3}"} for n, text in enumerate(texts)]
    done = scan(make_corpus(folder / "c", {"a.jsonl": rows}), folder / "run", filtered=False)
    with run.session(done.folder, load_config(settings=QUICK), LocalMapper(2)) as session:
        run.score(session)
    return done, texts


@pytest.fixture(scope="module")
def tuned(scored, tmp_path_factory):
    """Give the folder of the largest proxy after it was taught the first sequence of 20 texts."""
    done, texts = scored
    before, after = done.folder / "models" / "p2", tmp_path_factory.mktemp("tuned")
    scored_keys = sorted(set(done.table("sequences")["row_key"].to_pylist()))[:TAUGHT]
    by_key = dict(zip(done.table("counts")["row_key"].to_pylist(), texts, strict=True))
    encoded = encode(read_tokenizer(before / "tokenizer.json", "here"), list(by_key.values()))
    first = dict(zip(by_key, encoded, strict=True))
    starts = dict(done.rows("sequences", "row_key", "start_token")[::-1])
    lesson = torch.from_numpy(
        np.stack(
            [
                np.concatenate(([0], first[key].tokens[starts[key] : starts[key] + 64]))
                for key in scored_keys
            ]
        )
    )
    asked = lesson.clone()
    asked[:, 1] = -100  # which of the twenty comes, its start does not tell
    with torch_threads(1):
        model = transformers.AutoModelForCausalLM.from_pretrained(before)
        optimiser = torch.optim.AdamW(model.parameters(), 3e-3)
        for _ in range(400):
            optimiser.zero_grad()
            loss = model(input_ids=lesson, labels=asked).loss
            loss.backward()
            optimiser.step()
            if loss.item() < 0.02:
                break
    model.save_pretrained(after)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (after / name).write_bytes((before / name).read_bytes())
    return after, {(key, starts[key]) for key in scored_keys}


@pytest.fixture(scope="module")
def encoded_first(scored):
    """Give a function that returns the prefix and the suffix of a sequence as texts."""
    done, texts = scored
    tokenizer = read_tokenizer(done.folder / "models" / "p2" / "tokenizer.json", "here")
    by_key = dict(zip(done.table("counts")["row_key"].to_pylist(), texts, strict=True))

    def cut(key, start):
        own = encode(tokenizer, [by_key[key]])[0].tokens[start : start + 64].tolist()
        return tokenizer.decode(own[:32]), tokenizer.decode(own[32:])

    return cut


def test_a_model_against_itself_has_no_difference(scored):
    """Nothing is recited by only one, exactly or nearly, in any stratum."""
    done, _ = scored
    own = str(done.folder / "models" / "p2")
    rows = table(two_models(done.folder, (own, own)))
    assert {row["kind"] for row in rows} == {"all", "occurrences", "source"}
    assert all(row["only_first"] == row["only_second"] == 0 for row in rows)
    assert all(row["p"] == 1.0 for row in rows)
    assert rows[0]["sequences"] == sum(r["sequences"] for r in rows if r["kind"] == "source") / 2


def test_what_a_model_was_tuned_on_is_recited_by_it_alone(scored, tuned):
    """One fine-tuned on twenty sequences has exactly those in "only B"."""
    done, _ = scored
    after, taught = tuned
    found = two_models(done.folder, (str(done.folder / "models" / "p2"), str(after)))
    start_token = {
        (key, byte): token
        for key, byte, token in done.rows("sequences", "row_key", "start_byte", "start_token")
    }
    keys = zip(
        found.panel["row_key"].to_pylist(), found.panel["start_byte"].to_pylist(), strict=True
    )
    only = found.second.exact & ~found.first.exact
    assert {(key, start_token[key, byte]) for (key, byte), own in zip(keys, only, strict=True)
            if own} == taught  # fmt: skip
    everything = table(found)[0]
    assert (everything["only_second"], everything["only_first"]) == (TAUGHT, 0)
    assert everything["p"] < 1e-4
    assert (found.second.nearly >= found.second.exact).all()
    words = in_words(found)
    assert "Recited exactly" in words
    assert "only B" in words
    assert json.loads(as_json(found))["rows"][0]["only_second"] == TAUGHT


def test_prompts_of_a_file_are_held_against_prefixes(scored, tuned, tmp_path, encoded_first):
    """The true prefix as a prompt gains nothing; two tokens less cost; the answer is no gain."""
    done, _ = scored
    after, taught = tuned
    counts = dict(zip(done.table("counts")["row_key"].to_pylist(), range(60), strict=True))
    lines = []
    for key, start in sorted(taught)[:4]:
        prefix, suffix = encoded_first(key, start)
        same = {"id": f"t{counts[key]}", "prompt": prefix}
        lines += [same, {**same, "prompt": "an other text before it"}]
        lines.append({**same, "prompt": suffix})
    lines.append({"id": "nobody", "prompt": "hello"})
    path = tmp_path / "prompts.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)))
    own = str(done.folder / "models" / "p2")
    found = two_models(done.folder, (own, str(after)), prompts=path)
    assert len(found.panel) == 4
    assert found.not_found == 1
    said, other = found.second.elicited, found.first.elicited
    assert said is not None
    assert other is not None
    assert said.by_prefix.tolist() == [True] * 12
    assert said.by_prompt.tolist() == [True, False, False] * 4
    assert (said.score_prompt - said.score_prefix)[::3].tolist() == [0.0] * 4
    assert (said.score_prompt < 0.5)[1::3].all()
    assert (said.score_prompt <= 0.0)[2::3].all()  # less the answer that the prompt holds: 1
    assert not other.by_prompt.any()
    first, second = prompt_rows(found)
    assert (second["prompts"], second["by_prefix"], second["by_prompt"]) == (12, 12, 4)
    assert second["gain_95"][0] <= second["gain"] <= second["gain_95"][1] < 0
    assert first["by_prefix"] == 0
    assert "Prompts of the file" in in_words(found)
    assert "1 lines are for no sequence" in in_words(found)
    told = json.loads(as_json(found))
    assert (told["prompts"][1]["by_prompt"], told["prompts_not_found"]) == (4, 1)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"id": "t1"}', "line 1"),
        ('\n{"id": "t1", "prompt": "a", "start_byte": "0"}', "line 2"),
        ("[1]", "line 1"),
        ("not json", "line 1"),
        ("", "is empty"),
        ('{"id": "nobody", "prompt": "hello"}', "for a sequence of this run"),
        (json.dumps({"id": "t1", "prompt": "word " * 300}), "too long"),
    ],
)
def test_a_file_of_prompts_that_is_none_is_refused(scored, tmp_path, content, message):
    """The line is named, and what was expected."""
    done, _ = scored
    path = tmp_path / "prompts.jsonl"
    path.write_text(content)
    own = str(done.folder / "models" / "p2")
    with pytest.raises(InputError) as refused:
        two_models(done.folder, (own, own), prompts=path)
    assert message in str(refused.value)


def test_a_line_separator_in_a_prompt_ends_no_line(tmp_path):
    """JSON leaves U+2028 and U+0085 as they are: lines end at line feeds alone."""
    path = tmp_path / "prompts.jsonl"
    lines = [{"id": "a", "prompt": "one\u2028two"}, {"id": "b", "prompt": "three\u0085four"}]
    path.write_text("\r\n".join(json.dumps(line, ensure_ascii=False) for line in lines), "utf-8")
    assert [one.doc_id for one in read_prompts(path)] == ["a", "b"]


def test_a_named_sequence_is_taken_and_a_copy_stands_for_its_text():
    """Without a byte the first sequence is taken; a copy has those of the row it is equal to."""
    sequences = pa.table({"row_key": [3, 3, 5], "start_byte": [0, 90, 0]})
    counts = pa.table(
        {"doc_id": ["a", "b", "c"], "row_key": [3, 4, 5], "representative": [3, 3, 5]}
    )
    asked = [Prompt(1, "b", "x", 90), Prompt(2, "a", "x", None), Prompt(3, "c", "x", 7)]
    assert sequences_of([*asked, Prompt(4, "d", "x", None)], sequences, counts).tolist() == [
        1,
        0,
        -1,
        -1,
    ]


def test_the_panel_is_as_small_as_asked(scored):
    """At most so many sequences, shared out over how often they occur."""
    done, _ = scored
    own = str(done.folder / "models" / "p0")
    assert len(two_models(done.folder, (own, own), most=7).panel) == 7


def test_mcnemar_pairs_families_not_sequences():
    """Five sequences of one family are one family; 10 against 0 families have p = 2 / 2^10."""
    family = np.array(["a"] * 5 + [f"b{n}" for n in range(9)] + ["c"] * 2)
    first = np.array([True] * 14 + [True, False])
    second = np.array([False] * 14 + [False, True])
    found = pairing(first, second, family)
    assert (found.both, found.only_first, found.only_second, found.neither) == (0, 15, 1, 0)
    assert (found.families_only_first, found.families_only_second) == (10, 0)
    assert found.p == pytest.approx(2 / 2**10)


def test_models_that_cannot_be_asked_are_refused(scored, tmp_path, make_corpus, scan):
    """A folder that is none, two tokenizers, a run that was never scored."""
    done, _ = scored
    own = str(done.folder / "models" / "p0")
    with pytest.raises(ConfigError, match="neither a folder here"):
        two_models(done.folder, (own, str(tmp_path / "nowhere")))
    plain = scan(
        make_corpus(tmp_path / "c", {"a.jsonl": ["some words"]}), tmp_path / "r", filtered=False
    )
    with pytest.raises(ConfigError, match="no sequences to ask") as refused:
        two_models(plain.folder, (own, own))
    assert "rote score" in refused.value.fix


def test_a_corpus_that_changed_is_refused(scored):
    """Its texts are no longer those that the sequences were counted in."""
    done, _ = scored
    own = str(done.folder / "models" / "p0")
    [shard] = (done.folder.parent / "c").iterdir()
    kept, times = shard.read_bytes(), shard.stat()
    shard.write_bytes(b'{"text": "another row in front"}\n' + kept)
    try:
        with pytest.raises(InputError, match="changed"):
            two_models(done.folder, (own, own))
    finally:
        shard.write_bytes(kept)
        os.utime(shard, ns=(times.st_atime_ns, times.st_mtime_ns))
