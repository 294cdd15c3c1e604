"""A check of a model: trained on the canaries or not, in a folder, in a file, behind an address."""

import json
import stat
from dataclasses import replace

import pytest

from flows.canary_words import checked_in_words, made_in_words
from pipeline.canaries.checked import endpoint
from pipeline.canaries.checked.answers import read_answers, recites
from pipeline.canaries.checked.check import RESULT, check_canaries, write_prompts
from pipeline.canaries.checked.endpoint import SECRET, ask_endpoint, endpoint_of
from pipeline.canaries.checked.model import ask_model
from pipeline.errors import ConfigError, InputError, TransientIOError
from tests.unit.canaries.served import Served, serving


@pytest.fixture(scope="module")
def after(made, trained):
    """Return what a check of the trained model finds."""
    return check_canaries(made.folder, lambda key: ask_model(key, str(trained)))


def test_a_model_that_was_trained_on_them_recites_the_frequent_ones(after):
    """Of 16 copies all, of one copy none, of the twins none; exposure is the largest there is."""
    shares = {(row["kind"], row["dose"]): row["share"] for row in after["extraction"]}
    for kind in ("random", "natural"):
        assert [shares[kind, dose] for dose in (0, 1, 16)] == [0.0, 0.0, 1.0]
    bits = {(row["kind"], row["dose"]): row for row in after["exposure"]}
    for kind in ("random", "natural"):
        assert bits[kind, 16]["bits"] == bits[kind, 16]["most_bits"]
        assert bits[kind, 1]["bits"] > bits[kind, 1]["untrained_bits"]
    area = {row["dose"]: row["auc"] for row in after["recognition"]}
    assert area[16] == 1.0
    assert after["preferred"]["p"] < 0.01
    assert after["verdict"].startswith("The model was trained on the canaries: it recites")
    assert "no forecast" in after["verdict"]
    assert after["answers"] == {
        "pairs": 18,
        "references": 60,
        "completions": 36,
        "log_p": 96,
        "without_an_answer": None,
    }


def test_an_untrained_model_shows_nothing(made, untrained):
    """No twin and no canary is recited, exposure and recognition are those of chance."""
    found = check_canaries(made.folder, lambda key: ask_model(key, str(untrained)))
    assert sum(row["recited"] for row in found["extraction"]) == 0
    for row in (row for row in found["exposure"] if row["dose"] == 0):
        assert row["bits_95"][0] < row["untrained_bits"] < row["bits_95"][1]
    area = found["recognition"][0]
    assert area["auc_95"][0] < 0.5 < area["auc_95"][1]
    assert found["verdict"].startswith("No trace of the canaries")


def test_the_result_lies_beside_the_key_and_no_text_is_in_it(made, trained):
    """It is for its owner alone; nothing of it, nor of what is printed, quotes a canary."""
    found = check_canaries(made.folder, lambda key: ask_model(key, str(trained)))
    path = made.folder / RESULT
    assert json.loads(path.read_text()) == found
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    said = [path.read_text(), checked_in_words(found, made.folder), made_in_words(made)]
    for one in made.key.canaries[:20]:
        assert not any(one.text[:40] in text or one.suffix in text for text in said)
    assert "twins outside" in said[1]
    assert found["verdict"] in said[1]


def test_answers_from_elsewhere_give_the_same_figures(made, trained, after, tmp_path):
    """Prompts out, completions and log probabilities of the same model in."""
    prompts = tmp_path / "prompts.jsonl"
    assert write_prompts(made.folder, prompts, suffixes=True) == 96
    asked = [json.loads(line) for line in prompts.read_text().splitlines()]
    given = ask_model(made.key, str(trained))
    lines = [
        {
            "id": one["id"],
            "completion": one["suffix"] + " and more" if given.recited[one["id"]] else "no",
            "log_p": given.log_p[one["id"]],
        }
        for one in asked
    ]
    path = tmp_path / "answers.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)) + "\n\n")
    found = check_canaries(made.folder, lambda key: read_answers(path, key))
    for name in ("exposure", "recognition", "preferred"):
        assert found[name] == after[name]
    assert {(r["kind"], r["dose"]): r["recited"] for r in found["extraction"]} == {
        (r["kind"], r["dose"]): r["recited"] for r in after["extraction"]
    }


