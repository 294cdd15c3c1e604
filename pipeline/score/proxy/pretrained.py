"""Existing causal models as proxies, from safetensors only; no code of theirs is run.

A model comes from a folder, or by its hub name from the local cache or the network. What it learnt
is not known, so a loaded proxy counts as not having seen anything.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from pipeline.errors import ConfigError
from pipeline.score.proxy.tokenizer import Language, load_language
from pipeline.score.slices import ROW_TOKENS

if TYPE_CHECKING:
    from pipeline.config.sections import ProxyConfig

WHERE, TOKENIZER = "proxy.models", "proxy.tokenizer"
WANTED = ("*.json", "*.safetensors")
PROBE = (2, 16)  # rows, tokens
CLOSE = 1e-3  # of the largest logit
UNLOADABLE = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    ImportError,
    LookupError,
    OSError,
    RuntimeError,
    SafetensorError,
    TypeError,
    ValueError,
)
"""What transformers may raise for a folder that is not as it must be."""
MLP_ENDS = ("down_proj", "mlp.c_proj", "dense_4h_to_h", "fc2", "fc_out", "output_layer")
# what some architectures do to their logits behind the head's matrix, by the key in their config
DIVIDED, TIMES, CAPPED = "logits_scaling", "logit_scale", "final_logit_softcapping"


@dataclass(frozen=True)
class Loaded:
    """A model from elsewhere that `statistics.ProxyScorer` can score with.

    Attributes:
        name: as configured, a folder or a hub name.
        digest: of its configuration and weights.
        model: the model, of a class of transformers.
        device: where its weights are.
    """

    name: str
    digest: str
    model: Any
    device: str

    @property
    def vocabulary(self) -> int:
        """The number of tokens that it has logits of."""
        return int(self.model.get_output_embeddings().weight.shape[0])

    @property
    def size(self) -> int:
        """The number of parameters that are in no table of embeddings and not in the head."""
        tables = [part.weight for part in self.model.modules() if isinstance(part, nn.Embedding)]
        apart = {id(weight) for weight in (*tables, self.model.get_output_embeddings().weight)}
        return sum(value.numel() for value in self.model.parameters() if id(value) not in apart)

    def hidden(self, tokens: Tensor) -> Tensor:
        """Return the last hidden states (rows, tokens, width) of `tokens` (rows, tokens)."""
        found: Tensor = self.model.base_model(input_ids=tokens, use_cache=False).last_hidden_state
        return found

    @property
    def parts(self) -> list[nn.Module]:
        """The blocks, lowest first: the longest list of modules that the model has."""
        lists = [list(part) for part in self.model.modules() if isinstance(part, nn.ModuleList)]
        return max(lists, key=len, default=[])

    @property
    def neurons(self) -> list[nn.Module]:
        """The projection behind the neurons of each block's MLP, by its name in transformers."""
        return [
            part
            for block in self.parts
            for name, part in block.named_modules()
            if name.endswith(MLP_ENDS)
        ]

    def parameters(self) -> Iterator[nn.Parameter]:
        """Return all weights."""
        found: Iterator[nn.Parameter] = self.model.parameters()
        return found

    def embed(self, tokens: Tensor) -> Tensor:
        """Return what tokens are read as, (..., width)."""
        found: Tensor = self.model.get_input_embeddings()(tokens)
        return found

    def hidden_of(self, vectors: Tensor) -> Tensor:
        """Return the last hidden states (rows, places, width) of what is read there."""
        found: Tensor = self.model.base_model(
            inputs_embeds=vectors, use_cache=False
        ).last_hidden_state
        return found

    def head(self, hidden: Tensor) -> Tensor:
        """Return the logits of hidden states, scaled and capped as the architecture says."""
        logits: Tensor = self.model.get_output_embeddings()(hidden)
        config = self.model.config
        logits = logits * _number(config, TIMES, 1.0) / _number(config, DIVIDED, 1.0)
        cap = _number(config, CAPPED, 0.0)
        return torch.tanh(logits / cap) * cap if cap else logits


