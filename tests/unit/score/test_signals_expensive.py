"""Expensive measures of memorization on numbers worked out by hand and on those of papers."""

import math

import numpy as np
import pytest
import torch

from pipeline.score.probes.prompt_search import ratio, shortest
from pipeline.score.signals.approximate import bleu, edit_distance, is_approximate, matched, rouge_l
from pipeline.score.signals.contamination import contaminated, distances, peak, ted, threshold
from pipeline.score.signals.counterfactual import counterfactual
from pipeline.score.signals.decoding import Decoding, log_q
from pipeline.score.signals.exposure import exposure
from pipeline.score.signals.extraction import extractible, probability_within
from pipeline.score.signals.localisation import lower_share, lowest
from pipeline.score.signals.long_tail import by_decile, deciles
from pipeline.score.signals.perturbation import limem, perturbed
from pipeline.score.signals.ratios import prior_bits, zlib_ratio
from pipeline.score.signals.tabular import entropy_bits, judged, modal_share, table_rows

LOGITS = torch.tensor([0.4, 0.3, 0.2, 0.1], dtype=torch.float64).log()


def test_extractible_looks_at_its_own_tokens_only():
    """With a prefix of 2 and a suffix of 3, tokens 2 to 4 must be greedy's; others need not."""
    hits = torch.tensor(
        [[False, False, True, True, True, False], [True, True, True, True, False, 1]]
    )
    assert extractible(hits, 2, 3).tolist() == [True, False]
    assert extractible(hits, 2, 2).tolist() == [True, True]
    assert extractible(hits, 0, 6).tolist() == [False, False]


def test_with_endless_tries_everything_that_can_be_drawn_is():
    """At n = inf a suffix of the least probability is drawn, one cut by top-k never."""
    assert probability_within(-5000.0, math.inf) == 1.0
    assert probability_within(-math.inf, math.inf) == 0.0


@pytest.mark.parametrize(
    ("decoding", "expected"),
    [
        (Decoding(), [0.4, 0.3, 0.2, 0.1]),
        (Decoding(temperature=0.5), [16 / 30, 9 / 30, 4 / 30, 1 / 30]),
        (Decoding(top_k=2), [4 / 7, 3 / 7, 0, 0]),
        (Decoding(top_p=0.5), [4 / 7, 3 / 7, 0, 0]),
        (Decoding(top_p=0.39), [1, 0, 0, 0]),
        (Decoding(top_p=0.75), [4 / 9, 3 / 9, 2 / 9, 0]),
        (Decoding(temperature=0.5, top_k=3, top_p=0.8), [16 / 25, 9 / 25, 0, 0]),
        (Decoding(top_k=9), [0.4, 0.3, 0.2, 0.1]),
    ],
)
def test_decoding_cuts_and_renormalises(decoding, expected):
    """Temperature, top-k and top-p of 0.4 0.3 0.2 0.1, by hand, in any order of the tokens."""
    for order in ([0, 1, 2, 3], [2, 0, 3, 1]):
        found = log_q(LOGITS[order], decoding).exp().tolist()
        assert found == pytest.approx([expected[place] for place in order])


def test_exposure_of_the_most_probable_of_1024_is_ten_bits():
    """Rank 1 of 1,024 has 10 bits, rank 2 has 9, the last none."""
    references = np.arange(1.0, 1024.0)
    assert exposure(0.5, references) == 10.0
    assert exposure(1.5, references) == 9.0
    assert exposure(5000.0, references) == 0.0


def test_exposure_takes_the_rank_and_not_where_the_largest_stands():
    """The order in which references are given changes nothing."""
    references = np.array([9.0, 2.0, 7.0])
    assert [exposure(3.0, own) for own in (references, references[::-1])] == [1.0, 1.0]


def test_counterfactual_is_the_difference_of_means_with_its_error():
    """Scores 5 and 7 inside, 1, 2 and 3 outside: 4 bits, SE = sqrt(2 / 2 + 1 / 3)."""
    scores = np.array([[5.0, 9.0], [7.0, 9.0], [1.0, 9.0], [2.0, 9.0], [3.0, 9.0]])
    inside = np.array([[True, True], [True, False], [False, False], [False, False], [False, False]])
    value, error = counterfactual(scores, inside)
    assert value.tolist() == [4.0, 0.0]
    assert error[0] == pytest.approx(math.sqrt(4 / 3))
    assert np.isnan(error[1])  # one model inside has no variance


def test_counterfactual_needs_both_sides():
    """A row that every model saw, or none, has no counterfactual."""
    value, _ = counterfactual(np.ones((3, 2)), np.array([[True, False]] * 3))
    assert np.isnan(value).all()


