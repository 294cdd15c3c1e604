"""The tables of a back-test: the scores of its targets, how good the forecast was, the arms."""

import pyarrow as pa

from schemas.fields import field, table

SCORES = table(
    "backtest_scores",
    3,
    "one row per sequence of the panel, then per plant that is scored, in their order",
    [
        field("memorized", pa.bool_(), "every suffix token is the arg-max"),
        field("log_p_z", pa.float32(), "log probability of the suffix", unit="nats"),
        field("margin", pa.float32(), "least lead of a suffix token", unit="nats"),
        field("mean_nll", pa.float32(), "mean negative log-likelihood", unit="nats"),
    ],
)

PANEL = table(
    "backtest_panel",
    3,
    "one row per sequence of the panel, then per plant: forecasts, baselines and the truth",
    [
        field("kind", pa.string(), "natural | exact | fuzzy | template"),
        field("unit", pa.int64(), "families that hold the same text: folds and bootstrap"),
        field("judged", pa.bool_(), "taught to every model, and known how easily guessed"),
        field("taught", pa.int64(), "times that every model was trained on it", unit="times"),
        field("sequence_count", pa.int64(), "exact occurrences in the corpus"),
        field("effective_count", pa.float64(), "of its document", unit="exact copies"),
        field("suffix_count", pa.int64(), "exact occurrences of its last 32 tokens"),
        field("rarest_count", pa.int64(), "exact occurrences of the rarest words of these"),
        field("weight", pa.float64(), "sequences of the corpus that it stands for; 0: a plant"),
        field("target", pa.bool_(), "the truth: memorized by the first headline target"),
        field("target_margin", pa.float64(), "of that target", unit="nats"),
        field("other", pa.bool_(), "memorized by the same target of another seed", nullable=True),
        field("early", pa.bool_(), "memorized by the target after its first mark"),
        field("proxy", pa.bool_(), "memorized by the largest proxy"),
        field("risk_unseen", pa.float64(), "by a proxy that did not see it", nullable=True),
        field("risk_unseen_low", pa.float64(), "low end of its 95% interval", nullable=True),
        field("risk_unseen_high", pa.float64(), "high end of its 95% interval", nullable=True),
        field("risk_seen", pa.float64(), "forecast with all features", nullable=True),
        field("risk_seen_low", pa.float64(), "low end of its 95% interval", nullable=True),
        field("risk_seen_high", pa.float64(), "high end of its 95% interval", nullable=True),
    ],
)


def _share(name: str, doc: str) -> pa.Field:
    return field(name, pa.float64(), doc, nullable=True)


def _ends(name: str, doc: str) -> pa.Field:
    item = pa.field("item", pa.float64())
    return field(name, pa.list_(item), f"95% interval of {doc}, by units", nullable=True)


TRIPLES = table(
    "backtest_triples",
    2,
    "one row per forecast, ladder, target, seed and stratum",
    [
        field("score", pa.string(), "unseen | seen"),
        field("ladder", pa.string(), "names of the proxies that it was fitted on"),
        field("target", pa.string(), "layers x width, or a rung of the ladder"),
        field("seed", pa.int64(), "of weights and order; null: the proxies'", nullable=True),
        field("order", pa.string(), "its own | the proxies', which is easier to forecast"),
        field("times", pa.float64(), "size of the target over the largest proxy's"),
        field("stratum", pa.string(), "see docs/backtest.md"),
        field("sequences", pa.int64(), "sequences judged"),
        field("units", pa.int64(), "families that hold the same text count as one"),
        field("memorized", pa.int64(), "sequences that the target memorized"),
        field("observed", pa.float64(), "their share, by weight in the weighted stratum"),
        _ends("observed_of_units_95", "the share of units with a memorized sequence (Wilson)"),
        field("expected", pa.float64(), "the share that was forecast"),
        _ends("expected_95", "that, over the futures of the law and not"),
        field("holds", pa.bool_(), "whether it holds the observed share"),
        _ends("drawn_95", "what would be observed in so many sequences"),
        field("holds_drawn", pa.bool_(), "whether that holds the observed share"),
        _share("expected_over_observed", "null: none was memorized"),
        field(
            "logits_too_high",
            pa.float64(),
            "what to take off each log odds for the observed share; below 0: too low",
            nullable=True,
        ),
        _share("brier_skill", "1 - Brier score over that of the base rate"),
        _share("oracle_brier_skill", "the same after a recalibration on the truth itself"),
        _share("share_of_oracle", "the former over the latter"),
        _share("average_precision", "of the forecast; null where nothing, or all, is memorized"),
        _ends("average_precision_95", "it"),
        _share("of_count", "average precision of the log count"),
        _share("of_other_seed", "of the margin of the same target of another seed, the ceiling"),
        _share("share_of_the_way", "from the log count to the ceiling"),
        _ends("share_of_the_way_95", "it"),
        _share("precision_promised_0.5", "of what is called at 0.5; null: nothing is"),
        _share("precision_promised_0.75", "likewise"),
        _share("precision_promised_0.9", "likewise"),
        field("called_at_that", pa.int64(), "sequences called at the last one"),
        _share("recall_at_that", "of what was memorized, how much of it is called"),
    ],
)

