"""What is sampled for training and chosen for scoring: whole families, known weights, no names."""

import numpy as np
import pyarrow as pa
import pytest

from pipeline.score import slices
from pipeline.score.sequences import catalogue as catalogues
from pipeline.score.sequences import panel, sampling
from pipeline.text import hashing

BYTES_PER_TOKEN = 4


def catalogue(families, order=1):
    """Return a catalogue of families, each (documents, copies of each, bytes of each)."""
    rows = []
    for number, (documents, copies, size) in enumerate(families):
        for document in range(documents):
            text = f"{number:04x}{document:04x}".ljust(32, "0")
            rows += [(f"{number:04x}".ljust(32, "0"), text, size, copies)] * copies
    keys = np.random.default_rng(order).permutation(len(rows)).astype(np.uint64) + 7
    first: dict[str, int] = {}
    for key, row in sorted(zip(keys.tolist(), rows, strict=True)):
        first.setdefault(row[1], key)
    names, texts, sizes, copies = zip(*rows, strict=True)
    return catalogues.catalogue(
        pa.table(
            {
                "row_key": keys,
                "text_bytes": pa.array(sizes, pa.int64()),
                "words": pa.array([size // 5 for size in sizes], pa.int64()),
                "text_hash": pa.array([bytes.fromhex(text) for text in texts], pa.binary(16)),
                "representative": pa.array([first[text] for text in texts], pa.uint64()),
                "exact_count": pa.array(copies, pa.int64()),
                "effective_count": pa.array([float(count) for count in copies]),
                "family": pa.array(names, pa.string()),
                "max_window_count": pa.array([0] * len(rows), pa.int64()),
                "repeated_words": pa.array([0] * len(rows), pa.int64()),
            }
        )
    )


MIXED = [(1, 2 ** (number % 7), 400) for number in range(140)] + [(3, 1, 400)] * 60


def chosen(known, budget=700_000):
    """Return the sample of a catalogue, by bytes."""
    size = sampling.bytes_of_families(known)
    return sampling.choose_families(known, size, budget, ~sampling.held_out(known, 1), 1)


@pytest.mark.parametrize(
    ("tokens", "expected"),
    [
        (0, []),
        (63, []),
        (64, [0]),
        (127, [0]),
        (128, [0, 64]),
        (200, [0, 64, 128]),
    ],
)
def test_sequences_start_every_64_tokens(tokens, expected):
    """Starts are the multiples of 64 that fit: an epoch teaches no token twice."""
    assert slices.starts(tokens).tolist() == expected


def test_splitmix_has_its_published_values():
    """The sequence of SplitMix64 from state 0 is the one that its authors' program prints."""
    golden = 0x9E3779B97F4A7C15
    states = [(golden * (place + 1) - 0x632BE59BD9B4E019) % 2**64 for place in range(3)]
    assert hashing.keyed_hash(np.array(states, np.uint64), 0).tolist() == [
        0xE220A8397B1DCDAF,
        0x6E789E6AA1B965F4,
        0x06C45D188009454F,
    ]


def test_a_sample_is_of_whole_families_within_the_budget():
    """Families are in or out as a whole, none twice, and their bytes fit the budget."""
    known = catalogue(MIXED)
    sample = chosen(known)
    size = sampling.bytes_of_families(known)
    assert len(set(sample.families.tolist())) == len(sample.families)
    assert size[sample.families].sum() <= 700_000
    assert size[sample.repeated].sum() <= 350_000


def test_the_held_out_eighth_is_never_sampled():
    """No family of the held-out eighth is in the sample, and about an eighth is held out."""
    known = catalogue(MIXED)
    out = sampling.held_out(known, 1)
    assert 10 <= out.sum() <= 40
    assert not out[chosen(known).families].any()


def test_every_level_of_repetition_is_in_the_repeated_half():
    """No dose takes all of the budget: each power of two from 2 up to 64 has a family."""
    known = catalogue(MIXED)
    levels = sampling.strata(sampling.family_repetition(known)[chosen(known).repeated])
    assert sorted(set(levels.tolist())) == [1, 2, 3, 4, 5, 6]


def test_a_family_too_large_for_the_sample_is_counted_as_skipped():
    """A family above 1/24 of the budget is left out and said so."""
    known = catalogue([(1, 1, 5_000), *[(1, 2, 400)] * 20])
    sample = chosen(known, 24_000)
    held = sampling.held_out(known, 1)
    large = sampling.bytes_of_families(known) == 5_000
    assert sample.skipped == int((large & ~held).sum())
    assert not large[sample.families].any()


def test_the_order_of_documents_changes_nothing():
    """The same texts under other row keys give the same families, documents and sequences."""
    found = []
    for order in (1, 2):
        known = catalogue(MIXED, order)
        sample = chosen(known)
        names = [known.family_names[number] for number in sample.families]
        panelled, _ = scored(known, sample, 600)
        texts = known.text_key[panelled.document]
        rows = sorted(
            zip(
                texts.tolist(), panelled.start_token.tolist(), panelled.weight.tolist(), strict=True
            )
        )
        found.append((names, rows))
    assert found[0] == found[1]


def scored(known, sample, budget, without=()):
    """Return the panel of a catalogue, every text of 4 bytes a token, and what was wanted."""
    trained = np.isin(known.family, sample.families)
    reserved = np.array(without, np.int64)
    wanted = panel.want(known, trained, reserved, BYTES_PER_TOKEN, budget, 1)
    tokens = {
        number: int(known.text_bytes[number]) // BYTES_PER_TOKEN for number in wanted.documents()
    }
    return panel.choose(known, wanted, tokens, 1), wanted


def test_a_panel_keeps_its_budget_and_scores_nothing_twice():
    """At most the budget, each sequence once, only first documents of exact groups, in order."""
    known = catalogue(MIXED)
    found, _ = scored(known, chosen(known), 200)
    rows = list(zip(found.document.tolist(), found.start_token.tolist(), strict=True))
    assert 100 < len(rows) <= 200
    assert len(set(rows)) == len(rows)
    assert known.first[found.document].all()
    assert rows == sorted(rows)


def test_weights_add_up_to_the_corpus_when_everything_is_scored():
    """With a budget for all of it, the weights are the documents' copies and sum to all of them."""
    known = catalogue([(1, 3, 400), (1, 1, 400), (2, 1, 400)] * 4)
    found, _ = scored(known, chosen(known), 10_000)
    assert found.weight.sum() == pytest.approx(known.exact_count[known.first].sum())
    assert (found.weight == known.exact_count[found.document]).all()


def test_weights_of_a_sample_add_up_to_its_strata():
    """The sampled half stands for all that is not chosen with certainty, stratum by stratum."""
    known = catalogue([(1, 1, 400)] * 300)
    found, _ = scored(known, sampling.Sample(np.arange(0), np.arange(0), 0), 100)
    assert found.sampled.all()
    assert len(found.document) == 25
    assert found.weight.sum() == pytest.approx(300)


def test_reserved_documents_are_not_scored_and_others_stand_for_them():
    """What plants are taken from is in no sample; the weights still add up to the corpus."""
    known = catalogue([(1, 1, 400)] * 300)
    reserved = sampling.plant_sources(known, 8_000, 1)
    assert len(reserved) == 20
    nothing = sampling.Sample(np.arange(0), np.arange(0), 0)
    found, _ = scored(known, nothing, 100, reserved)
    assert not np.isin(found.document, reserved).any()
    assert found.weight.sum() == pytest.approx(300)


def test_plants_come_from_text_that_repeats_nothing_and_is_not_held_out():
    """No repeated and no held-out family; an eighth of the corpus at most, a family at least."""
    known = catalogue(MIXED)
    reserved = sampling.plant_sources(known, 10**9, 1)
    assert (known.repetition[reserved] < sampling.REPEATED).all()
    assert not sampling.held_out(known, 1)[known.family[reserved]].any()
    size = known.text_bytes[np.isin(known.family, known.family[reserved])].sum()
    assert 1_000 < size <= known.text_bytes.sum() / 8 + 1_200
    assert len(sampling.plant_sources(known, 1, 1)) > 0


def test_large_documents_are_left_out():
    """A document above a megabyte is not tokenized for scoring."""
    known = catalogue([(1, 2, 2 << 20), (1, 2, 400)])
    found, wanted = scored(known, sampling.Sample(np.arange(0), np.arange(0), 0), 100)
    assert (known.text_bytes[wanted.documents()] == 400).all()
    assert (known.text_bytes[found.document] == 400).all()
