import gzip
import re
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from flows.runners import LocalMapper
from pipeline import run
from pipeline.config.load import load_config
from pipeline.corpus import find_shards
from pipeline.engine import memory
from pipeline.errors import ConfigError

CHILD = """
import resource, sys
from pathlib import Path
from flows.runners import LocalMapper
from pipeline import run
from pipeline.config.load import load_config
from pipeline.engine.memory import workers_of
config = load_config(settings=["limits.memory=" + sys.argv[3], "limits.workers=2"])
workers = LocalMapper(workers_of(config))
with run.session(Path(sys.argv[2]), config, workers, corpus=[sys.argv[1]]) as session:
    run.scan(session)
    run.filter_rows(session)
peak = [line for line in open("/proc/self/status") if line.startswith("VmHWM")][0].split()[1]
print("PEAK", int(peak) * 1024)
"""


@pytest.mark.parametrize(
    ("value", "size"),
    [
        ('"2GB"', 2_000_000_000),
        ('"1.5 GB"', 1_500_000_000),
        ("500MiB", 500 << 20),
        ("3kb", 3000),
        ('"7"', 7),
        ("12345", 12345),
    ],
)
def test_a_budget_may_have_a_unit(value, size):
    """Units are of 1000, or of 1024 with an i; a plain number is bytes."""
    assert load_config(settings=[f"limits.memory={value}"]).limits.memory == size


@pytest.mark.parametrize("value", ['"2 pounds"', '"GB"', '"-1GB"', '"1,5GB"'])
def test_what_is_no_size_is_refused(value):
    """The error names the key."""
    with pytest.raises(ConfigError) as refused:
        load_config(settings=[f"limits.memory={value}"])
    assert "limits.memory" in refused.value.where


def plan(corpus, budget, documents=None):
    """Plan a scan of a corpus."""
    shards = find_shards([str(corpus)])[0]
    entries = [{"number": shard.number, "documents": documents} for shard in shards]
    config = load_config(settings=[f"limits.memory={budget}"])
    return memory.plan({"corpus": {"shards": entries}}, shards, config)


def test_the_plan_follows_rows_and_the_longest_document(tmp_path, make_corpus):
    """More rows and a longer document need more; a footer tells of both before a page is read."""
    small = make_corpus(tmp_path / "small", {"a.parquet": ["a b c"]})
    many = make_corpus(tmp_path / "many", {"a.parquet": ["a"] * 1000})
    long = make_corpus(tmp_path / "long", {"a.parquet": ["a " * 5_000_000]})
    least = plan(small, 10**12).smallest
    assert abs(plan(many, 10**12).smallest - least) < 10_000  # a thousand rows are nothing
    assert plan(many, 10**12, 2_000_000).smallest > least + 600_000_000
    assert plan(long, 10**12).smallest > least + 7 * 10_000_000


def test_rows_of_plain_lines_are_planned_as_they_are_and_packed_ones_four_times(
    tmp_path, monkeypatch
):
    """A file of lines has no more rows than its bytes allow; what is packed may unpack to more."""
    monkeypatch.setattr(memory, "DOCUMENT", 100_000)  # so that rows are most of what is needed
    line = b'{"text": "' + b"word " * 15 + b'"}\n'
    (tmp_path / "a.jsonl").write_bytes(line * 20_000)
    rest = memory.base() + memory.REDUCE
    rows = (plan(tmp_path / "a.jsonl", 10**12).smallest - rest) / memory.DOCUMENT
    assert 20_000 <= rows < 25_000
    noise = np.random.default_rng(1).bytes(300_000).hex()
    packed = gzip.compress(
        b"".join(b'{"text": "%b"}\n' % noise[k : k + 60].encode() for k in range(9_000))
    )
    (tmp_path / "b.jsonl.gz").write_bytes(packed)
    rows = (plan(tmp_path / "b.jsonl.gz", 10**12).smallest - rest) / memory.DOCUMENT
    assert rows == pytest.approx(4 * len(packed) / 61, rel=0.01)


def number_in(pattern, text):
    """Return the number that a pattern finds in a text."""
    found = re.search(pattern, text)
    assert found, text
    return int(found[1])


def test_a_budget_too_small_is_refused_with_the_smallest_that_would_do(tmp_path, make_corpus):
    """The message's own setting is accepted, a byte less in its unit is not."""
    corpus = make_corpus(tmp_path / "c", {"a.jsonl": ["a b c"] * 10})
    with pytest.raises(ConfigError, match="too small") as refused:
        plan(corpus, 1000)
    told = number_in(r"--set limits\.memory=(\d+)MB", refused.value.fix)
    plan(corpus, f"{told}MB")
    with pytest.raises(ConfigError):
        plan(corpus, f"{told - 1}MB")


