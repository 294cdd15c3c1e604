"""Corpora, models, run folders and settings of someone who means harm, on a pseudo-terminal.

No control of theirs reaches the terminal, no traceback, nothing outside the run folder changes, and
each command ends within a minute.
"""

import functools
import json
import os
import random
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from pipeline.absent import MANIFEST
from pipeline.engine.manifest import manifest_bytes
from tests.campaign.case import SECONDS, Case, Found, told
from tests.campaign.ground import LOCAL, ROW, SCORE, Ground
from tests.campaign.hostile_corpora import CORPORA
from tests.campaign.terminal import EVIL, listing, on_terminal
from tests.e2e.command import manifest

READ = ("check", "explain", "query", "filter", "report")


def cases(ground: Ground, seed: int) -> Iterator[Case]:
    """Yield every hostile thing with each command that meets it, in a seeded order."""
    every: list[tuple[str, str, Callable[[Path], str]]] = []
    for name, make in CORPORA.items():
        every.append(("corpora", name, functools.partial(_corpus, make, seed)))
    for name, model in MODELS.items():
        every.append(("models", name, functools.partial(_model, ground, model)))
    for name, harm in RUNS.items():
        every += [
            ("run folders", f"{name}, {asked}", functools.partial(_run, ground, harm, asked))
            for asked in READ
        ]
    for name, words in SETTINGS.items():
        every.append(("settings", name, functools.partial(_settings, ground, words)))
    random.Random(f"{seed} hostile").shuffle(every)
    for row, name, act in every:
        yield Case("hostile", row, name, act)


def _corpus(make: Callable[[Path, int], None], seed: int, folder: Path) -> str:
    corpus, run = folder / "corpus", folder / "run"
    corpus.mkdir()
    (folder / "precious.txt").write_text("precious")
    make(corpus, seed)
    outcomes = []
    for words in (
        ("scan", corpus, "--out", run, *LOCAL, "--set=input.most_rejected=1.0"),
        ("filter", run, *LOCAL),
        ("report", run, *LOCAL),
        ("explain", run, _some_row(corpus)),
    ):
        ended = on_terminal(*words, seconds=SECONDS)
        outcomes.append(told(ended))
        if outcomes[-1] == "refused":
            break
    if (folder / "precious.txt").read_text() != "precious":
        raise Found("lost", "a file outside")
    return "refused" if "refused" in outcomes else "ok"


def _some_row(corpus: Path) -> str:
    names = sorted(path.name for path in corpus.iterdir() if path.is_file())
    return f"{names[0]}#0" if names else "nothing#0"


# -- models


def _weights(folder: Path) -> None:
    import numpy as np
    from safetensors.numpy import save_file

    save_file({"w": np.full((4, 4), np.nan, np.float32)}, folder / "model.safetensors")


def _about(folder: Path, **more: Any) -> None:
    _weights(folder)
    own = {"model_type": "llama", "architectures": ["LlamaForCausalLM"], "vocab_size": 320}
    (folder / "config.json").write_text(json.dumps({**own, **more}))


def _huge_header(folder: Path) -> None:
    _about(folder)
    (folder / "model.safetensors").write_bytes((1 << 62).to_bytes(8, "little") + b"{")


def _index(folder: Path) -> None:
    _about(folder)
    named = {"weight_map": {"w": "../../precious.txt"}, "metadata": {EVIL: EVIL}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(named))


def _fifo(name: str, folder: Path) -> None:
    _about(folder)
    (folder / name).unlink(missing_ok=True)
    os.mkfifo(folder / name)


def _zero(name: str, folder: Path) -> None:
    _about(folder)
    (folder / name).unlink(missing_ok=True)
    (folder / name).symlink_to("/dev/zero")