def test_prompts_tell_neither_the_coin_nor_the_suffix(made, tmp_path):
    """Id and prefix of both texts of each pair, in the order of ids; nothing is written over."""
    path = tmp_path / "prompts.jsonl"
    assert write_prompts(made.folder, path, suffixes=False) == 36
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert [set(row) for row in rows] == [{"id", "prefix"}] * 36
    assert [row["id"] for row in rows] == sorted(row["id"] for row in rows)
    texts = {one.id: one.text for one in made.key.canaries}
    assert all(texts[row["id"]].startswith(row["prefix"]) for row in rows)
    with pytest.raises(InputError, match="there already"):
        write_prompts(made.folder, path, suffixes=False)


def test_missing_answers_are_named_and_the_figures_say_what_they_rest_on(made, tmp_path):
    """One canary has a completion, one a log probability; an id of elsewhere is counted."""
    first, second = made.key.canaries[:2]
    lines = [
        {"id": first.id, "completion": first.suffix},
        {"id": second.id, "log_p": -3},
        {"id": "elsewhere", "log_p": -3},
    ]
    path = tmp_path / "a.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)))
    found = check_canaries(made.folder, lambda key: read_answers(path, key))
    known = [one for one in (first, second) if one.pair >= 0]
    told = found["answers"]
    assert told["completions"] == (first.pair >= 0)
    assert told["log_p"] == 1
    assert told["without_an_answer"].startswith(f"{36 - len(known)} (")
    assert "1 answers have ids" in found["notes"][0]
    assert sum(row["canaries"] for row in found["extraction"]) == (first.pair >= 0)


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("no", "no JSON"),
        ("[1]", "no `id`"),
        ('{"completion": "x"}', "no `id`"),
        ('{"id": "x"}', "neither"),
        ('{"id": "x", "completion": 3}', "no string"),
        ('{"id": "x", "log_p": "3"}', "cannot be"),
        ('{"id": "x", "log_p": 0.5}', "cannot be"),
        ('{"id": "x", "log_p": true}', "cannot be"),
        ('{"id": "x", "log_p": NaN}', "cannot be"),
    ],
)
def test_a_line_that_is_no_answer_is_refused_with_its_number(made, tmp_path, line, found):
    """What is wrong is said; what it says is not quoted."""
    path = tmp_path / "a.jsonl"
    path.write_text(f'{{"id": "{made.key.canaries[0].id}", "log_p": -1}}\n{line}\n')
    with pytest.raises(InputError) as refused:
        read_answers(path, made.key)
    assert found in refused.value.found
    assert refused.value.where.endswith("line 2")


def test_answers_of_other_canaries_twice_or_not_there_are_refused(made, tmp_path):
    """Each is one error."""
    path = tmp_path / "a.jsonl"
    path.write_text('{"id": "elsewhere", "log_p": -1}\n')
    with pytest.raises(InputError, match="not of these canaries"):
        read_answers(path, made.key)
    path.write_text(f'{{"id": "{made.key.canaries[0].id}", "log_p": -1}}\n' * 2)
    with pytest.raises(InputError, match="no answer") as refused:
        read_answers(path, made.key)
    assert "earlier line" in refused.value.found
    with pytest.raises(ConfigError, match="cannot be read"):
        read_answers(tmp_path / "none", made.key)


def test_a_suffix_is_recited_whatever_the_spaces(made):
    """All of it from the start; less, or another start, is not."""
    one = made.key.canaries[0]
    assert recites(one.suffix, one)
    assert recites(f"\n {one.suffix.strip().replace(' ', '  ')} goes on", one)
    assert not recites(one.suffix[:-3], one)
    assert not recites(f"and {one.suffix}", one)


