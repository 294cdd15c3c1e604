"""Random inputs, by hypothesis, with another seed each time: readers, kernels, settings, manifest,
span cutting, Bloom filters, and names on a terminal.
"""

import functools
import json
import math
import os
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from pipeline.absent import MANIFEST
from pipeline.config.load import load_config
from pipeline.config.sections import InputConfig
from pipeline.corpus import check_shard, find_shards, read_documents
from pipeline.engine.manifest import load_manifest, manifest_bytes
from pipeline.errors import PipelineError
from pipeline.filter.mitigations.bloom import bloom, from_bytes, to_bytes
from pipeline.filter.rules import cut_kernels
from pipeline.names import shown
from pipeline.text.sorting import order_of
from tests.campaign.case import Case, Counted, Found
from tests.campaign.ground import Ground
from tests.campaign.terminal import require_tame
from tests.e2e.command import rote
from tests.property import test_text_properties, test_word_properties

EXAMPLES = 100
CHECKS = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
SUFFIXES = ("jsonl", "jsonl.gz", "jsonl.zst", "csv", "csv.gz", "tsv", "txt", "parquet", "arrow")
LINES = st.lists(
    st.one_of(
        st.binary(max_size=60),
        JSON.map(lambda value: json.dumps(value).encode()),
        st.fixed_dictionaries({"text": JSON}, optional={"id": JSON, "n": JSON}).map(
            lambda value: json.dumps(value).encode()
        ),
        st.text(max_size=40).map(lambda text: f'{text},"{text}'.encode(errors="surrogatepass")),
    ),
    max_size=12,
)