MODELS: dict[str, Callable[[Path], None]] = {
    "names that escape": functools.partial(_about, architectures=[EVIL], model_type=EVIL),
    "ten million layers": functools.partial(_about, num_hidden_layers=10_000_000),
    "a width of 2^40": functools.partial(_about, hidden_size=2**40),
    "code": functools.partial(_about, auto_map={"AutoModelForCausalLM": f"{EVIL}.Model"}),
    "a header of 2^62 bytes": _huge_header,
    "an index that leads out": _index,
    "config.json is a pipe": functools.partial(_fifo, "config.json"),
    "weights are a pipe": functools.partial(_fifo, "model.safetensors"),
    "tokenizer.json is a pipe": functools.partial(_fifo, "tokenizer.json"),
    "config.json is without end": functools.partial(_zero, "config.json"),
    "weights are without end": functools.partial(_zero, "model.safetensors"),
    "tokenizer.json is without end": functools.partial(_zero, "tokenizer.json"),
    "nothing": lambda _: None,
}


def _model(ground: Ground, make: Callable[[Path], None], folder: Path) -> str:
    model = folder / "models" / "evil\x1b]0;OWNED\x07"
    model.mkdir(parents=True)
    tokenizer = next(ground.whole.rglob("tokenizer.json"))
    shutil.copy(tokenizer, model)
    shutil.copy(tokenizer.with_name("tokenizer_config.json"), model)
    make(model)
    run = shutil.copytree(ground.scanned, folder / "run")
    setting = f"--set=proxy.models={json.dumps([str(model)])}"
    outcome = told(on_terminal("score", run, *LOCAL, *SCORE, setting, seconds=SECONDS))
    if outcome != "refused":
        raise Found("wrong", "a hostile model was scored with")
    return outcome


# -- run folders


def _resealed(change: Callable[[dict[str, Any]], object], run: Path) -> None:
    own = manifest(run)
    change(own)
    (run / MANIFEST).write_bytes(manifest_bytes(own))


def _record(own: dict[str, Any], **values: Any) -> None:
    own["outputs"]["pairs/all"]["files"][0].update(values)


def _shard(own: dict[str, Any], **values: Any) -> None:
    own["corpus"]["shards"][0].update(values)


def _facts(own: dict[str, Any]) -> None:
    for entry in own["outputs"].values():
        entry["facts"] = dict.fromkeys(entry["facts"], EVIL)


def _piped(name: str, run: Path) -> None:
    (run / name).unlink(missing_ok=True)
    os.mkfifo(run / name)


def _without_end(name: str, run: Path) -> None:
    (run / name).unlink(missing_ok=True)
    (run / name).symlink_to("/dev/zero")


RUNS: dict[str, Callable[[Path], None]] = {
    "a path that goes up": functools.partial(
        _resealed, functools.partial(_record, path="../precious.txt")
    ),
    "an absolute path": functools.partial(
        _resealed, functools.partial(_record, path="/etc/passwd")
    ),
    "a path that escapes": functools.partial(_resealed, functools.partial(_record, path=EVIL)),
    "a table that escapes": functools.partial(_resealed, functools.partial(_record, table=EVIL)),
    "a size of 2^60": functools.partial(_resealed, functools.partial(_record, bytes=2**60)),
    "a shard without end": functools.partial(
        _resealed, functools.partial(_shard, path="/dev/zero")
    ),
    "a shard's name that escapes": functools.partial(
        _resealed, functools.partial(_shard, name=EVIL, path=f"/{EVIL}")
    ),
    "a shard's number of 2^60": functools.partial(
        _resealed, functools.partial(_shard, number=2**60)
    ),
    "a group below nought": functools.partial(_resealed, functools.partial(_shard, group=-1)),
    "facts that escape": functools.partial(_resealed, _facts),
    "no facts": functools.partial(
        _resealed, lambda own: [entry["facts"].clear() for entry in own["outputs"].values()]
    ),
    "no settings": functools.partial(_resealed, lambda own: own["config"].clear()),
    "settings that escape": functools.partial(
        _resealed, lambda own: own["config"].update({EVIL: {EVIL: EVIL}})
    ),
    "no outputs": functools.partial(_resealed, lambda own: own["outputs"].clear()),
    "no shards": functools.partial(_resealed, lambda own: own["corpus"]["shards"].clear()),
    "roots that escape": functools.partial(
        _resealed, lambda own: own["corpus"].update(roots=[EVIL])
    ),
    "a manifest that is a pipe": functools.partial(_piped, MANIFEST),
    "a lock that is a pipe": functools.partial(_piped, ".lock"),
    "a note that is a pipe": functools.partial(_piped, ".changes"),
    "a table that is a pipe": functools.partial(_piped, "counts/all.parquet"),
    "events that are a pipe": functools.partial(_piped, "events/stages.jsonl"),
    "a manifest without end": functools.partial(_without_end, MANIFEST),
    "a note without end": functools.partial(_without_end, ".changes"),
    "a table without end": functools.partial(_without_end, "counts/all.parquet"),
    "a lock without end": functools.partial(_without_end, ".lock"),
}


