"""Scoring and training of proxies against a bare forward pass, generation, and the machine's peak.

usage: python benchmarks/scoring.py [--device cpu|cuda] [--shape LAYERS,WIDTH] [--vocabulary N]
           [--rows N] [--batch N] [--repeat N] [--threads N] [--out JSON]

All sides are the same model with the same weights on the same rows (EOS and 64 tokens): scoring
(hidden states, head in chunks, every statistic); a bare forward pass that makes all logits and keeps
none; transformers' greedy `generate` of the 32 suffix tokens with a KV cache, at the largest batch
that pays, and without a cache. Sides alternate; a figure is the best of `--repeat`, in processor time
on a CPU (the machine may be shared) and in wall time on a GPU. Tokens are those of the sequences: 64
a row, whichever way they are labelled. The peak for the utilisation is a large matrix product,
measured in the same run. Beside speed: whether the labels agree with generation's.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from pipeline.score.proxy.model import Shape, Transformer, config_json, to_safetensors
from pipeline.score.proxy.pool import torch_threads
from pipeline.score.proxy.precision import in_precision, precision_of
from pipeline.score.proxy.statistics import ProxyScorer
from pipeline.score.proxy.train import Schedule, TrainingOptions, train
from pipeline.score.slices import PREFIX, ROW_TOKENS, SEQUENCE, SUFFIX

PROMPT = 1 + PREFIX  # EOS and the prefix
STEP_ROWS = 16
CHILD = "ROTE_BENCHMARK_CHILD"


def clock(device: str) -> float:
    """Return seconds: of this thread's processor time on a CPU, of the wall on a GPU."""
    if device == "cuda":
        torch.cuda.synchronize()
        return time.perf_counter()
    return time.process_time()


def best(sides: dict[str, Callable[[], object]], repeat: int, device: str) -> dict[str, float]:
    """Return the least seconds of each side, the sides taking turns; a first turn does not count."""
    found = dict.fromkeys(sides, float("inf"))
    for turn in range(repeat + 1):
        for name, work in sides.items():
            begun = clock(device)
            work()
            taken = clock(device) - begun
            found[name] = min(found[name], taken) if turn else found[name]
    return found


def rows_for(model: Transformer, count: int, device: str) -> np.ndarray:
    """Return random rows; every other one ends as the model goes on, so that it is memorized."""
    generator = np.random.Generator(np.random.PCG64(1))
    rows = generator.integers(1, model.vocabulary, (count, ROW_TOKENS))
    rows[:, 0] = 0
    own = torch.from_numpy(rows[::2, :PROMPT].copy()).to(device)
    with torch.inference_mode():
        for _ in range(SUFFIX):
            last = model.head(model.hidden(own)[:, -1])
            own = torch.cat((own, last.argmax(-1, keepdim=True)), 1)
    rows[::2] = own.cpu().numpy()
    return rows


def as_transformers(model: Transformer, device: str) -> torch.nn.Module:
    """Return the same weights as transformers' own model."""
    from transformers import AutoModelForCausalLM

    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "config.json").write_bytes(config_json(model.shape, 0))
        (Path(folder) / "model.safetensors").write_bytes(to_safetensors(model))
        loaded = AutoModelForCausalLM.from_pretrained(folder)
    return loaded.to(device).eval()


def generation(
    other: torch.nn.Module, rows: torch.Tensor, batch: int, cached: bool
) -> torch.Tensor:
    """Return the suffixes that greedy generation makes."""
    from transformers import GenerationConfig

    plan = GenerationConfig(
        max_new_tokens=SUFFIX, do_sample=False, eos_token_id=None, pad_token_id=0, use_cache=cached
    )
    return torch.cat(
        [
            other.generate(part, attention_mask=torch.ones_like(part), generation_config=plan)[
                :, PROMPT:
            ]
            for part in rows[:, :PROMPT].split(batch)
        ]
    )