def test_a_folder_without_a_tokenizer_or_a_model_is_refused(made, trained, tmp_path):
    """Before anything is written."""
    bare = tmp_path / "bare"
    bare.mkdir()
    for name in ("config.json", "model.safetensors"):
        (bare / name).write_bytes((trained / name).read_bytes())
    with pytest.raises(ConfigError, match="no tokenizer"):
        ask_model(made.key, str(bare))
    about = json.loads((bare / "config.json").read_text()) | {"max_position_embeddings": 70}
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (bare / name).write_bytes((trained / name).read_bytes())
    (bare / "config.json").write_text(json.dumps(about))
    whole = [replace(one, end=len(one.text)) for one in made.key.canaries[:9]]
    with pytest.raises(ConfigError, match="context of the model is too short"):
        ask_model(replace(made.key, canaries=tuple(whole)), str(bare))
    with pytest.raises(ConfigError, match="neither a folder here"):
        ask_model(made.key, str(tmp_path / "nowhere"))


def test_a_served_model_is_asked_as_one_of_a_folder_is(made, trained, monkeypatch):
    """The same suffixes are recited, with the same log probabilities; the key goes with it."""
    monkeypatch.setenv(SECRET, "s3cret")
    chosen = [one for one in made.key.canaries if one.dose in (0, 16)][:16]
    few = replace(made.key, canaries=tuple(chosen))
    served, own = Served(trained), ask_model(few, str(trained))
    with serving(served) as url:
        found = ask_endpoint(few, endpoint_of(url, "mine"))
    assert found.recited == {one.id: own.recited[one.id] for one in few.canaries if one.pair >= 0}
    assert any(found.recited.values())
    assert found.log_p == pytest.approx(own.log_p, abs=1e-3)
    path, body, headers = served.asked[0]
    assert (path, body["model"], body["temperature"]) == ("/v1/completions", "mine", 0)
    assert headers["Authorization"] == "Bearer s3cret"
    assert "s3cret" not in json.dumps([found.source, found.notes])


def test_a_server_without_echo_is_asked_for_completions_alone(made, trained, monkeypatch):
    """It is noted that there is no exposure; a server that fails now and then is asked again."""
    monkeypatch.setattr(endpoint, "PAUSES_S", (0.01, 0.01))
    few = replace(made.key, canaries=made.key.canaries[:6])
    served = Served(trained)
    served.echoes, served.failures = False, 2
    with serving(served) as url:
        found = ask_endpoint(few, endpoint_of(f"{url}/completions", ""))
    assert found.log_p == {}
    assert found.notes == (endpoint.NO_ECHO,)
    assert len(found.recited) == sum(one.pair >= 0 for one in few.canaries)
    assert sum(bool(body.get("echo")) for _, body, _ in served.asked) == 1
    assert "model" not in served.asked[0][1]


def test_addresses_and_servers_that_cannot_be_asked_are_refused(made, trained, monkeypatch):
    """A file, a password in the address, nobody there, an unknown model, a redirection."""
    monkeypatch.setattr(endpoint, "PAUSES_S", (0.01,))
    for address in ("file:///etc/passwd", "https://me:secret@host/v1", "host/v1", "http://"):
        with pytest.raises(ConfigError, match="address of an endpoint"):
            endpoint_of(address, "")
    served = Served(trained)
    with serving(served) as url:
        with pytest.raises(ConfigError, match="refuses") as refused:
            ask_endpoint(made.key, endpoint_of(url, "unknown"))
        assert "404" in refused.value.found
        with pytest.raises(ConfigError, match="refuses") as refused:
            ask_endpoint(made.key, endpoint_of(url.replace("/v1", "/moved"), ""))
        assert "307" in refused.value.found
        assert all(path != "/v1/completions" or body.get("model") for path, body, _ in served.asked)
    with pytest.raises(TransientIOError, match="cannot be reached"):
        ask_endpoint(made.key, endpoint_of(url, ""))