def language_of(config: ProxyConfig) -> Language | None:
    """Return the one tokenizer that was given, alone or beside the models; None without one.

    All must encode alike and end a text with the same token.

    Raises:
        ConfigError: when two of them differ.
    """
    named = [] if config.tokenizer is None else [(TOKENIZER, Path(config.tokenizer).expanduser())]
    for name in config.models:
        folder = found_folder(name)
        if not named or (folder / "tokenizer.json").is_file():
            named.append((WHERE, folder))
    found = [(where, folder, load_language(folder, where)) for where, folder in named]
    for where, folder, language in found[1:]:
        if language.digest != found[0][2].digest:
            raise ConfigError(
                "The proxies of a run have one tokenizer; these differ.",
                where=f"{where}: {folder}",
                found=f"{language.size} tokens, digest {language.digest[:12]}",
                expected=f"that of {found[0][1]}: {found[0][2].size} tokens, "
                f"digest {found[0][2].digest[:12]}",
                fix="load models of one family, such as the sizes of one suite",
            )
    return found[0][2] if found else None


def load_models(names: Sequence[str], vocabulary: int, device: str) -> list[Loaded]:
    """Return the models of a run, smallest first.

    Args:
        names: folders or hub names.
        vocabulary: how many tokens the tokenizer has.
        device: where they will run.

    Raises:
        ConfigError: when a model has fewer tokens than the tokenizer.
    """
    found = [_load(name, found_folder(name), device) for name in names]
    for one in found:
        if one.vocabulary < vocabulary:
            raise ConfigError(
                "A model has fewer tokens than its tokenizer.",
                where=f"{WHERE}: {one.name}",
                found=f"{one.vocabulary} tokens in the head",
                expected=f"{vocabulary} or more",
                fix="name the folder of the tokenizer that the model was trained with",
            )
        _probe(one)
    return sorted(found, key=lambda one: one.size)


def found_folder(name: str) -> Path:
    """Return the folder of a model, of the hub's cache or the hub where it is a hub name.

    Raises:
        ConfigError: when the folder has no safetensors weights, or brings code of its own.
    """
    folder = Path(name).expanduser()
    if not folder.is_dir():
        folder = _from_hub(name)
    weights = _weights(folder)
    if not (folder / "config.json").is_file() or not weights:
        other = sorted(p.name for p in folder.iterdir() if p.suffix in {".bin", ".pt", ".pth"})
        raise ConfigError(
            "A model to load has no safetensors weights.",
            where=f"{WHERE}: {name}",
            found=", ".join(other[:3]) or "no weights",
            expected="config.json and *.safetensors: other formats can run code when read",
            fix="save it again: AutoModelForCausalLM.from_pretrained(...).save_pretrained(FOLDER)",
        )
    if _about(folder, name).get("auto_map"):
        raise ConfigError(
            "A model to load brings code of its own, which is never run.",
            where=f"{WHERE}: {name}",
            found="auto_map in config.json",
            expected="an architecture that transformers has",
            fix="choose another model, or one converted to such an architecture",
        )
    return folder


def _weights(folder: Path) -> list[Path]:
    """Return the files of weights; a pipe or a device of such a name is none."""
    return sorted(path for path in folder.glob("*.safetensors") if path.is_file())


def _about(folder: Path, name: str) -> dict[str, Any]:
    """Return what a model's `config.json` says.

    Raises:
        ConfigError: when it is no JSON object.
    """
    try:
        about = json.loads((folder / "config.json").read_bytes())
    except ValueError:
        about = None
    if not isinstance(about, dict):
        raise ConfigError(
            "The configuration of a model to load cannot be read.",
            where=f"{WHERE}: {name}",
            found="a config.json that is no JSON object",
            expected="what save_pretrained writes",
            fix="save the model again: model.save_pretrained(FOLDER)",
        )
    return about