def bare(model: Transformer, rows: torch.Tensor, batch: int, device: str) -> None:
    """Make all logits of all rows, a batch at a time."""
    with torch.inference_mode(), in_precision(device, precision_of(device)):
        for part in rows[:, :-1].split(batch):
            model(part)


def scoring(shape: Shape, asked: argparse.Namespace) -> dict[str, Any]:
    """Return tokens per second of each side and how far their labels agree."""
    device = asked.device
    model = Transformer(shape, 1).to(device).eval()
    with torch.no_grad():
        model.embedding.mul_(20.0)
        for part in model.parts:
            part.down.weight.mul_(3.0)
            part.out.weight.mul_(3.0)
    rows = rows_for(model, asked.rows, device)
    tensor = torch.from_numpy(rows).to(device)
    other = as_transformers(model, device)
    scorer = ProxyScorer(model, device, batch=asked.batch, precision=precision_of(device))
    made: dict[str, Any] = {}

    def keep(name: str, work: Callable[[], object]) -> Callable[[], None]:
        return lambda: made.update({name: work()})

    few = tensor[: max(1, asked.rows // 8)]
    largest = asked.rows if device == "cuda" else asked.batch * 4
    quick = best(
        {
            "scoring": keep("scoring", lambda: scorer.score(rows)),
            "bare forward pass": lambda: bare(model, tensor, asked.batch, device),
        },
        asked.repeat,
        device,
    )
    slow = best(
        {
            "generate, KV cache": keep("greedy", lambda: generation(other, tensor, largest, True)),
            "generate, no cache": lambda: generation(other, few, largest, False),
        },
        max(1, asked.repeat // 3),
        device,
    )
    slow["generate, no cache"] *= len(rows) / len(few)
    per_second = {name: asked.rows * SEQUENCE / taken for name, taken in {**quick, **slow}.items()}
    right = (made["greedy"].cpu().numpy() == rows[:, PROMPT:]).all(1)
    labels = made["scoring"]["memorized"]
    return {
        "tokens_per_second": per_second,
        "over": {name: per_second["scoring"] / value for name, value in per_second.items()},
        "labels": {
            "sequences": len(rows),
            "memorized": int(labels.sum()),
            "agreeing_with_generate": float((labels == right).mean()),
            "ties": int((made["scoring"]["margin"] == 0).sum()),
        },
    }


def peak(device: str) -> float:
    """Return the floating-point operations per second of a large matrix product."""
    size = 8192 if device == "cuda" else 1024
    kind = torch.bfloat16 if precision_of(device) == "bf16" else torch.float32
    one = torch.randn(size, size, device=device, dtype=kind)
    return 2 * size**3 / best({"mm": lambda: one @ one}, 8, device)["mm"]


def training(shape: Shape, asked: argparse.Namespace) -> dict[str, Any]:
    """Return tokens per second of training and its share of the peak.

    Operations of a step: 6 for each token and weight, the head among them, and attention's.
    """
    generator = np.random.Generator(np.random.PCG64(2))
    rows = generator.integers(1, shape.vocabulary, (STEP_ROWS * 12, ROW_TOKENS))
    rows[:, 0] = 0
    options = TrainingOptions(precision_of(asked.device))
    schedule = Schedule(1, STEP_ROWS, 0.003, 1)
    sides = {"training": lambda: train(shape, rows, schedule, asked.device, options=options)}
    taken = best(sides, asked.repeat, asked.device)["training"]
    weights = shape.parameters + shape.vocabulary * shape.width
    each = 6 * weights + 12 * shape.layers * shape.width * SEQUENCE
    rate, most = len(rows) * SEQUENCE / taken, peak(asked.device)
    return {
        "tokens_per_second": rate,
        "step_rows": STEP_ROWS,
        "operations_per_token": each,
        "peak_per_second": most,
        "peak_is": "a large matrix product, measured here",
        "utilisation": rate * each / most,
    }


def machine(device: str, threads: int) -> dict[str, Any]:
    """Return what the figures were taken on."""
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False
    )
    return {
        "cores": len(os.sched_getaffinity(0)),
        "load": round(os.getloadavg()[0], 1),
        "python": platform.python_version(),
        "machine": platform.machine(),
        "device": torch.cuda.get_device_name() if device == "cuda" else "cpu",
        "torch": str(torch.__version__),
        "threads": threads,
        "precision": precision_of(device),
        "commit": commit.stdout.strip(),
    }


def memory(device: str) -> float:
    """Return the largest memory so far in MB: of the device, or of this process on a CPU."""
    if device == "cuda":
        return torch.cuda.max_memory_allocated() / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(part: str, asked: argparse.Namespace) -> dict[str, Any]:
    """Measure one part in a process of its own, so that its peak memory is its own."""
    layers, width = (int(number) for number in asked.shape.split(","))
    shape = Shape(asked.vocabulary, layers, width)
    with torch_threads(asked.threads):
        if part == "machine":
            about = {"layers": layers, "width": width, "vocabulary": asked.vocabulary}
            return {
                **machine(asked.device, asked.threads),
                "model": {**about, "non_embedding_parameters": shape.parameters},
                "batch": asked.batch,
            }
        found = {"scoring": scoring, "training": training}[part](shape, asked)
    return {**found, "peak_mb": memory(asked.device)}


def child(part: str) -> dict[str, Any]:
    """Run a part in a process of its own.

    Raises:
        SystemExit: when it fails.
    """
    ended = subprocess.run(
        [sys.executable, *sys.argv],
        env={**os.environ, CHILD: part},
        capture_output=True,
        text=True,
        check=False,
    )
    if ended.returncode:
        raise SystemExit(ended.stderr)
    return dict(json.loads(ended.stdout.splitlines()[-1]))


def show(result: dict[str, Any]) -> None:
    """Print the figures as one table."""
    about, scored, taught = (result[name] for name in ("machine", "scoring", "training"))
    model = about["model"]
    print(
        f"{model['layers']} layers of {model['width']}, vocabulary {model['vocabulary']}, "
        f"{about['device']}, {about['precision']}, {about['threads']} thread(s), batch {about['batch']}"
    )
    print(f"{'':<22}{'tokens/s':>12}{'scoring is':>14}")
    for name, value in scored["tokens_per_second"].items():
        print(f"{name:<22}{value:>12,.0f}{scored['over'][name]:>13.2f}x")
    print(
        f"{'training':<22}{taught['tokens_per_second']:>12,.0f}   {taught['utilisation']:.0%} of "
        f"{taught['peak_per_second'] / 1e9:,.0f} GFLOP/s ({taught['peak_is']})"
    )
    labels = scored["labels"]
    print(
        f"labels: {labels['agreeing_with_generate']:.4f} of {labels['sequences']} agree with generate, "
        f"{labels['memorized']} memorized, {labels['ties']} ties"
    )
    print(
        f"peak memory, MB: scoring and generation {scored['peak_mb']:,.0f}, training {taught['peak_mb']:,.0f}"
    )


def main() -> None:
    """Read the arguments, measure, show, record."""
    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    on = "cuda" if torch.cuda.is_available() else "cpu"
    arguments.add_argument("--device", choices=("cpu", "cuda"), default=on)
    arguments.add_argument("--shape", default="4,96" if on == "cpu" else "8,512")
    arguments.add_argument("--vocabulary", type=int, default=2048 if on == "cpu" else 16384)
    arguments.add_argument("--rows", type=int, default=512 if on == "cpu" else 8192)
    arguments.add_argument("--batch", type=int, default=64 if on == "cpu" else 1024)
    arguments.add_argument("--repeat", type=int, default=7)
    arguments.add_argument("--threads", type=int, default=1)
    arguments.add_argument("--out", type=Path)
    asked = arguments.parse_args()
    if CHILD in os.environ:
        print(json.dumps(measure(os.environ[CHILD], asked)))
        return
    result = {part: child(part) for part in ("machine", "scoring", "training")}
    show(result)
    if asked.out:
        asked.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
