"""Existing models as proxies: their own logits, one tokenizer, and what is refused."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer

from pipeline.config.load import load_config
from pipeline.config.sections import ProxyConfig
from pipeline.errors import ConfigError
from pipeline.score.probes.neurons import Switched
from pipeline.score.probes.panel import ProbedModel
from pipeline.score.proxy.ensemble import load_all
from pipeline.score.proxy.pool import torch_threads
from pipeline.score.proxy.pretrained import language_of, load_models
from pipeline.score.proxy.statistics import ProxyScorer, statistics
from pipeline.score.proxy.tokenizer import EOS, load_language, tokenizer_config, train_tokenizer

transformers = pytest.importorskip("transformers")
TEXTS = ["the attic ledger lists nine lamps", "naïve façade, 天地玄黄", "tabs\tand  spaces"] * 4
TOKENS = 320
COMMON = {"vocab_size": TOKENS, "hidden_size": 32, "num_hidden_layers": 2, "eos_token_id": 0}
SIZES = {"num_attention_heads": 2, "intermediate_size": 48, "max_position_embeddings": 128}
KINDS = {
    "neox": transformers.GPTNeoXConfig(**COMMON, **SIZES, bos_token_id=0),
    "llama": transformers.LlamaConfig(**COMMON, **SIZES, num_key_value_heads=1, bos_token_id=0),
    "tied": transformers.LlamaConfig(**COMMON, **SIZES, tie_word_embeddings=True, bos_token_id=0),
    "gpt2": transformers.GPT2Config(
        vocab_size=TOKENS, n_embd=32, n_layer=1, n_head=2, n_positions=80, eos_token_id=0
    ),
    "capped": transformers.Gemma2Config(
        **COMMON, **SIZES, num_key_value_heads=1, head_dim=16, final_logit_softcapping=0.5
    ),
    "flat": transformers.OPTConfig(
        vocab_size=TOKENS,
        hidden_size=32,
        num_hidden_layers=2,
        ffn_dim=48,
        num_attention_heads=2,
        max_position_embeddings=128,
        word_embed_proj_dim=32,
        eos_token_id=0,
        bos_token_id=0,
        pad_token_id=0,
    ),
    "scaled": transformers.CohereConfig(
        **COMMON, **SIZES, num_key_value_heads=1, logit_scale=0.25, bos_token_id=0, pad_token_id=0
    ),
}


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Hold Torch at one thread, as a run does."""
    with torch_threads(1):
        yield


@pytest.fixture(autouse=True)
def offline(monkeypatch):
    """Keep the hub out of it."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Return a function that gives the folder of a tiny random model, saved by transformers."""
    base = tmp_path_factory.mktemp("models")
    tokenizer = train_tokenizer(TEXTS, 300)

    def folder(kind):
        path = base / kind
        if not path.exists():
            torch.manual_seed(4)
            model = transformers.AutoModelForCausalLM.from_config(KINDS[kind])
            for value in model.parameters():
                torch.nn.init.normal_(value, std=0.3)
            model.save_pretrained(path)
            (path / "tokenizer.json").write_bytes(tokenizer.to_str().encode())
            (path / "tokenizer_config.json").write_bytes(tokenizer_config())
        return path

    return folder


@pytest.fixture(scope="module")
def rows():
    """Return 20 rows of EOS and 64 tokens."""
    tokens = np.random.Generator(np.random.PCG64(6)).integers(1, TOKENS, (20, 64))
    return np.concatenate((np.zeros((20, 1), np.int64), tokens), axis=1)


@pytest.mark.parametrize("kind", KINDS)
def test_statistics_are_those_of_the_models_own_logits(folders, rows, kind):
    """Head in chunks, capped and scaled as the architecture says: the model's own logits."""
    (one,) = load_models([str(folders(kind))], 300, "cpu")
    found = ProxyScorer(one, batch=8).score(rows)
    model = transformers.AutoModelForCausalLM.from_pretrained(folders(kind)).eval()
    with torch.inference_mode():
        logits = model(torch.from_numpy(rows[:, :-1])).logits
    for name, value in statistics(logits, torch.from_numpy(rows[:, 1:])).items():
        assert found[name] == pytest.approx(value.numpy(), rel=2e-3, abs=2e-3), name


