"""The sides that peers.py runs, each in a process and an environment of its own.

A side takes the corpus (Parquet shards with the columns id and text), an empty folder and the number
of cores, writes what it keeps below `kept/` in that folder, and returns its figures. Nothing but the
standard library is imported before a side begins.
"""

from __future__ import annotations

import gzip
import json
import multiprocessing
import re
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]|[^\W\u3040-\u30ff\u3400-\u9fff]+")
Figures = dict[str, Any]


def rote(corpus: Path, out: Path, _: int) -> Figures:
    """Run scan and filter as the other benchmark does."""
    from scan import scan

    return {**scan(corpus, out), "versions": {"rote": version("rote")}}


def datatrove(corpus: Path, out: Path, cores: int) -> Figures:
    """Run the four stages of datatrove's MinHash."""
    begun = time.perf_counter()
    import datatrove.utils.japanese_tokenizer  # noqa: F401 imported with the first tokenizer
    import spacy  # noqa: F401
    from datatrove.executor import LocalPipelineExecutor
    from datatrove.pipeline import dedup
    from datatrove.pipeline.readers import ParquetReader
    from datatrove.pipeline.writers import ParquetWriter

    startup = time.perf_counter() - begun
    begun = time.perf_counter()
    signatures, buckets, cluster, logs = (
        str(out / name) for name in ("signatures", "buckets", "cluster", "logs")
    )
    tasks = len(list(shards(corpus)))
    reader = ParquetReader(str(corpus), glob_pattern="**/*.parquet")
    writer = ParquetWriter(str(out / "kept"), compression="zstd", expand_metadata=True)
    stages: list[tuple[int, list[Any]]] = [
        (tasks, [reader, dedup.MinhashDedupSignature(signatures)]),
        (dedup.MinhashConfig().num_buckets, [dedup.MinhashDedupBuckets(signatures, buckets)]),
        (1, [dedup.MinhashDedupCluster(buckets, cluster)]),
        (tasks, [reader, dedup.MinhashDedupFilter(cluster), writer]),
    ]
    for number, (count, steps) in enumerate(stages):
        LocalPipelineExecutor(
            steps, count, min(cores, count), f"{logs}/{number}", start_method="fork"
        ).run()
    return ended(begun, startup, "datatrove", "spacy", "numpy")


def text_dedup(corpus: Path, out: Path, cores: int) -> Figures:
    """Run text-dedup's MinHash command."""
    begun = time.perf_counter()
    from text_dedup import minhash

    startup = time.perf_counter() - begun
    options = {
        "path": "parquet",
        "data_files": f"{corpus}/**/*.parquet",
        "split": "train",
        "cache_dir": f"{out}/cache",
        "output": f"{out}/kept",
        "column": "text",
        "threshold": "0.8",
        "num_proc": str(cores),
    }
    arguments = [word for name, value in options.items() for word in (f"--{name}", value)]
    begun = time.perf_counter()
    minhash.main(arguments, standalone_mode=False)
    return ended(begun, startup, "text-dedup", "datasets", "numpy")


def grams(text: str) -> set[bytes]:
    """Return the word 5-grams of a text; all its words if they are fewer."""
    words = WORD.findall(text.lower())
    last = max(len(words) - 4, 1) if words else 0
    return {" ".join(words[at : at + 5]).encode() for at in range(last)}


def sketches(unit: tuple[Path, int]) -> list[Any]:
    """Return the MinHash of each text of a row group, None where it has no words."""
    import pyarrow.parquet as pq
    from datasketch import LeanMinHash, MinHash

    texts = pq.ParquetFile(unit[0]).read_row_group(unit[1], columns=["text"])["text"]
    sets = [grams(text or "") for text in texts.to_pylist()]
    hashes = MinHash.generator(sets, num_perm=128)
    return [LeanMinHash(minhash) if of else None for of, minhash in zip(sets, hashes, strict=True)]


def datasketch(corpus: Path, out: Path, cores: int) -> Figures:
    """Remove each row that the index has a match for among those kept, in row order."""
    begun = time.perf_counter()
    import pyarrow as pa
    import pyarrow.parquet as pq
    from datasketch import MinHashLSH

    startup = time.perf_counter() - begun
    begun = time.perf_counter()
    index = MinHashLSH(threshold=0.8, num_perm=128)
    files = {path: pq.ParquetFile(path) for path in shards(corpus)}
    units = [(path, group) for path, file in files.items() for group in range(file.num_row_groups)]
    keep: dict[Path, list[bool]] = {path: [] for path in files}
    with multiprocessing.Pool(cores) as pool:
        for (path, _), found in zip(units, pool.imap(sketches, units), strict=True):
            for minhash in found:
                stays = minhash is None or not index.query(minhash)
                if minhash is not None and stays:
                    index.insert((path, len(keep[path])), minhash)
                keep[path].append(stays)
    for path, file in files.items():
        target = out / "kept" / path.relative_to(corpus)
        target.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(file.read().filter(pa.array(keep[path])), target, compression="zstd")
    return ended(begun, startup, "datasketch", "pyarrow", "numpy")


