"""What is sampled for training and chosen for scoring: whole families, known weights, no names."""

import numpy as np
import pyarrow as pa
import pytest

from pipeline.score import slices
from pipeline.score.sequences import catalogue as catalogues
from pipeline.score.sequences import panel, sampling
from pipeline.score.sequences.sequence_table import trained
from pipeline.score.sequences.taught import Lesson
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


def number_of(known, place):
    """Return the number of a family by its place in the list that the catalogue was made of."""
    return known.family_names.index(f"{place:04x}".ljust(32, "0"))


MIXED = [(1, 2 ** (number % 7), 400) for number in range(140)] + [(3, 1, 400)] * 60


def chosen(known, budget=700_000):
    """Return the sample of a catalogue, by bytes."""
    allowed = ~sampling.held_out(known, 1)
    return sampling.choose_families(known, known.text_bytes, budget, allowed, 1)


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
    assert (sample.copies[known.first] == known.exact_count[known.first]).all()
    assert not sample.copies[~known.first].any()
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


def test_a_text_too_large_for_the_sample_is_counted_as_skipped():
    """A family whose only text is above 1/24 of the budget is left out and said so."""
    known = catalogue([(1, 1, 5_000), *[(1, 2, 400)] * 20])
    sample = chosen(known, 24_000)
    held = sampling.held_out(known, 1)
    large = sampling.bytes_of_families(known) == 5_000
    assert sample.skipped == int((large & ~held).sum())
    assert not large[sample.families].any()


def test_of_a_family_too_large_for_the_sample_a_part_is_taken():
    """Texts that repeat most come first, the last of them with as many copies as still fit."""
    known = catalogue([(1, 100, 400), (60, 1, 400), *[(1, 2, 400)] * 20])
    copies = sampling.copies_that_fit(known, known.text_bytes, 4_100, 1)
    of_family = np.bincount(known.family, copies)
    assert of_family[[number_of(known, place) for place in range(22)]].tolist() == [
        10,
        10,
        *[2] * 20,
    ]
    assert sorted(copies[known.family == number_of(known, 0)].tolist())[-2:] == [0, 10]
    assert set(copies[known.family == number_of(known, 1)].tolist()) == {0, 1}


def test_the_most_repeated_text_is_in_the_sample_whatever_its_size():
    """A text of a thousand copies is taught, within its share of the budget."""
    families = [(1, 1_000, 400), *[(1, 2, 400)] * 200, *[(1, 1, 400)] * 400]
    known = catalogue(families)
    allowed = np.ones(len(families), np.bool_)
    sample = sampling.choose_families(known, known.text_bytes, 240_000, allowed, 1)
    largest = number_of(known, 0)
    assert largest in sample.repeated
    assert sample.skipped == 0
    taught = np.isin(known.family, sample.families) * sample.copies
    assert taught[known.family == largest].sum() == 25
    assert (taught * known.text_bytes).sum() <= 240_000


def test_copies_beyond_those_taught_count_as_unseen():
    """Of a text that is taught 3 times of 5, the first 3 documents are those that proxies saw."""
    known = catalogue([(1, 5, 400), (2, 2, 400), (1, 1, 400)])
    place = np.array([number_of(known, place) for place in range(3)])
    first = np.flatnonzero(known.first & (known.family != place[2]))
    copies = np.where(known.family[first] == place[0], 3, 1)
    half = (known.family[first] == place[1]).astype(np.int64)
    group = trained(known, taught(known, first, copies, half))
    assert np.bincount(group[known.family == place[0]]).tolist() == [2, 3]
    assert np.bincount(group[known.family == place[1]]).tolist() == [2, 0, 2]
    assert not group[known.family == place[2]].any()
    assert (group[first] == 1 + half).all()


def taught(known, documents, copies, half):
    """Return a lesson of some texts, so many copies of each to one half."""
    order = np.argsort(known.text_key[documents], kind="stable")
    documents, copies, half = documents[order], copies[order], half[order]
    size, none = known.text_bytes[documents], np.zeros(len(documents), np.bool_)
    offsets, words = np.zeros(len(documents) + 1, np.int64), np.zeros(0, np.uint64)
    keys = known.text_key[documents]
    return Lesson(keys, size, size, copies, copies, half, none, offsets, words, size)


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
    found, _ = scored(known, sampling.NOTHING, 100)
    assert found.sampled.all()
    assert len(found.document) == 25
    assert found.weight.sum() == pytest.approx(300)


def test_reserved_documents_are_not_scored_and_others_stand_for_them():
    """What plants are taken from is in no sample; the weights still add up to the corpus."""
    known = catalogue([(1, 1, 400)] * 300)
    reserved = sampling.plant_sources(known, 8_000, 1)
    assert len(reserved) == 20
    nothing = sampling.NOTHING
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
    found, wanted = scored(known, sampling.NOTHING, 100)
    assert (known.text_bytes[wanted.documents()] == 400).all()
    assert (known.text_bytes[found.document] == 400).all()