@pytest.mark.parametrize("kind", KINDS)
def test_the_inside_of_a_loaded_model_can_be_read(folders, rows, kind):
    """What tokens are read as gives the same states; each block has its neurons, and gradients."""
    (one,) = load_models([str(folders(kind))], 300, "cpu")
    tokens = torch.from_numpy(rows[:2, :-1])
    with torch.inference_mode():
        apart = (one.hidden_of(one.embed(tokens)) - one.hidden(tokens)).abs().max()
    assert float(apart) < 1e-4
    assert len(one.parts) == len(one.neurons) == (1 if kind == "gpt2" else 2)
    entered = []
    one.neurons[0].register_forward_pre_hook(lambda _, given: entered.append(given[0].shape[-1]))
    one.hidden(tokens)
    assert entered == [128 if kind == "gpt2" else 48]


@pytest.mark.parametrize("kind", ["neox", "llama", "tied", "gpt2"])
def test_the_size_is_without_embeddings_and_head(folders, kind):
    """Tables of tokens and places and the head are left out, tied or not."""
    (one,) = load_models([str(folders(kind))], 300, "cpu")
    total = {name: value.numel() for name, value in one.model.named_parameters()}
    tables = ("embed_in", "embed_tokens", "wte", "wpe", "embed_out", "lm_head")
    inside = [number for name, number in total.items() if not any(t in name for t in tables)]
    assert one.size == sum(inside) < sum(total.values())


def size_of(config):
    """Return the vocabulary of the models that a configuration names."""
    language = language_of(config)
    assert language is not None
    return language.size


@pytest.mark.parametrize("kind", KINDS)
def test_the_neurons_of_a_loaded_model_are_put_in_order(folders, rows, kind):
    """Whatever the shape is that an architecture hands on: OPT lays all tokens side by side."""
    (one,) = load_models([str(folders(kind))], 300, "cpu")
    subject = ProbedModel("m0", "loaded", one, "cpu", 0, np.zeros(1, np.int64), known=False)
    switched = Switched.of(subject)
    assert sorted(switched.order(rows[0]).tolist()) == list(range(switched.total))


def test_loaded_proxies_come_smallest_first_and_have_seen_nothing(folders):
    """Roles, names, digests and what is not known of them."""
    config = ProxyConfig(models=(str(folders("neox")), str(folders("gpt2"))))
    found = load_all(config, size_of(config), 1_000)
    assert [(one.name, one.role, one.halves, one.epochs, one.tokens) for one in found] == [
        ("m0", "loaded", (), 0, 0),
        ("m1", "loaded", (), 0, 0),
    ]
    assert found[0].parameters < found[1].parameters
    assert [one.source for one in found] == [str(folders("gpt2")), str(folders("neox"))]
    assert len({one.identity for one in found}) == 2


def refused(**settings):
    """Return the message with which a configuration is refused."""
    config = ProxyConfig(**settings)
    with pytest.raises(ConfigError) as caught:
        load_all(config, size_of(config), 1_000)
    message = str(caught.value)
    assert all(f"  {part}: " in message for part in ("where", "found", "expected", "to do"))
    return message


def test_a_hub_name_offline_is_one_clear_error():
    """Without a network a name that is not in the cache is refused with what to do."""
    message = refused(models="some-group/no-such-model")
    assert "neither a folder here nor to be had from the hub" in message
    assert "some-group/no-such-model" in message


def test_a_folder_that_is_not_there_is_refused(tmp_path):
    """A path is not taken for a hub name."""
    assert "no such folder" in refused(models=str(tmp_path / "nothing" / "here"))