def _from_hub(name: str) -> Path:
    """Return the folder of a hub name in the local cache, downloaded when it is not there.

    Raises:
        ConfigError: when it is neither in the cache nor to be had.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, OfflineModeIsEnabled

    try:
        return Path(snapshot_download(name, allow_patterns=list(WANTED)))
    # offline, unreachable and unknown are subclasses of OSError or of the first two
    except (HfHubHTTPError, HFValidationError, OfflineModeIsEnabled, OSError) as error:
        raise ConfigError(
            "A model to load is neither a folder here nor to be had from the hub.",
            where=f"{WHERE}: {name}",
            found=f"no such folder; the hub: {type(error).__name__}",
            expected="a folder, or a hub name in the local cache or reachable by network",
            fix="check the name; without a network, copy the model here and name its folder",
        ) from error


def _load(name: str, folder: Path, device: str) -> Loaded:
    """Return a model with its weights in float32.

    Raises:
        ConfigError: when transformers cannot load it, or would draw some weights at random.
    """
    from huggingface_hub.errors import StrictDataclassError
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging

    _require_layers(name, folder)
    reader, said = cast("Any", AutoModelForCausalLM), cast("Any", logging)
    said.disable_progress_bar()
    said.set_verbosity_error()  # what matters of its warnings is checked here
    try:
        model, about = reader.from_pretrained(
            folder,
            output_loading_info=True,
            trust_remote_code=False,
            use_safetensors=True,
            local_files_only=True,
            dtype=torch.float32,
        )
    except (*UNLOADABLE, StrictDataclassError) as error:
        raise ConfigError(**_loading_fault(name, _in_a_line(error))) from error
    if about["missing_keys"]:  # transformers would draw them at random
        found = f"no weights of {min(about['missing_keys'])}"
        raise ConfigError(**_loading_fault(name, found))
    for part, value in model.named_parameters():
        if not bool(torch.isfinite(value).all()):
            raise ConfigError(**_loading_fault(name, f"numbers that are not finite in {part}"))
    return Loaded(name, _digest(folder), model.to(device).eval(), device)


def _require_layers(name: str, folder: Path) -> None:
    """Refuse a configuration of more layers than there are weights, since making them may not end.

    Raises:
        ConfigError: for such a one, and for weights that cannot be read.
    """
    try:
        tensors = sum(len(_keys(path)) for path in _weights(folder))
    except (OSError, SafetensorError) as error:
        raise ConfigError(**_loading_fault(name, _in_a_line(error))) from error
    for key, value in _settings(_about(folder, name)):
        if "layer" in key and isinstance(value, int) and not 0 <= value <= tensors:
            found = f"{key} = {value:,} in config.json, and {tensors:,} tensors of weights"
            raise ConfigError(**_loading_fault(name, found))


def _in_a_line(error: Exception) -> str:
    first, _, _ = str(error).partition("\n")
    return f"{type(error).__name__}: {first[:200]}"


def _keys(path: Path) -> list[str]:
    with safe_open(path, framework="pt") as weights:
        return list(weights.keys())


def _settings(about: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield every key and value of a configuration, those of its parts too."""
    for key, value in about.items():
        if isinstance(value, dict):
            yield from _settings(value)
        else:
            yield key, value


def _loading_fault(name: str, found: str) -> dict[str, str]:
    """Return the parts of the error for a model that cannot be loaded."""
    return {
        "what": "A model cannot be loaded.",
        "where": f"{WHERE}: {name}",
        "found": found,
        "expected": "a causal language model in the transformers format",
        "fix": "try AutoModelForCausalLM.from_pretrained on the folder to see all of the reason",
    }


def _digest(folder: Path) -> str:
    """Return one digest of the configuration and weights of a model."""
    total = hashlib.blake2b(digest_size=16)
    for path in sorted([folder / "config.json", *_weights(folder)]):
        with path.open("rb") as stream:
            total.update(hashlib.file_digest(stream, hashlib.blake2b).digest())
    return total.hexdigest()


def _probe(loaded: Loaded) -> None:
    """Refuse a model that cannot be scored with.

    Its logits must be those of its head, no token may see those after it, and a row must fit into
    its context.

    Raises:
        ConfigError: when one of these does not hold.
    """
    context = getattr(loaded.model.config, "max_position_embeddings", None) or ROW_TOKENS
    count = loaded.vocabulary
    tokens = (torch.arange(PROBE[0] * PROBE[1]) * 7919 % count).view(PROBE).to(loaded.device)
    other = tokens.clone()
    other[:, -1] = (other[:, -1] + 1) % count
    with torch.inference_mode():
        logits = loaded.model(input_ids=tokens, use_cache=False).logits
        head, ahead = (loaded.head(loaded.hidden(rows)) for rows in (tokens, other))
    close = CLOSE * float(logits.abs().max())
    faults = {
        f"its context is {context} tokens": context < ROW_TOKENS,
        "its logits are not those of its head": float((logits - head).abs().max()) > close,
        "a token sees those after it": float((head - ahead)[:, :-1].abs().max()) > close,
    }
    for fault, is_so in faults.items():
        if is_so:
            raise ConfigError(
                "A model cannot be scored with.",
                where=f"{WHERE}: {loaded.name}",
                found=fault,
                expected="a causal model of plain logits and a context of 65 tokens",
                fix="choose another model",
            )


def _number(config: object, key: str, default: float) -> float:
    """Return a number of a model's configuration, or the default where it has none."""
    return float(getattr(config, key, None) or default)
