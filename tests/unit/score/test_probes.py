"""Probes of a proxy that is really trained: what it learnt answers, what it never saw does not."""

import copy
import json
import math
import shutil
from dataclasses import fields, replace

import numpy as np
import pyarrow as pa
import pytest
import torch
from tokenizers import Tokenizer
from tokenizers.models import BPE

from flows.runners import LocalMapper
from pipeline import run
from pipeline.config.load import load_config
from pipeline.config.sections import ProbesConfig
from pipeline.engine.progress import Silent, current, listen
from pipeline.errors import ConfigError, InputError
from pipeline.inspect.explain import explanations
from pipeline.inspect.explanation_words import in_words
from pipeline.score.probes import measures as probes_measures
from pipeline.score.probes import tabular as probes_tabular
from pipeline.score.probes.aggregates import SignalValues, aggregates
from pipeline.score.probes.attribution import attribution, log_p_of, self_influence
from pipeline.score.probes.cost import lines, passes
from pipeline.score.probes.doses import levels
from pipeline.score.probes.generation import generate, next_logits, suffix_hits, suffix_log_p
from pipeline.score.probes.neurons import Switched
from pipeline.score.probes.panel import Probed, ProbedModel, ProbeInput, choose
from pipeline.score.probes.soft_prompt import cost_curve
from pipeline.score.proxy import model as models
from pipeline.score.proxy.model import Shape
from pipeline.score.proxy.pool import torch_threads
from pipeline.score.proxy.statistics import ProxyScorer
from pipeline.score.proxy.train import Schedule, train
from pipeline.score.sequences.catalogue import Catalogue
from pipeline.score.signals.decoding import Decoding, log_q
from pipeline.score.signals.extraction import probability_within
from pipeline.score.signals.neurons import expected_harm, fewest
from pipeline.score.signals.perturbation import perturbed
from pipeline.text.hashing import keyed_hash
from tests.e2e.command import QUICK_SCORE, few_plants
from tests.e2e.corpora import Prose

VOCABULARY, REPEATED, ROWS, COPIES = 300, 8, 20, 30
CONFIG = ProbesConfig(samples=6, acr_panel=3, acr_steps=2, neurons_panel=3)
RECITED = {"neurons", "soft_defence", "soft_attack"}  # they need text that is recited
SEED = 5