def test_scoring_is_planned_before_a_scan(tmp_path, make_corpus):
    """A run that will score asks for Torch and its proxies; larger ones ask for more."""
    corpus = make_corpus(tmp_path / "c", {"a.jsonl": ["a b c"] * 10})
    (shard,) = find_shards([str(corpus)])[0]
    config = load_config(settings=["limits.memory=100TB"])
    manifest = {"corpus": {"shards": [{"number": 0, "documents": 10}]}}
    alone = memory.plan(manifest, [shard], config).smallest
    scoring = memory.plan(manifest, [shard], config, memory.for_scoring(config)).smallest
    assert scoring > alone + 30_000_000
    wide = load_config(settings=["proxy.shapes=[[2, 256], [4, 512], [8, 1024]]"])
    assert memory.for_scoring(wide) > memory.for_scoring(config) + 10**9
    with (
        pytest.raises(ConfigError, match="too small"),
        run.session(
            tmp_path / "run",
            load_config(settings=[f"limits.memory={alone}"]),
            LocalMapper(1),
            corpus=[str(corpus)],
        ) as session,
    ):
        run.everything(session)


def test_a_document_longer_than_the_plan_knew_is_refused_by_name():
    """What the sample did not show is told when it is met: where, and what would do."""
    config = load_config(settings=["limits.memory=1GB"])
    memory.require_room(10**6, 10**9, config, "x, row 7")
    with pytest.raises(ConfigError, match="too small") as refused:
        memory.require_room(10**9, 10**9, config, "x, row 7")
    assert refused.value.where == "x, row 7"
    assert "a document of 1000 MB" in refused.value.found


def test_a_document_that_fits_alone_is_told_to_be_read_alone():
    """A budget that would do for one worker is not refused for a smaller one than it is."""
    budget = memory.base() + 1_260_000_000  # whatever ran in this process before
    config = load_config(settings=[f"limits.memory={budget}", "limits.workers=2"])
    with pytest.raises(ConfigError, match="beside other workers") as refused:
        memory.require_room(110_000_000, 600_000_000, config, "x, row 0")
    assert refused.value.found == "600 MB for each of them (a document of 110 MB)"
    assert refused.value.expected == "880 MB or more"
    assert refused.value.fix == "--set limits.workers=1"
    alone = load_config(settings=["limits.memory=1GB"])
    with pytest.raises(ConfigError, match="too small for this corpus") as refused:
        memory.require_room(110_000_000, 400_000_000, alone, "x, row 0")
    assert "limits.memory=" in refused.value.fix


def test_less_memory_means_fewer_workers():
    """One worker is always left."""
    wide = load_config(settings=["limits.workers=4", "limits.memory=100GB"])
    assert memory.workers_of(wide) == 4
    assert memory.workers_of(load_config(settings=["limits.workers=4", "limits.memory=1"])) == 1


@pytest.fixture
def compiled(tmp_path, make_corpus, scan):
    """Have all kernels of a scan on disk: compiling them takes memory that is in no budget."""
    some = "one two three four five six seven eight nine ten"
    texts = [some, f"{some} eleven", f"{some} {some}"]
    scan(make_corpus(tmp_path / "few", {"a.jsonl": texts}), tmp_path / "first", "window.words=5")


@pytest.mark.slow
@pytest.mark.usefixtures("compiled")
def test_a_scan_stays_within_the_smallest_budget_it_asks_for(tmp_path):
    """The budget that a refusal names is enough, and the whole process keeps to it."""
    draw = np.random.default_rng(1)
    words = np.array([f"w{n}" for n in range(5000)])
    short = [" ".join(words[draw.integers(0, 5000, 6)]) for _ in range(60_000)]
    long = [" ".join(words[draw.integers(0, 5000, 400_000)]) for _ in range(4)]
    corpus = tmp_path / "c"
    corpus.mkdir()
    pq.write_table(
        pa.table({"text": [*short, *short[::7], *long, long[0] + " x"]}), corpus / "a.parquet"
    )

    def run(budget):
        command = [sys.executable, "-c", CHILD, str(corpus), str(tmp_path / "run"), budget]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    refused = run("100MB")
    assert refused.returncode != 0
    budget = number_in(r"limits\.memory=(\d+)MB", refused.stderr)
    done = run(f"{budget}MB")
    assert done.returncode == 0, done.stderr[-2000:]
    assert number_in(r"PEAK (\d+)", done.stdout) <= budget * 10**6