METRICS = table(
    "backtest_metrics",
    2,
    "one row per score, stratum and metric of the headline target, mean over its seeds",
    [
        field("score", pa.string(), "a forecast or a baseline"),
        field("stratum", pa.string(), "see docs/backtest.md"),
        field("metric", pa.string(), "name of the metric"),
        field("value", pa.float64(), "the metric", nullable=True),
        field("low", pa.float64(), "low end of a 95% bootstrap by units", nullable=True),
        field("high", pa.float64(), "high end of it", nullable=True),
        field("sequences", pa.int64(), "sequences judged"),
        field("units", pa.int64(), "units of the bootstrap"),
        field("memorized", pa.float64(), "sequences that the target memorized"),
        field("base_rate", pa.float64(), "their share"),
        field("floor", pa.float64(), "share memorized of text that it never saw", nullable=True),
    ],
)

DIFFERENCES = table(
    "backtest_differences",
    1,
    "one row per declared comparison: forecast minus baseline, on the same draws",
    [
        field("forecast", pa.string(), "seen | unseen"),
        field("baseline", pa.string(), "what it is held against"),
        field("metric", pa.string(), "name of the metric"),
        field("stratum", pa.string(), "kinds of text"),
        field("difference", pa.float64(), "forecast minus baseline"),
        field("low", pa.float64(), "low end of a 95% bootstrap by units"),
        field("high", pa.float64(), "high end of it"),
        field("p", pa.float64(), "two-sided, from the bootstrap"),
        field("p_holm", pa.float64(), "the same after Holm over all declared comparisons"),
    ],
)

CURVE = table(
    "backtest_curve",
    1,
    "one row per point of a precision-recall curve",
    [
        field("score", pa.string(), "a forecast or a baseline"),
        field("stratum", pa.string(), "kinds of text"),
        field("threshold", pa.float64(), "score at or above which a row is called memorized"),
        field("precision", pa.float64(), "share of those called that are"),
        field("recall", pa.float64(), "share of the memorized that are called"),
    ],
)

RELIABILITY = table(
    "backtest_reliability",
    1,
    "one row per forecast, stratum and quantile bin of the probability",
    [
        field("score", pa.string(), "seen | unseen"),
        field("stratum", pa.string(), "kinds of text"),
        field("forecast", pa.float64(), "mean probability in the bin"),
        field("observed", pa.float64(), "share memorized"),
        field("low", pa.float64(), "low end of a 95% bootstrap by units", nullable=True),
        field("high", pa.float64(), "high end of it", nullable=True),
        field("sequences", pa.int64(), "rows of the bin"),
    ],
)

DOSES = table(
    "backtest_doses",
    2,
    "one row per model, kind and dose of plants",
    [
        field("model", pa.string(), "name of the model, with its seed"),
        field("parameters", pa.int64(), "non-embedding parameters"),
        field("kind", pa.string(), "exact | fuzzy | template"),
        field("dose", pa.int64(), "times that it was taught; 0: never", unit="times"),
        field("clusters", pa.int64(), "clusters"),
        field("memorized", pa.int64(), "sequences memorized"),
        field("sequences", pa.int64(), "sequences scored"),
        field("low", pa.float64(), "low end of Wilson's 95% interval of the share"),
        field("high", pa.float64(), "high end of it"),
        field(
            "exposure_bits",
            pa.float64(),
            "mean, of exact plants",
            unit="bits",
            nullable=True,
        ),
    ],
)