def rows(corpus: Path) -> Iterator[tuple[Path, list[dict[str, str]]]]:
    """Yield each shard with its rows, for sides that read no Parquet."""
    import pyarrow.parquet as pq

    for path in shards(corpus):
        yield path, pq.read_table(path, columns=["id", "text"]).to_pylist()


def semhash(corpus: Path, out: Path, _: int) -> Figures:
    """Remove rows by the nearness of embeddings."""
    begun = time.perf_counter()
    import numpy as np
    import wordllama
    from safetensors.numpy import load_file
    from semhash import SemHash
    from tokenizers import Tokenizer
    from wordllama.inference import WordLlamaInference

    class Encoder:
        """The embeddings of wordllama, text by text: a batch is as long as its longest."""

        def __init__(self) -> None:
            held = Path(wordllama.__file__).parent
            (table,) = load_file(held / "weights/l2_supercat_256.safetensors").values()
            words = Tokenizer.from_file(str(held / "tokenizers/l2_supercat_tokenizer_config.json"))
            self.model = WordLlamaInference(np.asarray(table), words)

        def encode(self, inputs: list[str], **_: object) -> np.ndarray:
            """Return an embedding a text, of length 1, (texts, 256)."""
            return np.concatenate([self.model.embed([text], norm=True) for text in inputs])

    encoder = Encoder()
    startup = time.perf_counter() - begun
    begun = time.perf_counter()
    records = [row for _, part in rows(corpus) for row in part]
    index = SemHash.from_records(records, columns=["text"], model=encoder)
    write_ids(out, [row["id"] for row in index.self_deduplicate().selected])
    return ended(begun, startup, "semhash", "wordllama", "numpy")


def write_ids(out: Path, ids: list[str]) -> None:
    """Write which rows stay."""
    (out / "kept").mkdir(parents=True)
    lines = "".join(f"{json.dumps({'id': one})}\n" for one in ids)
    (out / "kept" / "ids.jsonl").write_text(lines)


def dolma(corpus: Path, out: Path, cores: int) -> Figures:
    """Tag exact copies by a Bloom filter of whole texts, then mix what has no tag."""
    begun = time.perf_counter()
    from dolma.cli.__main__ import main

    startup = time.perf_counter() - begun
    for path, part in rows(corpus):
        place = out / "documents" / f"{path.stem}.jsonl.gz"
        place.parent.mkdir(parents=True, exist_ok=True)
        with gzip.open(place, "wt", 1) as stream:
            stream.writelines(f"{json.dumps({**row, 'source': 'dev'})}\n" for row in part)
    begun = time.perf_counter()
    documents, tag = f"{out}/documents/*.jsonl.gz", "copy"
    options = {
        "documents": documents,
        "dedupe.name": tag,
        "dedupe.documents.attribute_name": tag,
        "dedupe.documents.key": "$.text",
        "bloom_filter.file": f"{out}/bloom.bin",
        "bloom_filter.estimated_doc_count": "1000000",
        "bloom_filter.desired_false_positive_rate": "0.000001",
        "processes": str(cores),
    }
    given = [word for name, value in options.items() for word in (f"--{name}", value)]
    main(["dedupe", *given, "--no-bloom_filter.read_only"])
    mixed = {
        "name": "kept",
        "documents": [documents],
        "attributes": [tag],
        "output": {"path": f"{out}/kept", "max_size_in_bytes": 10**9},
        "filter": {"exclude": [f"$.attributes[?(@.{tag})]"], "syntax": "jsonpath"},
    }
    settings = out / "mix.json"  # which YAML is a superset of
    settings.write_text(json.dumps({"streams": [mixed], "processes": cores}))
    main(["-c", str(settings), "mix"])
    return ended(begun, startup, "dolma")


def data_juicer(corpus: Path, out: Path, cores: int) -> Figures:
    """Run data-juicer's MinHash operator."""
    begun = time.perf_counter()
    from data_juicer.config import init_configs
    from data_juicer.core import DefaultExecutor

    out.mkdir(parents=True)
    asked = {
        "project_name": "peers",
        "dataset_path": str(corpus),
        "export_path": f"{out}/kept/kept.jsonl",
        "np": cores,
        "text_keys": "text",
        "open_tracer": False,
        "process": [{"document_minhash_deduplicator": {"jaccard_threshold": 0.8}}],
    }
    settings = out / "process.json"
    settings.write_text(json.dumps(asked))
    executor = DefaultExecutor(init_configs(["--config", str(settings)]))
    startup = time.perf_counter() - begun
    begun = time.perf_counter()
    executor.run()
    return ended(begun, startup, "py-data-juicer", "datasets")


SIDES: dict[str, Callable[[Path, Path, int], Figures]] = {
    "rote": rote,
    "datatrove": datatrove,
    "text-dedup": text_dedup,
    "datasketch": datasketch,
    "semhash": semhash,
    "dolma": dolma,
    "data-juicer": data_juicer,
}


def shards(corpus: Path) -> Iterator[Path]:
    """Yield the shards in order."""
    yield from sorted(corpus.rglob("*.parquet"))


def ended(begun: float, startup: float, *packages: str) -> Figures:
    """Return the figures of a side that ends now."""
    seconds = time.perf_counter() - begun
    versions = {name: version(name) for name in packages}
    return {"seconds": seconds, "startup": startup, "versions": versions}
