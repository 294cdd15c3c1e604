"""The tables of a back-test: its texts, the scores of its models, how good the forecast was."""

import pyarrow as pa

from schemas.fields import field, table

CORPUS = table(
    "backtest_corpus",
    1,
    "one row per document that the back-test scans; copies are rows of their own",
    [
        field("id", pa.string(), "cluster/variant/copy"),
        field("text", pa.string(), "natural or planted text"),
        field("source", pa.string(), "natural | canary | fuzzy | template"),
    ],
)

RESERVE = table(
    "backtest_reserve",
    1,
    "one row per document kept back: what an arm refills its budget from",
    [field("text", pa.string(), "natural text of families that are not in the corpus")],
)

PLANTED = table(
    "backtest_planted",
    1,
    "one row per planted or multiplied text; not one per copy",
    [
        field("kind", pa.string(), "natural | canary | fuzzy | template"),
        field("part", pa.string(), "what sets clusters of a kind apart, as random or passage"),
        field("cluster", pa.string(), "the identity; the unit of the coin flip and of halves"),
        field("unit", pa.string(), "drawn together by folds and the bootstrap"),
        field("dose", pa.int64(), "copies of the whole cluster when it is inside", unit="copies"),
        field("inside", pa.bool_(), "the coin: whether any model may see it"),
        field("variant", pa.int64(), "number of the text in its cluster; 0 is the first"),
        field("copies", pa.int64(), "exact copies of this text when inside", unit="copies"),
        field("text", pa.string(), "the text"),
    ],
)

SCORES = table(
    "backtest_scores",
    2,
    "one row per scored row: those of the panel in its order, then those of clusters left outside",
    [
        field("outside", pa.bool_(), "of a cluster that no model saw"),
        field("memorized", pa.bool_(), "every suffix token is the arg-max"),
        field("log_p_z", pa.float32(), "log probability of the suffix", unit="nats"),
        field("margin", pa.float32(), "least lead of a suffix token", unit="nats"),
        field("mean_nll", pa.float32(), "mean negative log-likelihood", unit="nats"),
    ],
)

PANEL = table(
    "backtest_panel",
    2,
    "one row per judged sequence: the forecast, every baseline and the truth",
    [
        field("kind", pa.string(), "natural | canary | fuzzy | template"),
        field("part", pa.string(), "what sets clusters of a kind apart"),
        field("cluster", pa.string(), "the identity"),
        field("unit", pa.string(), "drawn together by folds and the bootstrap"),
        field("trained", pa.bool_(), "whether the models were trained on it"),
        field("sequence_count", pa.int64(), "exact occurrences in the corpus of the back-test"),
        field("effective_count", pa.float64(), "effective count", unit="exact copies"),
        field("weight", pa.float64(), "sequences that it stands for"),
        field("target", pa.bool_(), "the truth: memorized by the target"),
        field("other", pa.bool_(), "memorized by the same target with another order and seed"),
        field("early", pa.bool_(), "memorized by the target after its first mark"),
        field("proxy", pa.bool_(), "memorized by the largest proxy"),
        field("risk_seen", pa.float64(), "forecast with all features", nullable=True),
        field("risk_seen_low", pa.float64(), "low end of its 95% interval", nullable=True),
        field("risk_seen_high", pa.float64(), "high end of its 95% interval", nullable=True),
        field(
            "risk_unseen", pa.float64(), "forecast by a proxy that did not see it", nullable=True
        ),
        field("risk_unseen_low", pa.float64(), "low end of its 95% interval", nullable=True),
        field("risk_unseen_high", pa.float64(), "high end of its 95% interval", nullable=True),
    ],
)

METRICS = table(
    "backtest_metrics",
    1,
    "one row per score, stratum, dose and metric",
    [
        field("score", pa.string(), "a forecast or a baseline"),
        field("stratum", pa.string(), "kinds of text; headline: natural, fuzzy and template"),
        field("dose", pa.string(), "all, or a range of exact counts"),
        field("metric", pa.string(), "name of the metric"),
        field("value", pa.float64(), "the metric", nullable=True),
        field("low", pa.float64(), "low end of the 95% family-bootstrap interval", nullable=True),
        field("high", pa.float64(), "high end of it", nullable=True),
        field("sequences", pa.int64(), "sequences judged"),
        field("families", pa.int64(), "units of the bootstrap"),
        field("memorized", pa.int64(), "sequences that the target memorized"),
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
        field("low", pa.float64(), "low end of the 95% family-bootstrap interval"),
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
        field("low", pa.float64(), "low end of the 95% family-bootstrap interval", nullable=True),
        field("high", pa.float64(), "high end of it", nullable=True),
        field("sequences", pa.int64(), "rows of the bin"),
    ],
)

DOSES = table(
    "backtest_doses",
    1,
    "one row per model, kind, part and dose of planted text",
    [
        field("model", pa.string(), "name of the model"),
        field("parameters", pa.int64(), "non-embedding parameters"),
        field("kind", pa.string(), "canary | fuzzy | template"),
        field("part", pa.string(), "what sets clusters of a kind apart"),
        field("dose", pa.int64(), "copies in the corpus; 0: never in it", unit="copies"),
        field("clusters", pa.int64(), "clusters"),
        field("memorized", pa.int64(), "sequences memorized"),
        field("sequences", pa.int64(), "sequences scored"),
        field("low", pa.float64(), "low end of Wilson's 95% interval of the share"),
        field("high", pa.float64(), "high end of it"),
        field(
            "exposure_bits", pa.float64(), "mean exposure of canaries", unit="bits", nullable=True
        ),
    ],
)

ARMS = table(
    "backtest_arms",
    1,
    "one row per arm, basis of comparison and group of the panel's trained rows",
    [
        field("arm", pa.string(), "filter | random | count | goldfish | sinks"),
        field("basis", pa.string(), "equal tokens | equal held-out loss"),
        field("rows", pa.string(), "all | retained | removed | all but canaries"),
        field("sequences", pa.int64(), "sequences of the panel"),
        field("share_target", pa.float64(), "share that the plain target memorized"),
        field("share_arm", pa.float64(), "share that the arm memorized"),
        field("drop", pa.float64(), "1 - share_arm / share_target", nullable=True),
        field("drop_low", pa.float64(), "low end of its 95% interval", nullable=True),
        field("drop_high", pa.float64(), "high end of it", nullable=True),
        field("rows_removed", pa.int64(), "training rows removed and refilled", unit="rows"),
        field("held_out_loss_target", pa.float64(), "at the end", unit="nats per token"),
        field("held_out_loss_arm", pa.float64(), "at the end", unit="nats per token"),
        field(
            "compared_at_loss",
            pa.float64(),
            "held-out loss that both had; null: none",
            unit="nats per token",
            nullable=True,
        ),
    ],
)