ARMS = table(
    "backtest_arms",
    2,
    "one row per arm and group of the judged sequences, at as many tokens",
    [
        field("arm", pa.string(), "filter | random | count | risk | goldfish | sinks"),
        field("rows", pa.string(), "natural, those that stay, those that go, plants"),
        field("sequences", pa.int64(), "sequences of the panel"),
        field("share_target", pa.float64(), "share that the plain target memorized"),
        field("share_arm", pa.float64(), "share that the arm memorized"),
        field("drop", pa.float64(), "1 - share_arm / share_target", nullable=True),
        field("drop_low", pa.float64(), "low end of its 95% interval", nullable=True),
        field("drop_high", pa.float64(), "high end of it", nullable=True),
        field("rows_removed", pa.int64(), "training rows removed and refilled", unit="rows"),
        field("share_removed", pa.float64(), "of the sample's rows"),
        field("held_out_sequences", pa.int64(), "that the loss is measured on"),
        field("held_out_families", pa.int64(), "that these are of"),
        field("held_out_loss_target", pa.float64(), "at the end", unit="nats per token"),
        field("held_out_loss_arm", pa.float64(), "at the end", unit="nats per token"),
        field("verdict", pa.string(), "less memorized | not shown to be | spoilt the model"),
    ],
)

REMOVAL = table(
    "backtest_removal",
    3,
    "one row per policy and factor: the least share of the tokens that was enough, by training",
    [
        field("policy", pa.string(), "random | count | risk, families taken whole"),
        field("times_less", pa.int64(), "memorized of the sample's own text; nothing guessed"),
        _share("share_counted", "on the plain target's labels, untrained; null: never enough"),
        _share("share_of_tokens", "of the least trained arm that was enough; null: none was"),
        field("share_too_small", pa.float64(), "the largest below it that was not; 0: none tried"),
        _share("left", "part of the memorized that still is, over all seeds of that arm"),
        _share("left_low", "low end of its 95% interval by units"),
        _share("left_high", "high end of it"),
        field("seeds", pa.int64(), "of that arm; the first one chose it", nullable=True),
        field("seeds_enough", pa.int64(), "with which it was enough", nullable=True),
        field("loss_target", pa.float64(), "of text held out, mean", unit="nats per token"),
        field("loss_arm", pa.float64(), "likewise", unit="nats per token", nullable=True),
    ],
)

REMOVAL_ARMS = table(
    "backtest_removal_arms",
    2,
    "one row per policy, share, seed and group of text: every arm of the search",
    [
        field("policy", pa.string(), "random | count | risk | filter, at its one share"),
        field("share_of_tokens", pa.float64(), "that went and was refilled"),
        field("seed", pa.int64(), "of weights and order"),
        field("rows", pa.string(), "natural, by times taught or guessed; plants; ..."),
        field("sequences", pa.int64(), "distinct ones that were asked for"),
        field("memorized_target", pa.int64(), "by the plain target of that seed"),
        field("memorized_arm", pa.int64(), "by the arm"),
        _share("left", "the one over the other; null: of none, and of what has no units"),
        _share("left_low", "low end of its 95% interval by units"),
        _share("left_high", "high end of it"),
        field("loss_target", pa.float64(), "of text held out", unit="nats per token"),
        field("loss_arm", pa.float64(), "likewise", unit="nats per token"),
        field("verdict", pa.string(), "less memorized | not shown to be | spoilt the model"),
    ],
)

RETENTION = table(
    "backtest_retention",
    1,
    "one row per number of updates on new text, kind of sequence and times taught, in this order",
    [
        field("updates", pa.int64(), "updates on text that is new to the plain target"),
        field("tokens", pa.int64(), "of these", unit="tokens"),
        field("rows", pa.string(), "natural | plants"),
        field("taught", pa.int64(), "least times taught, of a power of two", unit="times"),
        field("sequences", pa.int64(), "judged sequences of this group"),
        field("recall", pa.float64(), "share recited"),
        field("recall_low", pa.float64(), "low end of its 95% interval by units"),
        field("recall_high", pa.float64(), "high end of it"),
        field(
            "recognition",
            pa.float64(),
            "chance that log p is above that of one of its kind never taught",
            nullable=True,
        ),
        field("recognition_low", pa.float64(), "low end of its 95% interval", nullable=True),
        field("recognition_high", pa.float64(), "high end of it", nullable=True),
        field("held_out_loss", pa.float64(), "of text held out", unit="nats per token"),
    ],
)