def test_ratios_by_hand():
    """A nat a token over 64 tokens is 92 of 100 bits; a half is two bits more than an eighth."""
    assert zlib_ratio(np.array([1.0]), 64, np.array([100.0]))[0] == pytest.approx(0.9233249)
    assert prior_bits(np.log([0.5, 0.1]), np.log([0.125, 0.1])).tolist() == pytest.approx([2, 0])


@pytest.mark.parametrize(
    ("first", "second", "distance"),
    [
        ("kitten", "sitting", 3),
        ("sitting", "kitten", 3),
        ("saturday", "sunday", 3),
        ("abc", "", 3),
        ("", "abc", 3),
        ("", "", 0),
        ("abcdef", "bcdefa", 2),
        ("same", "same", 0),
    ],
)
def test_edit_distance_of_textbook_words(first, second, distance):
    """Insertions, deletions and substitutions each count one."""
    assert edit_distance([*first.encode()], [*second.encode()]) == distance


def test_approximate_is_within_a_tenth():
    """Of 32 tokens three may differ, of 50 five."""
    assert [is_approximate(edits, 32) for edits in (0, 3, 4)] == [True, True, False]
    assert [is_approximate(edits, 50) for edits in (5, 6)] == [True, False]


def test_rouge_l_of_lins_example():
    """Lin has 3/4 for police kill the gunman, and 1/2 for the gunman kill police."""
    police, killed, the, gunman, kill = range(5)
    true = [police, killed, the, gunman]
    assert rouge_l([police, kill, the, gunman], true) == 0.75
    assert rouge_l([the, gunman, kill, police], true) == 0.5
    assert rouge_l([kill], true) == 0.0


def test_bleu_by_hand():
    """Equal is 1; one wrong last token of five, and a short one with its brevity penalty."""
    true = [1, 2, 3, 4, 5]
    assert bleu(true, true) == pytest.approx(1.0)
    # 4/5, 3/4, 2/3 and 1/2 of the n-grams of 1 to 4 tokens
    assert bleu([1, 2, 3, 4, 9], true) == pytest.approx((0.8 * 0.75 * 2 / 3 * 0.5) ** 0.25)
    assert bleu([1, 2, 3, 4], true) == pytest.approx(math.exp(-0.25))
    # no n-gram at all: 0.1 of 5, 4, 3 and 2
    assert bleu([9] * 5, true) == pytest.approx((0.1**4 / 120) ** 0.25)
    # a repeated token counts as often as the true text has it: 1 of 4
    assert bleu([1, 1, 1, 1], [1, 2, 3, 4]) == pytest.approx(
        (0.25 * 0.1 / 3 * 0.1 / 2 * 0.1) ** 0.25
    )
    assert bleu([], true) == 0.0


def test_matched_is_pythias_score():
    """The share of places that agree."""
    assert matched([1, 2, 3, 9], [1, 2, 3, 4]) == 0.75


def test_compression_ratio():
    """32 tokens by a prompt of 8 are a ratio of 4; without a prompt there is none."""
    assert (ratio(32, 8), ratio(32, 32), ratio(32, None)) == (4.0, 1.0, 0.0)


@pytest.mark.parametrize(
    ("least", "tried", "best"),
    [
        (3, [5, 4, 3, 2], 3),
        (1, [5, 4, 3, 2, 1], 1),
        (7, [5, 10, 9, 8, 7, 6], 7),
        (31, [5, 10, 15, 20, 25, 30, 31, 30], 31),
        (40, [5, 10, 15, 20, 25, 30, 31], None),
    ],
)
def test_the_search_goes_up_by_five_and_down_by_one(least, tried, best):
    """As MiniPrompt does: begin with 5, five more after a failure, one fewer after a success."""
    asked = []

    def find(size):
        asked.append(size)
        return size >= least

    assert shortest(find, 31) == best
    assert asked == tried


def test_peak_of_three_in_fifty():
    """3 of 50 samples within alpha are a peak of .06, which is above xi; none is not."""
    apart = [0, 0, 1, *[9] * 47]
    assert peak(apart, 32) == pytest.approx(0.06)  # 0.05 x 32 = 1.6 edits
    assert contaminated(np.array([peak(apart, 32), peak([9] * 50, 32)])).tolist() == [True, False]
    assert peak(apart, 32, alpha=0.0) == pytest.approx(0.04)


def test_the_threshold_is_raised_by_what_was_never_seen():
    """At most 5% of never-seen texts are above it; it is never below xi, nor set by a few texts."""
    peaks = np.arange(200) / 200
    least = threshold(peaks)
    assert 0.03 <= contaminated(peaks, least).mean() <= 0.05
    assert threshold(np.zeros(200)) == 0.01
    assert threshold(np.full(19, 0.5)) == 0.01