def _run(ground: Ground, harm: Callable[[Path], None], asked: str, folder: Path) -> str:
    run = shutil.copytree(ground.reported, folder / "run")
    (folder / "precious.txt").write_text("precious")
    harm(run)
    words: tuple[object, ...] = {
        "check": ("check", run),
        "explain": ("explain", run, ROW),
        "query": ("query", run, "--text", "some words of a text"),
        "filter": ("filter", run, *LOCAL, "--set=near.threshold=0.9"),
        "report": ("report", run, *LOCAL, "--set=report.excerpts=false"),
    }[asked]
    before = {**listing(ground.corpus), str(folder / "precious.txt"): b"precious"}
    ended = on_terminal(*words, seconds=SECONDS)
    after = {**listing(ground.corpus), **listing_of(folder / "precious.txt")}
    if after != before:
        raise Found("lost", "files outside the run folder changed")
    refused = any(line.startswith("rote: ") for line in ended.out.splitlines())
    if asked == "check" and ended.code == 1 and not refused:
        told(replace(ended, code=0))
        return "refused"
    return told(ended)


def listing_of(path: Path) -> dict[str, bytes]:
    """Return a file by its name, or nothing."""
    return {str(path): path.read_bytes()} if path.exists() else {}


# -- settings

HUGE = "9" * 5000
SETTINGS: dict[str, tuple[str, ...]] = {
    "a value that escapes": (f"--set=input.text={EVIL}",),
    "a name that escapes": (f"--set={EVIL}.{EVIL}=1",),
    "no value": ("--set=",),
    "a number of 5,000 digits": (f"--set=near.bucket_cap={HUGE}",),
    "no number": ("--set=near.threshold=nan",),
    "infinity": ("--set=near.threshold=inf",),
    "a window of 10^12 words": ("--set=window.words=1000000000000",),
    "10^9 bands": ("--set=sketch.bands=1000000000",),
    "deep lists": (f"--set=near.sources={'[' * 5000}",),
    "many parts": ("--set=" + ".".join("a" * 5000) + "=1",),
    "a source that escapes": (f"--set=near.sources={json.dumps([EVIL])}",),
    "a file without end": ("--config", "/dev/zero"),
    "a folder as file": ("--config", "/proc"),
    "an option that escapes": (f"--{EVIL}",),
    "a corpus that escapes": (EVIL,),
    "a corpus without end": ("/dev/zero",),
    "a corpus that is a terminal": ("/dev/tty",),
    "no memory": ("--set=limits.memory=1",),
    "a pattern of many parts": ("**/" * 500 + "*",),
}


def _settings(ground: Ground, words: tuple[str, ...], folder: Path) -> str:
    ended = on_terminal(
        "scan", ground.corpus, *words, "--out", folder / "run", *LOCAL, seconds=SECONDS
    )
    return told(ended)