def copied(folder, into):
    """Copy a model's folder without its weights."""
    into.mkdir()
    for path in folder.iterdir():
        if path.suffix != ".safetensors":
            (into / path.name).write_bytes(path.read_bytes())
    return into


def test_pickled_weights_are_refused(folders, tmp_path):
    """A folder with only a .bin is refused, and the .bin is not read."""
    folder = copied(folders("llama"), tmp_path / "bin")
    (folder / "pytorch_model.bin").write_bytes(b"\x80\x04 never read")
    message = refused(models=str(folder))
    assert "no safetensors weights" in message
    assert "pytorch_model.bin" in message


def test_remote_code_is_refused(folders, tmp_path):
    """A model with code of its own is refused, and the code is not run."""
    folder = copied(folders("llama"), tmp_path / "remote")
    weights = folders("llama") / "model.safetensors"
    (folder / "model.safetensors").write_bytes(weights.read_bytes())
    about = json.loads((folder / "config.json").read_bytes())
    about["auto_map"] = {"AutoModelForCausalLM": "evil.Model"}
    (folder / "config.json").write_text(json.dumps(about))
    (folder / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    assert "never run" in refused(models=str(folder))
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("written", [b"{", b"[]", b"\xff\xfe", b"null", b""])
def test_a_configuration_that_is_none_is_one_clear_error(folders, tmp_path, written):
    """A `config.json` that is cut off, no object or no text is named."""
    folder = copied(folders("llama"), tmp_path / "told")
    weights = folders("llama") / "model.safetensors"
    (folder / "model.safetensors").write_bytes(weights.read_bytes())
    (folder / "config.json").write_bytes(written)
    assert "no JSON object" in refused(models=str(folder))


def test_damaged_weights_are_one_clear_error(folders, tmp_path):
    """Weights that end early are named."""
    folder = copied(folders("llama"), tmp_path / "short")
    weights = (folders("llama") / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(weights[:-100])
    assert "A model cannot be loaded." in refused(models=str(folder))


def test_missing_weights_are_refused_not_drawn_at_random(folders, tmp_path):
    """A file without one of the matrices is no model."""
    folder = copied(folders("llama"), tmp_path / "holed")
    weights = load_file(folders("llama") / "model.safetensors")
    del weights["model.layers.1.mlp.down_proj.weight"]
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    assert "model.layers.1.mlp.down_proj.weight" in refused(models=str(folder))


def test_models_of_two_tokenizers_are_refused(folders, tmp_path):
    """All proxies of a run have one tokenizer; the given one is among them."""
    other = tmp_path / "other"
    other.mkdir()
    (other / "tokenizer.json").write_bytes(train_tokenizer(TEXTS, 280).to_str().encode())
    (other / "tokenizer_config.json").write_bytes(tokenizer_config())
    message = refused(models=str(folders("neox")), tokenizer=str(other))
    assert "these differ" in message


def test_a_model_of_fewer_tokens_than_its_tokenizer_is_refused(folders):
    """A token without an embedding is found before anything is scored."""
    with pytest.raises(ConfigError, match="fewer tokens"):
        load_models([str(folders("neox"))], TOKENS + 1, "cpu")


def test_a_model_that_looks_ahead_is_refused(folders, tmp_path):
    """A model that is not causal has no log-probabilities of a next token."""
    config = transformers.BertConfig(**COMMON, **SIZES)
    model = transformers.BertLMHeadModel(config)
    for value in model.parameters():
        torch.nn.init.normal_(value, std=0.3)
    folder = copied(folders("llama"), tmp_path / "bert")
    model.save_pretrained(folder)
    assert "cannot be scored with" in refused(models=str(folder))


def test_a_short_context_is_refused(folders, tmp_path):
    """A model of fewer places than EOS and 64 tokens is refused."""
    config = transformers.GPT2Config(vocab_size=TOKENS, n_embd=32, n_layer=1, n_head=2)
    config.n_positions = 40
    folder = copied(folders("llama"), tmp_path / "narrow")
    transformers.GPT2LMHeadModel(config).save_pretrained(folder)
    assert "its context is 40 tokens" in refused(models=str(folder))


@pytest.mark.parametrize("named", ["tokenizer_config.json", "config.json"])
def test_the_end_of_text_is_the_tokenizers_own(tmp_path, named):
    """EOS comes from the tokenizer's configuration, else from the model's, by number."""
    tokenizer = Tokenizer.from_str(train_tokenizer(TEXTS, 300).to_str())
    tokenizer.add_special_tokens(["<end>"])
    tokenizer.enable_truncation(3)
    (tmp_path / "tokenizer.json").write_text(tokenizer.to_str())
    number = tokenizer.token_to_id("<end>")
    assert number is not None
    said = {"eos_token": {"content": "<end>"}} if "tokenizer" in named else {"eos_token_id": number}
    (tmp_path / named).write_text(json.dumps(said))
    language = load_language(tmp_path, "proxy.tokenizer")
    assert (language.eos, language.eos_name, language.size) == (number, "<end>", number + 1)
    assert len(language.tokenizer.encode(TEXTS[0]).ids) > 3
    assert number not in language.tokenizer.encode(f"a text with <end> {EOS}").ids


def test_a_tokenizer_without_an_end_is_refused(tmp_path):
    """A tokenizer that names no EOS, and a folder without one, are refused."""
    with pytest.raises(ConfigError, match="There is no tokenizer"):
        load_language(tmp_path, "proxy.tokenizer")
    (tmp_path / "tokenizer.json").write_text(train_tokenizer(TEXTS, 300).to_str())
    with pytest.raises(ConfigError, match="which token ends a text"):
        load_language(tmp_path, "proxy.tokenizer")


def test_one_model_may_be_given_as_a_string():
    """On the command line one name needs no brackets."""
    assert load_config(settings=["proxy.models=a/b"]).proxy.models == ("a/b",)


def changed(folders, into, **about):
    """Return a model's folder with other values in its configuration."""
    folder = copied(folders("llama"), into)
    (folder / "model.safetensors").write_bytes(
        (folders("llama") / "model.safetensors").read_bytes()
    )
    own = json.loads((folder / "config.json").read_bytes())
    (folder / "config.json").write_text(json.dumps({**own, **about}))
    return folder


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_refused(folders, tmp_path, number):
    """One NaN makes every comparison of the probe false, so it is looked for by itself."""
    folder = copied(folders("llama"), tmp_path / "nan")
    weights = load_file(folders("llama") / "model.safetensors")
    weights["model.layers.1.mlp.down_proj.weight"][0, 0] = number
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    message = refused(models=str(folder))
    assert "not finite in model.layers.1.mlp.down_proj.weight" in message


@pytest.mark.timeout(30)
def test_more_layers_than_weights_are_refused(folders, tmp_path):
    """Ten million layers are not made first and refused later."""
    message = refused(models=str(changed(folders, tmp_path / "deep", num_hidden_layers=10_000_000)))
    assert "num_hidden_layers = 10,000,000" in message


@pytest.mark.parametrize(
    "about",
    [
        {"num_attention_heads": 0},
        {"hidden_size": "wide"},
        {"hidden_size": -32},
        {"num_hidden_layers": -1},
        {"num_hidden_layers": None},
        {"vocab_size": []},
        {"rope_parameters": {"rope_type": "unheard"}},
        {"architectures": 7, "model_type": ["llama"]},
    ],
)
def test_a_configuration_of_other_types_is_one_clear_error(folders, tmp_path, about):
    """Whatever transformers raises for it, it is one message that names the model."""
    assert str(tmp_path / "odd") in refused(models=str(changed(folders, tmp_path / "odd", **about)))