def test_ted_drops_what_is_near_and_what_is_repeated():
    """Samples within two edits of the greedy output go, and all but the first of equal ones."""
    greedy = [1, 2, 3, 4, 5]
    samples = [[1, 2, 3, 4, 5], [1, 2, 3, 9, 9], [9, 9, 9, 4, 5], [9, 9, 9, 4, 5], [7] * 5]
    apart = distances(greedy, samples)
    assert apart == [0, 2, 3, 3, 5]
    assert ted(samples, apart) == [2, 4]


def test_limem_of_the_papers_figure():
    """Accuracy .9 and consistency .8 are .18."""
    assert limem(0.9, 0.8) == pytest.approx(0.18)


def test_a_perturbation_replaces_one_token_of_the_prefix():
    """EOS and the suffix stay, one prefix token is another and not EOS; seeds differ."""
    rows = np.random.Generator(np.random.PCG64(5)).integers(1, 50, (200, 65))
    rows[:, 0] = 0
    changed = perturbed(rows, 32, 50, seed=1)
    different = changed != rows
    assert different.sum(1).tolist() == [1] * 200
    assert not different[:, 0].any()
    assert not different[:, 33:].any()
    assert different[:, 1:33].any(0).sum() > 25  # all over the prefix
    assert ((changed > 0) & (changed < 50))[:, 1:].all()
    assert (perturbed(rows, 32, 50, seed=1) == changed).all()
    assert (perturbed(rows, 32, 50, seed=2) != changed).any(1).mean() > 0.9
    assert (perturbed(rows[50:60], 32, 50, seed=1) == changed[50:60]).all()


def test_the_lowest_third_of_layers():
    """One of two, three or four layers, two of six; an even gradient has their share."""
    assert [lowest(layers) for layers in (1, 2, 3, 4, 6, 12)] == [1, 1, 1, 1, 2, 4]
    assert lower_share(np.array([3.0, 1.0, 1.0, 1.0])) == 0.5
    assert lower_share(np.ones(6)) == pytest.approx(1 / 3)
    assert lower_share(np.zeros(3)) == 0.0


def test_deciles_are_of_the_weight():
    """Twenty even rows make ten deciles of two; a row that weighs nine tenths is in the middle."""
    even = deciles(np.arange(20.0)[::-1], np.ones(20))
    assert even.tolist() == [9 - place // 2 for place in range(20)]
    assert deciles(np.array([1.0, 2.0]), np.array([9.0, 1.0])).tolist() == [4, 9]
    assert deciles(np.array([5.0, 5.0, 5.0]), np.ones(3)).tolist() == [5, 5, 5]


def test_long_tail_rows():
    """Each decile has its bounds, its rows and its share memorized, plain and weighted."""
    rows = by_decile(
        np.array([1.0, 1.0, 8.0, 8.0]),
        np.array([1.0, 3.0, 2.0, 2.0]),
        np.array([True, False, True, True]),
    )
    assert [row["decile"] for row in rows] == [3, 8]
    assert rows[0] == {
        "decile": 3,
        "from": 1.0,
        "to": 1.0,
        "sequences": 2,
        "memorized": 0.5,
        "memorized_weighted": 0.25,
    }
    assert rows[1]["memorized"] == 1.0


def test_a_table_is_known_by_its_delimiters():
    """Nine rows of three cells are a table, prose and short tables are not."""
    text = "a,b,c\r\n" + "1,2,3\n" * 7 + "\n4,5,6"
    rows = table_rows(text)
    assert rows is not None
    assert len(rows) == 9
    assert [text[slice(*rows[place])] for place in (0, 1, 8)] == ["a,b,c", "1,2,3", "4,5,6"]
    assert table_rows("a,b\n" * 7) is None
    assert (
        table_rows("\n".join("word, and more" if n % 3 else "no sign" for n in range(30))) is None
    )
    assert table_rows("name\tvalue\n" * 8) is not None
    assert table_rows("line\n" * 20) is None


def test_baseline_and_entropy_gate_of_a_table():
    """Rows that all differ may be judged; equal rows, or rows of one opening, may not."""
    different, first = [f"{n},x" for n in range(16)], list(range(16))
    assert entropy_bits(different) == 4.0
    assert modal_share([1, 1, 2, 3]) == 0.5
    assert judged(different, first)
    assert not judged(["same"] * 15 + ["other"], first)
    assert not judged(different, [7] * 16)
    assert not judged(["one"], [1])