@given(st.sampled_from(SUFFIXES), LINES, st.sampled_from([b"\n", b"\r\n", b"\r", b""]))
def readers(suffix: str, lines: list[bytes], end: bytes) -> None:
    """Require of any bytes under any suffix documents, rejected rows or one error, row by row."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / f"a.{suffix}"
        path.write_bytes(end.join(lines))
        try:
            (shard,) = find_shards([folder])[0]
            check_shard(shard, InputConfig())
            rows = [
                number
                for batch in read_documents(shard, InputConfig(), batch_bytes=64)
                for number in [*batch.rows.tolist(), *(r.row for r in batch.rejected)]
            ]
        except PipelineError:
            return
        assert sorted(rows) == [*range(len(rows))]


@given(st.lists(st.one_of(st.text(), st.builds("{}.{}={}".format, *[st.text()] * 3)), max_size=3))
def any_settings(words: list[str]) -> None:
    """Require that any words after --set are settings or one error."""
    try:
        load_config(settings=words)
    except PipelineError as error:
        require_tame(str(error))


SECTIONS = {
    name: list(type(getattr(load_config(), name)).model_fields)
    for name in type(load_config()).model_fields
}


@given(st.data())
def known_settings(data: st.DataObject) -> None:
    """Require that a value of a setting is taken or refused, and that a taken one can be saved."""
    section = data.draw(st.sampled_from(sorted(SECTIONS)))
    name = data.draw(st.sampled_from(sorted(SECTIONS[section])))
    value = data.draw(JSON)
    try:
        config = load_config(base={section: {name: value}})
    except PipelineError:
        return
    saved = json.loads(json.dumps(config.model_dump(mode="json")))
    assert load_config(base=saved) == config


@given(st.data())
def manifests(data: st.DataObject) -> None:
    """Require that a sealed manifest of any form is read or refused; what is read has the form."""
    own = json.loads(Path(os.environ["ROTE_CAMPAIGN_MANIFEST"]).read_bytes())
    place = own
    for _ in range(data.draw(st.integers(0, 4))):
        keys = list(place) if isinstance(place, dict) else [*range(len(place))]
        if not keys:
            break
        key = data.draw(st.sampled_from(keys))
        if not isinstance(place[key], dict | list):
            break
        place = place[key]
    keys = list(place) if isinstance(place, dict) else [*range(len(place))]
    if keys:
        place[data.draw(st.sampled_from(keys))] = data.draw(JSON)
    with TemporaryDirectory() as folder:
        try:
            (Path(folder) / MANIFEST).write_bytes(manifest_bytes(own))
        except (TypeError, AttributeError, KeyError):  # cannot even be sealed
            return
        try:
            found = load_manifest(Path(folder))
        except PipelineError as error:
            require_tame(str(error))
            return
    assert found["rote"] == own["rote"]
    for entry in found["outputs"].values():
        assert all(".." not in Path(r["path"]).parts for r in entry["files"])


@given(
    st.lists(st.integers(0, 5), max_size=60),
    st.integers(1, 6),
    st.booleans(),
)
def cutting(words: list[int], size: int, keep_none: bool) -> None:
    """Require that every repeated window still occurs once after the later ones are cut."""
    count = max(0, len(words) - size + 1)
    own = [tuple(words[n : n + size]) for n in range(count)]
    numbers = {window: n for n, window in enumerate(sorted(set(own)))}
    hashes = np.array([numbers[window] for window in own], np.uint64)
    order = order_of(hashes, 0)
    state, first = np.zeros(count, np.uint8), np.zeros(count, np.int64)
    cut_kernels.first_and_later(hashes, order, state, first)
    for n, window in enumerate(own):
        alone = own.count(window) == 1
        expected = cut_kernels.SINGLE if alone else cut_kernels.FIRST
        if not alone and own.index(window) != n:
            expected = cut_kernels.LATER
        assert state[n] == expected
    if keep_none:
        return
    cut = cut_kernels.words_to_cut(
        np.zeros(count, np.uint32), np.arange(count, dtype=np.uint32), state, size, False
    )
    gone = {word for _, low, high in cut.tolist() for word in range(low, high)}
    for window in {w for w in own if own.count(w) > 1}:
        n = own.index(window)
        assert not gone & set(range(n, n + size))


@given(
    st.lists(st.lists(st.integers(0, 2**63), min_size=3, max_size=3), max_size=40),
    st.integers(1, 24),
)
def blooms(runs: list[list[int]], bits: int) -> None:
    """Require that what was entered is held, also after the filter was a file."""
    own = np.array(runs, np.uint64).reshape(len(runs), 3)
    found = from_bytes(to_bytes(bloom(own, 3, bits)))
    for run in own:
        assert found.holds(run).tolist() == [1]


@given(st.binary(max_size=80), st.integers(0, 63))
def bloom_files(data: bytes, place: int) -> None:
    """Require that any bytes are a filter or one error, and a filter answers."""
    good = bytearray(to_bytes(bloom(np.zeros((1, 3), np.uint64), 3, 8)))
    good[place : place + len(data)] = data
    for one in (data, bytes(good)):
        try:
            found = from_bytes(one)
        except PipelineError:
            continue
        assert math.isfinite(found.expected_rate())
        if 0 < found.n <= 64:
            found.holds(np.arange(found.n, dtype=np.uint64))


@given(st.text(st.characters()))
def any_names(name: str) -> None:
    """Require that a name of any characters is one line without controls."""
    said = shown(name)
    require_tame(said)
    assert said.isprintable()
    assert len(said.splitlines()) <= 1


TARGETS: dict[str, tuple[Callable[..., object], ...]] = {
    "readers": (readers,),
    "settings": (any_settings, known_settings),
    "manifest": (manifests,),
    "span cutting": (cutting,),
    "Bloom filters": (blooms, bloom_files),
    "names": (any_names,),
    "kernels": (
        test_text_properties.test_words_are_the_references_words,
        test_text_properties.test_hashes_are_equal_exactly_where_the_words_are,
        test_text_properties.test_valid_utf8_is_pythons_strict_decoding,
        test_word_properties.test_words_come_back_as_they_were,
        test_word_properties.test_the_order_of_hashes_is_that_of_a_stable_sort,
    ),
}
SETTLED: dict[Callable[..., object], settings] = {
    **dict.fromkeys(TARGETS["kernels"][:3], test_text_properties.AT_LEISURE),
    test_word_properties.test_words_come_back_as_they_were: test_word_properties.AT_LEISURE,
    test_word_properties.test_the_order_of_hashes_is_that_of_a_stable_sort: settings(),
}
"""Laws of the tests, which have settings of their own: hypothesis takes no second ones."""


def cases(ground: Ground, start: int) -> Iterator[Case]:
    """Yield every target with one seed after the other, without end."""
    number = 0
    while True:
        for row in TARGETS:
            acting = functools.partial(_tried, ground, row, start + number)
            yield Case("fuzz", row, f"{row} {start + number}", acting)
        number += 1


def _tried(ground: Ground, row: str, number: int, folder: Path) -> str:
    place = folder / "found"
    manifest_of = ground.scanned / MANIFEST
    rote("--version", before=functools.partial(search, row, number, place, manifest_of))
    found = place.read_text() if place.exists() else "the process died"
    if found != "ok":
        raise Found("traceback", found[-1500:])
    return Counted("ok", sum(_examples(target) for target in TARGETS[row]))


def _examples(target: Callable[..., object]) -> int:
    """Return how many examples of a target one case tries."""
    return SETTLED[target].max_examples if target in SETTLED else EXAMPLES


def search(row: str, number: int, place: Path, manifest: Path) -> None:
    """Try the targets of a row in this process, write down what was found, and end it."""
    os.environ["ROTE_CAMPAIGN_MANIFEST"] = str(manifest)
    alone = settings(
        database=None, deadline=None, max_examples=EXAMPLES, suppress_health_check=CHECKS
    )
    try:
        for target in TARGETS[row]:
            seed(number)(target if target in SETTLED else alone(target))()
        place.write_text("ok")
    except BaseException:  # noqa: BLE001 - whatever it is, it is what was looked for
        place.write_text(traceback.format_exc())
    os._exit(0)