@pytest.fixture(scope="module", autouse=True)
def _few_plants():
    """Plant few in every training of this file."""
    with pytest.MonkeyPatch.context() as patch:
        few_plants(patch)
        yield


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Hold Torch at one thread, as a run does."""
    with torch_threads(1):
        yield


@pytest.fixture(scope="module")
def panel():
    """Return 20 random sequences, each a family of its own."""
    tokens = np.random.Generator(np.random.PCG64(1)).integers(1, VOCABULARY, (ROWS, 64))
    rows = np.concatenate((np.zeros((ROWS, 1), np.int64), tokens), axis=1)
    place = np.arange(ROWS)
    return Probed(place, place.astype(np.uint64), np.zeros(ROWS, np.int64), place, rows)


@pytest.fixture(scope="module")
def subject(panel):
    """Return a proxy that was trained on the first 8 of them 120 times each, on no other."""
    lesson = np.tile(panel.tokens[:REPEATED], (COPIES, 1))
    trained = train(Shape(VOCABULARY, 3, 64), lesson, Schedule(3, 16, 0.003, 5))
    seen = np.where(np.arange(ROWS) < REPEATED, 3 * COPIES, 0)
    return ProbedModel("p2", "ladder", trained.model, "cpu", 0, seen)


@pytest.fixture(scope="module")
def measured(subject, panel):
    """Give a function that takes one measure of the panel, and takes it once."""
    known = {}
    chosen = np.array([0, 1, REPEATED, REPEATED + 1])
    some = Probed(*(getattr(panel, field.name)[chosen] for field in fields(Probed)))

    def measure(name):
        if name not in known:
            own, asked = probes_measures.MEASURES[name], some if name in ("cdd", "acr") else panel
            known[name] = own(subject, asked, CONFIG, SEED, lambda *_: None)
        return known[name]

    return measure


def test_the_proxy_learnt_what_it_saw_and_nothing_else(subject, panel):
    """The tests below rest on 8 memorized and 12 unknown sequences."""
    memorized = ProxyScorer(subject.model).score(panel.tokens)["memorized"]
    assert memorized.tolist() == [True] * REPEATED + [False] * (ROWS - REPEATED)


def test_extraction_is_what_scoring_says(subject, panel, measured):
    """The label of 32 from 32 and log p_z at temperature 1 are the columns of `sequences`."""
    found, scored = measured("extraction"), ProxyScorer(subject.model).score(panel.tokens)
    assert found["extractible_32_32"].tolist() == scored["memorized"].astype(float).tolist()
    assert found["log_p_z_t1"] == pytest.approx(scored["log_p_z"], rel=1e-4)
    assert found["extractible_16_16"][REPEATED:].tolist() == [0.0] * (ROWS - REPEATED)
    assert (found["extractible_32_16"] >= found["extractible_32_32"]).all()
    assert (found["extractible_16_16"] >= found["extractible_16_32"]).all()


def test_extraction_by_other_ways_of_decoding(subject, panel, measured):
    """Cutting what is improbable makes the memorized more probable and the unknown impossible."""
    found = measured("extraction")
    for name in ("t0.8", "top_k40", "top_p0.9"):
        assert (found[f"log_p_z_{name}"] >= found["log_p_z_t1"])[:REPEATED].all()
    assert np.isneginf(found["log_p_z_top_p0.9"][REPEATED:]).all()
    assert np.isinf(found["tries_top_p0.9"][REPEATED:]).all()
    tries = found["tries_t1"][:REPEATED]
    expected = [math.log(0.5) / math.log1p(-math.exp(x)) for x in found["log_p_z_t1"][:REPEATED]]
    assert tries == pytest.approx(expected)
    assert (found["within_100_t1"][:REPEATED] > 0.99).all()
    assert (found["within_10000_t1"][REPEATED:] < 1e-6).all()
    by_hand = _slow_log_p(subject, panel.tokens[0], Decoding(top_k=40))
    assert found["log_p_z_top_k40"][0] == pytest.approx(by_hand, rel=1e-4)


def _slow_log_p(subject, row, decoding):
    """Return log p_z of one row, a token at a time."""
    total = 0.0
    for place in range(33, 65):
        logits = next_logits(subject, row[None, :place])
        total += float(log_q(logits[0], decoding)[row[place]])
    return total


def test_exposure_of_the_memorized_is_the_most_there_is(measured):
    """Each memorized one beats all 12 unseen references; the unseen have all ranks among 12."""
    bits = measured("exposure")["exposure_bits"]
    assert bits[:REPEATED].tolist() == pytest.approx([math.log2(13)] * REPEATED)
    ranks = np.sort(12 / 2 ** bits[REPEATED:])
    assert ranks == pytest.approx(np.arange(1.0, 13.0))


def test_the_prefix_tells_of_the_memorized_only(measured):
    """Given its prefix a memorized suffix is far more probable than alone; an unseen one is not."""
    bits = measured("prior")["prior_bits"]
    assert bits[:REPEATED].min() > 30
    assert abs(bits[REPEATED:].mean()) < 30


def test_greedy_generation_agrees_with_the_forward_pass(subject, panel):
    """A suffix is generated whole exactly where every one of its tokens is the arg-max."""
    said = generate(subject, panel.tokens[:, :33], 32)
    whole = (said == panel.tokens[:, 33:]).all(1)
    assert whole.tolist() == suffix_hits(subject, panel.tokens, 32).all(1).tolist()
    assert whole.sum() == REPEATED


def test_approximate_measures_of_what_was_learnt(measured):
    """The memorized are at edit distance 0 with scores of 1; the unseen are far off."""
    found = measured("approximate")
    learnt = {name: values[:REPEATED] for name, values in found.items()}
    assert learnt["edit_distance"].tolist() == [0.0] * REPEATED
    for name in ("approximate", "bleu", "rouge_l", "matched"):
        assert learnt[name] == pytest.approx(np.ones(REPEATED))
    assert found["edit_distance"][REPEATED:].min() > 20
    assert found["approximate"][REPEATED:].tolist() == [0.0] * (ROWS - REPEATED)
    assert found["rouge_l"][REPEATED:].max() < 0.4


def test_limem_asks_again_with_another_token(subject, panel, measured):
    """What was right is asked four times more, and what was wrong has no consistency."""
    found = measured("limem")
    assert found["right"].tolist() == [1.0] * REPEATED + [0.0] * (ROWS - REPEATED)
    assert np.isnan(found["consistent"][REPEATED:]).all()
    changed = perturbed(panel.tokens, 32, VOCABULARY, SEED)
    once = suffix_hits(subject, changed, 32).all(1).numpy()
    assert (found["right_perturbed"][once] >= 0.25).all()
    assert set((4 * found["consistent"][:REPEATED]).tolist()) <= {0.0, 1.0, 2.0, 3.0, 4.0}


def test_offsets_move_the_question_through_the_context(subject, panel, measured):
    """At offset 0 the question is the sequence itself; behind another text it is asked anew."""
    found = measured("offsets")
    rows = panel.tokens[:, :33]
    hits = suffix_hits(subject, rows, 16).all(1).double().tolist()
    assert found["extractible_at_0"].tolist() == hits
    assert found["extractible_at_0"][:REPEATED].mean() > 0.5
    other = np.concatenate((rows[:1, :1], panel.tokens[1:2, 1:33], rows[:1, 1:]), axis=1)
    alone = float(suffix_log_p(subject, other, 16).double().sum())
    assert found["log_p_at_32"][0] == pytest.approx(alone, rel=1e-5)
    assert found["log_p_at_0"][:REPEATED].mean() > found["log_p_at_32"][:REPEATED].mean()


def test_what_stands_before_is_of_another_family():
    """The next sequence of another family is taken, and any where there is no other."""
    assert probes_measures._others(np.array([1, 1, 2, 3])).tolist() == [2, 2, 3, 0]
    assert probes_measures._others(np.array([1, 1])).tolist() == [1, 0]


def test_gradients_are_those_of_the_whole_backward_pass(subject, panel, measured):
    """The share is that of the first of three blocks, by an ordinary backward pass."""
    tokens = torch.from_numpy(panel.tokens[REPEATED])
    logits = subject.model(tokens[None, :-1])[0, -32:]
    torch.nn.functional.cross_entropy(logits, tokens[-32:]).backward()
    squares = [
        sum(float(part.grad.square().sum()) for part in block.parameters())
        for block in subject.model.parts
    ]
    subject.model.zero_grad(set_to_none=True)
    found = measured("gradients")
    assert found["lower_share"][REPEATED] == pytest.approx(squares[0] / sum(squares), rel=1e-4)
    assert found["gradient_norm"][REPEATED] == pytest.approx(math.sqrt(sum(squares)), rel=1e-4)
    assert found["gradient_norm"][:REPEATED].max() < found["gradient_norm"][REPEATED:].min()


def test_cdd_finds_the_peak_of_what_was_learnt(measured):
    """Samples of the two memorized are the greedy output nearly all; of the two unseen hardly."""
    found = measured("cdd")
    assert found["peak"][:2].min() > 0.6
    assert found["contaminated"][:2].tolist() == [1.0, 1.0]
    assert found["peak"][2:].mean() < 0.3
    assert found["ted_kept"][2:].mean() > found["ted_kept"][:2].mean()


def test_acr_is_above_one_for_what_was_learnt_and_none_for_the_unseen(measured):
    """Two memorized suffixes have a prompt shorter than they are, an unseen one has none.

    Beyond probes.acr_panel none is looked for.
    """
    found = measured("acr")
    assert (found["acr"][:2] > 1.0).all()
    assert found["acr"][:2] == pytest.approx(32 / found["prompt_tokens"][:2])
    assert found["acr"][2] == 0.0
    assert np.isnan(found["acr"][3])


def test_few_neurons_carry_a_recall_and_little_else(subject, panel, measured):
    """Without a few of 528 one text is gone; others stay, and as many at random take none."""
    found = measured("neurons")
    assert np.isnan(found["needed"][3:]).all()
    own = {name: values[:3] for name, values in found.items()}
    assert own["of"].tolist() == [3 * 176.0] * 3
    assert (own["needed"] < 60).all()
    assert (own["others_recited"] > 0.8).all()
    assert own["random_recited"].tolist() == [1.0] * 3
    assert (np.abs(own["held_out_nats"]) < 0.2).all()
    switched = Switched.of(subject)
    order = switched.order(panel.tokens[0])
    assert not switched.recites(order[: int(own["needed"][0])], panel.tokens[:1])
    assert switched.recites(order[:0], panel.tokens[:1])
    assert switched.recites(order.flip(0)[: int(own["needed"][0])], panel.tokens[:1])
    with switched.without(order):
        assert suffix_hits(subject, panel.tokens[:1], 32).all()  # the model itself is as it was


def test_a_removed_neuron_is_nought_and_the_harm_is_of_first_order(subject, panel):
    """Setting its weights behind to 0 does the same; the slope is that of a small step."""
    switched = Switched.of(subject)
    rows, one = panel.tokens[:1], 176 + 5  # of the second block
    with switched.without(torch.tensor([one])):
        found = suffix_log_p(switched.subject, rows, 32)
    by_hand = copy.deepcopy(subject.model)
    by_hand.parts[1].down.weight.data[:, 5] = 0.0
    assert torch.allclose(found, suffix_log_p(replace(subject, model=by_hand), rows, 32), atol=1e-5)
    values, slopes = torch.tensor([[1.0, 2.0], [3.0, 0.0]]), torch.tensor([[-1.0, 0.5], [2.0, 9.0]])
    assert expected_harm(values, slopes).tolist() == [-5.0, -1.0]


def test_the_fewest_are_found_by_doubling_and_halving():
    """13 of 100 are found, 1 at once, the most at last, and none beyond it."""
    tried = []

    def breaks(size, need=13):
        tried.append(size)
        return size >= need

    assert fewest(breaks, 100) == 13
    assert tried == [1, 2, 4, 8, 16, 12, 14, 13]
    assert [fewest(range(need, 99).__contains__, 10) for need in (1, 10, 11)] == [1, 10, None]


def test_a_soft_prompt_keeps_recall_out_and_leaves_the_rest(measured):
    """Of the half that it was not trained on nothing is recited; unknown text loses little."""
    found = measured("soft_defence")
    left_out = ~np.isnan(found["recited_plain"][:REPEATED])
    assert left_out.sum() == REPEATED // 2
    recited = {name: values[:REPEATED][left_out].mean() for name, values in found.items()}
    assert recited["recited_plain"] == 1.0
    assert recited["recited_at_1"] == 0.0
    told = {name: np.isnan(values).tolist() for name, values in found.items()}
    assert all(own == told["recited_plain"] for own in told.values())  # one half in every number
    assert recited["recited_at_1"] < recited["recited_started"]
    assert recited["nats_at_2"] > recited["nats_at_1"] > recited["nats_started"]
    lost = np.nanmean((found["nats_at_1"] - found["nats_plain"])[REPEATED:])
    assert abs(lost) < 0.2
    attacked = measured("soft_attack")
    assert attacked["recited_attacked"][:REPEATED][left_out].mean() > recited["recited_started"]
    assert attacked["nats_started"] == pytest.approx(found["nats_started"], nan_ok=True)


def test_what_a_defence_costs_by_hand():
    """Still recited of what was, and the nats that the never seen lose; left out is not told."""
    nan = np.nan
    found = found_of(
        "soft_defence", range(6),
        recited_plain=[1, 0, 1, 0, nan, nan], nats_plain=[0.1, 4, 0.1, 5, nan, nan],
        recited_at_1=[0, 0, 1, 0, nan, nan], nats_at_1=[1.1, 4.5, 0.9, 5.5, nan, nan],
    )  # fmt: skip
    plain, held = cost_curve(found, SEED)
    assert (plain["vectors"], plain["still_recited"], plain["nats_added"]) == ("plain", 1.0, 0.0)
    assert (held["vectors"], held["still_recited"], held["nats_added"]) == ("at_1", 0.5, 0.5)
    assert (held["sequences"], held["unknown"]) == (2, 2)
    assert held["still_recited_95"] == [0.0, 1.0]
    assert cost_curve(replace(found, values={}), SEED) == []
    loaded = cost_curve(replace(found, known=False, seen=found.seen + 1), SEED)[1]
    assert (loaded["unknown"], loaded["nats_added"]) == (2, 0.5)


def test_no_soft_prompt_is_trained_on_too_little(subject, panel):
    """A model that recites nothing has no numbers of one."""
    unread = replace(subject, model=models.Transformer(Shape(VOCABULARY, 1, 32), 1))
    for name in ("soft_defence", "soft_attack"):
        own = probes_measures.MEASURES[name]
        assert own(unread, panel, CONFIG, SEED, lambda *_: None) == {}


def test_attributions_add_up_to_what_the_prefix_adds(subject, panel):
    """Their sum is log p after the prefix less that after one of mean embeddings."""
    for row in panel.tokens[[0, REPEATED]]:
        parts = attribution(subject, row, 96)
        true, without = (log_p_of(subject, row, mean_prefix=side) for side in (False, True))
        assert parts.shape == (32,)
        assert parts.sum() == pytest.approx(true - without, rel=0.1)
        alone = suffix_log_p(subject, row[None], 32).double().sum()
        assert true == pytest.approx(float(alone), rel=1e-4)
    changed = panel.tokens[0].copy()
    most = int(np.argmax(attribution(subject, changed)))
    changed[1 + most] = (changed[1 + most] + 7) % VOCABULARY
    assert log_p_of(subject, changed, mean_prefix=False) < log_p_of(
        subject, panel.tokens[0], mean_prefix=False
    )


def test_self_influence_is_of_all_weights_and_small_for_what_was_learnt(subject, panel):
    """It is the squared norm of an ordinary backward pass; a step on the unseen would do more."""
    row = torch.from_numpy(panel.tokens[REPEATED])
    torch.nn.functional.cross_entropy(subject.model(row[None, :-1])[0], row[1:]).backward()
    grads = [part.grad.double() for part in subject.model.parameters()]
    by_hand = sum(float(grad.square().sum()) for grad in grads)
    subject.model.zero_grad(set_to_none=True)
    found = [self_influence(subject, row) for row in panel.tokens]
    assert found[REPEATED] == pytest.approx(by_hand, rel=1e-3)
    assert max(found[:REPEATED]) < min(found[REPEATED:])


def test_draws_are_of_the_seed_and_of_no_batch(subject, panel, monkeypatch):
    """The same seed draws the same tokens, whatever the batch; another draws others."""
    prompts = np.tile(panel.tokens[REPEATED : REPEATED + 3, :33], (4, 1))
    first = generate(subject, prompts, 6, Decoding(), 7)
    monkeypatch.setattr("pipeline.score.probes.generation.BATCH", 5)
    assert generate(subject, prompts, 6, Decoding(), 7).tolist() == first.tolist()
    assert generate(subject, prompts, 6, Decoding(), 8).tolist() != first.tolist()
    assert len({tuple(row) for row in first.tolist()}) > 6


def test_drawing_the_one_best_token_is_greedy(subject, panel):
    """With top-k 1 nothing else than the greedy output is drawn."""
    prompts = panel.tokens[:, :33]
    drawn = generate(subject, prompts, 8, Decoding(top_k=1), 3)
    assert drawn.tolist() == generate(subject, prompts, 8).tolist()


@pytest.mark.slow
@pytest.mark.parametrize(
    "decoding",
    [
        Decoding(),
        Decoding(temperature=1.5),
        Decoding(temperature=1.5, top_k=40),
        Decoding(temperature=1.5, top_p=0.9),
        Decoding(temperature=1.5, top_k=100, top_p=0.95),
    ],
)
def test_log_p_z_agrees_with_monte_carlo(subject, panel, decoding):
    """Of 10,000 samples the share that is the suffix is p_z, within its 99.9% interval.

    So is the share of triples of samples that hold it, which is the (3, p)-extraction rate. The
    suffix is 12 tokens after 20: drawing 32 takes minutes.
    """
    known = panel.tokens[:REPEATED, :33]
    log_p = suffix_log_p(subject, known, 12, decoding).double().sum(1)
    own = int((log_p - math.log(0.5)).abs().argmin())
    chance = math.exp(float(log_p[own]))
    assert 0.05 < chance < 0.95
    drawn = generate(subject, np.tile(known[own, :21], (10_000, 1)), 12, decoding, seed=11)
    hit = (drawn == known[own, 21:]).all(1)
    assert abs(hit.mean() - chance) < 3.29 * math.sqrt(chance * (1 - chance) / 10_000)
    within = probability_within(math.log(chance), 3)
    held = hit[:9_999].reshape(3_333, 3).any(1).mean()
    assert abs(held - within) < 3.29 * math.sqrt(within * (1 - within) / 3_333)


def scene_of(subject, seen, family, start=None, keys=None):
    """Return a scene of single-sequence documents that were seen so often."""
    count = len(seen)
    keys = np.arange(count, dtype=np.uint64) if keys is None else keys
    start = np.zeros(count, np.int64) if start is None else start
    table = pa.table({"row_key": keys, "start_token": start})
    text = keyed_hash(np.arange(count, dtype=np.uint64), 3)
    known = Catalogue(
        row_key=keys,
        text_bytes=np.full(count, 300),
        text_key=text,
        representative=keys,
        exact_count=np.ones(count, np.int64),
        effective_count=np.ones(count),
        repetition=np.ones(count),
        family=np.array(family),
        family_key=keyed_hash(np.arange(count, dtype=np.uint64), 4),
        family_names=[str(number) for number in range(count)],
    )
    own = ProbedModel("p2", "ladder", subject.model, "cpu", 0, np.array(seen))
    half = ProbedModel("half-b", "half", subject.model, "cpu", 0, np.zeros(count, np.int64))
    return ProbeInput(table, known, Tokenizer(BPE()), (own, half))


def test_levels_are_powers_of_two_of_the_times_seen():
    """Never is a level of its own, then 1, 2 to 3, 4 to 7."""
    assert levels(np.array([0, 1, 2, 3, 4, 7, 8])).tolist() == [0, 1, 2, 2, 3, 3, 4]


def test_the_panel_has_every_dose_in_turn(subject):
    """Of 90 unseen, 6 seen once and 4 seen often, the first twelve are four of each."""
    seen = [0] * 90 + [1] * 6 + [64] * 4
    chosen = choose(scene_of(subject, seen, range(100)), 12, SEED)
    assert np.bincount(levels(np.array(seen)[chosen])).tolist() == [4, 4, 0, 0, 0, 0, 0, 4]
    assert len(choose(scene_of(subject, seen, range(100)), 500, SEED)) == 100
    longer = choose(scene_of(subject, seen, range(100)), 40, SEED)
    assert longer[:12].tolist() == chosen.tolist()


def test_the_panel_takes_a_family_once_before_any_twice(subject):
    """Of a family of 16 and four of one, five sequences are of five families."""
    family = [0] * 16 + [1, 2, 3, 4]
    chosen = choose(scene_of(subject, [1] * 20, family), 5, SEED)
    assert sorted(np.array(family)[chosen].tolist()) == [0, 1, 2, 3, 4]


def test_the_panel_is_of_texts_and_not_of_row_keys(subject):
    """Other row keys in the same order of the table give the same sequences."""
    seen = [0, 1, 2, 4] * 10
    first = choose(scene_of(subject, seen, range(40)), 16, SEED)
    other = choose(
        scene_of(subject, seen, range(40), keys=np.arange(40, dtype=np.uint64) + 1_000), 16, SEED
    )
    assert first.tolist() == other.tolist()
    assert choose(scene_of(subject, seen, range(40)), 16, SEED + 1).tolist() != first.tolist()


def found_of(signal, family, **values):
    """Return what a signal found on sequences of those families, every other one seen 4 times."""
    count = np.arange(len(family))
    empty = np.zeros((len(family), 0), np.int64)
    own = Probed(count, count.astype(np.uint64), 0 * count, np.array(family), empty)
    seen = np.where(count % 2 == 0, 4, 0)
    return SignalValues(signal, "p2", own, seen, {k: np.array(v, float) for k, v in values.items()})


def test_aggregates_are_means_by_dose_with_family_intervals():
    """Of families that agree within, 20 have the interval of 20 draws and not of 200."""
    family = np.repeat(np.arange(20), 20)
    value = np.where(family % 2 == 0, 1.0, 0.0)
    many = aggregates(found_of("approximate", family, matched=value), SEED)
    alone = aggregates(found_of("approximate", np.arange(400), matched=value), SEED)
    assert [(row["times_seen"], row["sequences"], row["families"]) for row in many] == [
        ("0", 200, 20),
        ("4 to 7", 200, 20),
    ]
    assert [row["mean"] for row in many] == [0.5, 0.5]
    (low, high), (near, far) = many[0]["mean_95"], alone[0]["mean_95"]
    assert 0.15 < low < 0.36 < 0.64 < high < 0.85  # 0.5 +- 2 sqrt(.25 / 20) = .22
    assert 0.4 < near < 0.47 < 0.53 < far < 0.6


def test_aggregates_leave_out_what_does_not_exist():
    """A number that is missing in some rows is of the others; endless ones and tries have none."""
    values = {
        "consistent": [1, 0, np.nan, np.nan, 0.5, np.nan],
        "log_p_z_top_k40": [-np.inf, 1, 1, 1, 1, 1],
        "tries_t1": [1, 1, 1, 1, 1, 1e200],
    }
    rows = aggregates(found_of("x", range(6), **values), SEED)
    assert [(row["name"], row["times_seen"], row["sequences"], row["mean"]) for row in rows] == [
        ("consistent", "0", 1, 0.0),
        ("consistent", "4 to 7", 2, 0.75),
    ]
    json.dumps(rows, allow_nan=False)


def test_limem_is_made_of_its_two_parts():
    """Seen: all right, consistent in .5: LiMem .5. Unseen: a half right, never consistent: .5."""
    found = found_of("limem", range(4), right=[1, 1, 1, 0], consistent=[0.25, 0, 0.75, np.nan])
    rows = [row for row in aggregates(found, SEED) if row["name"] == "limem"]
    assert [(row["times_seen"], row["mean"]) for row in rows] == [("0", 0.5), ("4 to 7", 0.5)]


def test_costs_are_counted_before_anything_is_loaded():
    """Passes follow from the settings; seconds are said when one pass is known."""
    settings = ['probes.signals=["approximate", "cdd"]', "probes.panel=10", "probes.samples=4"]
    config = load_config(settings=settings)
    assert passes(config) == {"approximate": 320, "cdd": 1600}
    assert passes(config, 3) == {"approximate": 960, "cdd": 4800}
    every = load_config(settings=[*settings, "probes.models=all"])
    assert passes(every) == {"approximate": 6 * 320, "cdd": 6 * 1600}  # four sizes, two halves
    trained = load_config(settings=["probes.signals=counterfactual", "probes.panel=8"])
    # 10,937 sequences, half of them once and backwards too, by 1 layer of 32 for 4 of 96
    assert passes(trained) == {"counterfactual": math.ceil(8 * (10_937 // 2 * 3 + 8) / 36)}
    assert lines(config) == [
        "probes, at most: approximate 320 passes; cdd 1,600 passes; in all 1,920 passes"
    ]
    assert lines(config, 1, 0.1)[0].endswith("in all 1,920 passes, about 192 s")
    assert lines(load_config()) == []


def test_signals_are_named_or_refused():
    """One name, several or all may be given; another is refused."""
    assert load_config(settings=["probes.signals=acr"]).probes.signals == ("acr",)
    everything = load_config(settings=['probes.signals="all"']).probes
    assert set(everything.signals) == {*probes_measures.MEASURES, "tabular", "counterfactual"}
    with pytest.raises(ConfigError):
        load_config(settings=["probes.signals=exposures"])


def test_a_table_that_was_learnt_is_completed(subject, panel):
    """Rows that continue what was learnt are said; those of the unseen are not."""
    rows = panel.tokens[[0, 1, REPEATED, REPEATED + 1]]
    answers = [row[33:41].tolist() for row in rows]
    cuts = [(row[:33].tolist(), row[33:].tolist()) for row in rows[2:]]
    table = probes_tabular.Table(1, 0, rows[:, :33], answers, ["a", "b", "c", "c"], cuts)
    found = probes_tabular.probe(subject, table)
    assert (found["row"], found["row_modal"]) == (0.5, 0.5)
    assert found["first_token"] in (0.5, 0.75)
    assert found["header"] < 0.5
    assert (found["row_entropy_bits"], found["judged"]) == (1.5, 1.0)
    learnt = probes_tabular.Table(
        1, 0, rows[:, :33], answers, ["a", "b", "c", "c"], [(rows[0][:33], rows[0][33:].tolist())]
    )
    assert probes_tabular.probe(subject, learnt)["header"] == 1.0


ALL = (
    'probes.signals="all"', "probes.panel=6", "probes.samples=3", "probes.acr_panel=1",
    "probes.acr_steps=1", "probes.subsets=4",
)  # fmt: skip
ENOUGH = ("proxy.sample_tokens=8000",)


def run_score(folder, *settings):
    """Score a scanned run folder."""
    quick = [option.removeprefix("--set=") for option in QUICK_SCORE]
    config = load_config(settings=["limits.workers=2", *quick, *ENOUGH, *settings])
    with run.session(folder, config, LocalMapper(2)) as session:
        run.score(session)


@pytest.fixture(scope="module")
def scored(tmp_path_factory, make_corpus, scan):
    """Scan and score a small corpus, one document of which is a table; no probe is asked for."""
    folder, prose = tmp_path_factory.mktemp("probes"), Prose(3)
    texts = [prose.text(40) for _ in range(12)]
    table = "\n".join(f"{n},{prose.text(1)},{n * 7}" for n in range(12))
    rows = [*texts, *texts[:4], *texts[:4], table, table]
    done = scan(make_corpus(folder / "c", {"a.jsonl": rows}), folder / "run", filtered=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(models, "from_safetensors", lambda *_: pytest.fail("a model was loaded"))
        run_score(done.folder)
    return done


def test_unasked_probes_load_no_model_and_leave_an_empty_table(scored):
    """Nothing is asked for by default: no row, no cost, the long-tail report alone."""
    assert scored.table("probes").num_rows == 0
    facts = scored.manifest["outputs"]["probes/all"]["facts"]
    assert facts["asked"] == []
    assert {"long_tail", "strata", "same_dose", "asked", "why_not"} == set(facts)
    tail = facts["long_tail"]
    assert sum(row["sequences"] for rows in tail.values() for row in rows) == len(
        scored.table("sequences")
    )
    kinds = [row for row in facts["strata"] if row["text"].endswith("redaction markers")]
    assert sum(row["sequences"] for row in kinds) == len(scored.table("sequences"))
    assert all(row["families_memorized"] <= row["families"] for row in facts["strata"])


def test_nobody_to_ask_is_no_error(tmp_path, make_corpus, scan):
    """Without a text of 64 tokens there is no proxy: the table is empty, and why is said."""
    corpus = make_corpus(tmp_path / "c", {"a.jsonl": ["a few words", "some other words"]})
    done = scan(corpus, tmp_path / "run", filtered=False)
    run_score(done.folder, *ALL)
    facts = done.manifest["outputs"]["probes/all"]["facts"]
    assert done.table("probes").num_rows == 0
    assert "no proxy" in facts["why_not"]
    assert facts["long_tail"] == {}
    assert facts["strata"] == []


class Noting(Silent):
    """Notes what is said."""

    def __init__(self):
        self.said = []

    def message(self, text):
        """Note it."""
        self.said.append(text)


@pytest.fixture(scope="module")
def probed(scored, tmp_path_factory):
    """Ask for all signals of a copy of that run; give the copy and what was said."""
    own = replace(scored, folder=tmp_path_factory.mktemp("probed") / "run")
    shutil.copytree(scored.folder, own.folder)
    before, noting = current(), Noting()
    listen(noting)
    try:
        run_score(own.folder, *ALL)
    finally:
        listen(before)
    return own, noting.said


def test_every_signal_has_rows_in_order(probed):
    """Each signal has numbers of every sequence of the panel, sorted, each once."""
    table = probed[0].table("probes")
    everything = {*probes_measures.MEASURES, "tabular", "counterfactual"} - RECITED
    assert everything <= set(table["signal"].to_pylist()) <= everything | RECITED - {"soft_attack"}
    keys = probed[0].rows("probes", "row_key", "start_token", "proxy", "signal", "name")
    assert keys == sorted(set(keys))
    scored = set(probed[0].rows("sequences", "row_key", "start_token"))
    own = {key[:2] for key in keys if key[3] != "tabular"}
    assert own <= scored
    assert len(own) == 6


def test_the_cost_is_said_first(probed):
    """Passes and seconds of each signal are a message of the run."""
    (line,) = [text for text in probed[1] if text.startswith("probes, at most: ")]
    assert "extraction 30 passes, about" in line
    assert line.endswith(" s")


def test_probes_agree_with_what_scoring_said(probed):
    """What extraction has for temperature 1, and `seen`, are those of `sequences`."""
    scored = {
        (row["row_key"], row["start_token"], proxy["proxy"]): proxy
        for row in probed[0].table("sequences").to_pylist()
        for proxy in row["proxies"]
    }
    rows = [row for row in probed[0].table("probes").to_pylist() if row["name"] == "log_p_z_t1"]
    assert len(rows) == 6
    for row in rows:
        proxy = scored[row["row_key"], row["start_token"], row["proxy"]]
        assert row["value"] == pytest.approx(proxy["log_p_z"], rel=1e-4)
        assert row["seen"] == proxy["seen"]


def test_probes_are_the_same_bytes_again(probed, tmp_path):
    """With another number of cores the stage writes the same file."""
    again = probed[0].redone("probes", tmp_path / "again", cores=1)
    assert again.files("probes") == probed[0].files("probes")
    assert again.manifest["outputs"] == probed[0].manifest["outputs"]


def test_facts_hold_no_text_and_no_clock(probed):
    """What the report reads are numbers by name, JSON without NaN."""
    facts = probed[0].manifest["outputs"]["probes/all"]["facts"]
    json.dumps(facts, allow_nan=False)
    assert facts["sequences"] == 6
    assert {row["signal"] for row in facts["results"]} >= {"extraction", "cdd", "tabular"}
    assert all(row["mean_95"][0] <= row["mean"] <= row["mean_95"][1] for row in facts["results"])


LOADED = 'probes.signals=["extraction", "exposure", "gradients", "acr", "counterfactual"]'


@pytest.fixture(scope="module")
def loaded(scored, tmp_path_factory):
    """Score a copy of that run by its own proxies as models from elsewhere, and probe them."""
    own = replace(scored, folder=tmp_path_factory.mktemp("loaded") / "run")
    shutil.copytree(scored.folder, own.folder)
    models = [str(scored.folder / "models" / name) for name in ("p1", "p2")]
    names = f"proxy.models={json.dumps(models)}"
    few = ("probes.panel=6", "probes.acr_panel=1", "probes.acr_steps=1")
    run_score(own.folder, names, LOADED, *few)
    return own


def test_loaded_models_are_probed_as_trained_ones_are(loaded, probed):
    """The largest says what its own weights said as a proxy; the panel goes by occurrences."""
    facts = loaded.manifest["outputs"]["probes/all"]["facts"]
    assert facts["why_not"] is None
    assert facts["proxies"] == ["m1"]
    assert facts["by"] == "occurrences in the corpus"
    rows = loaded.table("probes").to_pylist()
    assert {row["signal"] for row in rows} == {"extraction", "gradients", "acr"}
    assert all(row["seen"] is None for row in rows)
    told = {
        (row["row_key"], row["start_token"], proxy["proxy"]): proxy["log_p_z"]
        for row in loaded.table("sequences").to_pylist()
        for proxy in row["proxies"]
    }
    for row in rows:
        if row["name"] == "log_p_z_t1":
            key = row["row_key"], row["start_token"], "m1"
            assert row["value"] == pytest.approx(told[key], rel=1e-4)
    once = {row["times_seen"] for row in facts["results"]}
    assert "1" in once
    assert "0" not in once
    assert probed[0].manifest["outputs"]["probes/all"]["facts"]["by"] == "times trained on"


def test_a_loaded_model_that_changed_is_refused(loaded, scored, tmp_path):
    """Another model in the place of the one that was scored is not asked."""
    weights = scored.folder / "models" / "p2" / "model.safetensors"
    kept = weights.read_bytes()
    weights.write_bytes((scored.folder / "models" / "half-a" / "model.safetensors").read_bytes())
    shape = scored.folder / "models" / "p2" / "config.json"
    kept_shape = shape.read_bytes()
    shape.write_bytes((scored.folder / "models" / "half-a" / "config.json").read_bytes())
    try:
        with pytest.raises(InputError, match="not the one that was scored"):
            loaded.redone("probes", tmp_path / "again")
    finally:
        weights.write_bytes(kept)
        shape.write_bytes(kept_shape)


def test_explain_asks_the_proxies_of_a_rows_riskiest_sequence(scored):
    """Tokens of its own prefix, what they add, and each proxy's self-influence; only on request."""
    worst = scored.table("sequences")["row_key"][0].as_py()
    names = dict(scored.rows("counts", "row_key", "doc_id"))
    before, noting = current(), Noting()
    listen(noting)
    try:
        [one] = explanations(scored.folder, names[worst], asking=True)
    finally:
        listen(before)
    found = one.attributed
    assert found is not None
    assert noting.said == [f"attribution: {3 * (32 + 5):,} passes of one sequence"]
    assert [name for name, _, _ in found.influence] == ["p0", "p1", "p2", "half-a", "half-b"]
    assert all(value > 0 for _, _, value in found.influence)
    assert sum(nats for _, _, nats in found.tokens) > 0.2 * found.whole
    assert one.text is not None
    assert one.sequence is not None
    text = one.text.encode()
    [own] = [
        row
        for row in scored.table("sequences").to_pylist()
        if (row["row_key"], row["start_token"]) == (worst, one.sequence["start_token"])
    ]
    places = [(first, past) for first, past, _ in found.tokens]
    assert all(own["start_byte"] <= first < past <= own["suffix_byte"] for first, past in places)
    told = in_words([one])
    assert "Self-influence" in told
    shown = [text[first:past].decode().strip() for first, past, nats in found.tokens if nats > 0]
    assert all(token in told for token in shown)
    [unasked] = explanations(scored.folder, names[worst])
    assert unasked.attributed is None
    assert "Self-influence" not in in_words([unasked])
