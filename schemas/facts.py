"""The form of the facts that each stage records in the manifest, which readers rely on.

A run folder may come from anyone: `pipeline.engine.facts` holds the facts in it against these forms
before anything reads them. A form is

- `COUNT`, a whole number from 0 on; `NUMBER`, any number; `SHARE`, one from 0 to 1; `WORDS`, a
  text; `FLAG`, yes or no;
- `(form,)` as the same or nothing at all;
- `[form]`, a list of such; `[form, form]`, a list of exactly these;
- a dict: facts by name, one whose name ends in `?` may be missing, `*` stands for any other name.

Other names than these may be there: they are plain values, which are shown and not reckoned with.
A stage that is not here has plain facts only. A fact that a later version adds may be missing: run
folders of earlier versions are opened, and what changed is made again.
"""

from __future__ import annotations

from typing import Any

COUNT, NUMBER, SHARE, WORDS, FLAG = "COUNT", "NUMBER", "SHARE", "WORDS", "FLAG"
INTERVAL = [NUMBER, NUMBER]
RATES = {
    "sequences": COUNT,
    "memorized": COUNT,
    "rate": (NUMBER,),
    "rate_weighted": (NUMBER,),
    "families": COUNT,
    "families_memorized": COUNT,
    "rate_of_families_95": (INTERVAL,),
}
DECILES = [
    {
        "decile": COUNT,
        "from": NUMBER,
        "to": NUMBER,
        "sequences": COUNT,
        "memorized": NUMBER,
        "memorized_weighted": (NUMBER,),
        "families": COUNT,
        "families_memorized": COUNT,
        "rate_of_families_95": INTERVAL,
        "mean_gap_bits": (NUMBER,),
    }
]
BLOOM = {
    "sequences": COUNT,
    "runs": COUNT,
    "n": COUNT,
    "bits": COUNT,
    "hashes": COUNT,
    "false_positives_expected": (NUMBER,),
    "false_positives_of_random_runs": (NUMBER,),
    "false_positives_of_other_text": (NUMBER,),
    "missed_after": {"*": NUMBER},
}
RULE = {
    "rule": WORDS,
    "rows": COUNT,
    "bytes": COUNT,
    "cut_rows?": COUNT,
    "cut_bytes?": COUNT,
    "expected_tokens_avoided?": NUMBER,
    "expected_tokens_left?": NUMBER,
}
CUT = {
    "documents": COUNT,
    "ranges": COUNT,
    "words": COUNT,
    "bytes": COUNT,
    "too_short_and_left": COUNT,
    "too_short_and_dropped": COUNT,
}
LEFT = {
    "documents": COUNT,
    "scored": COUNT,
    "risky": COUNT,
    "expected_tokens": NUMBER,
    "sequences": NUMBER,
    "often": [{"times": COUNT, "sequences": NUMBER}],
}
PROXY = {
    "proxy": WORDS,
    "role?": WORDS,
    "parameters?": COUNT,
    "epochs?": NUMBER,
    "tokens?": COUNT,
    "final_loss?": (NUMBER,),
    "source?": WORDS,
    "digest?": WORDS,
}
OUTLOOK_MODEL = {
    "parameters_in_all": NUMBER,
    "tokens": NUMBER,
    "half_dose": (NUMBER,),
    "half_dose_95": [(NUMBER,), (NUMBER,)],
    "by_occurrences": [{"occurrences": WORDS, "sequences": COUNT, "recited_95": INTERVAL}],
}
HELD_OUT = {"validated_on?": WORDS, "sequences?": COUNT, "families?": COUNT, "memorized?": COUNT}
CALIBRATION = [
    {"from": NUMBER, "to": NUMBER, "sequences": COUNT, "forecast": NUMBER, "observed": NUMBER}
]
KEPT = {"scorings": COUNT, "share_changed": NUMBER}
"""Of proxies that an earlier scoring trained: how many there were since, what has changed."""
RISK = {
    "fitted": FLAG,
    "why_not": (WORDS,),
    "plants_memorized?": COUNT,
    "target?": {
        "parameters": NUMBER,
        "epochs": NUMBER,
        "tokens": NUMBER,
        "times_the_largest_proxy?": NUMBER,
        "times_the_tokens_of_the_proxies?": NUMBER,
        "extrapolated?": FLAG,
        "assumption?": WORDS,
        "half_dose?": (NUMBER,),
        "half_dose_95?": [(NUMBER,), (NUMBER,)],
    },
    "memorized?": [
        {
            "proxy": WORDS,
            "parameters?": COUNT,
            "sequences_seen?": COUNT,
            "memorized?": COUNT,
            "families_seen?": COUNT,
            "families_memorized?": COUNT,
            "plants_seen?": COUNT,
            "plants_memorized?": COUNT,
        }
    ],
    "memorized_by_count?": [
        {"trained_on": FLAG, "times": WORDS, "sequences": COUNT, "families": COUNT, "*": NUMBER}
    ],
    "base_rate?": RATES,
    "floor?": RATES,
    "kept?": KEPT,
    "warnings?": [{"warning": WORDS}],
    "coefficients_unseen?": {"*": NUMBER},
    "coefficients_seen?": {"*": NUMBER},
    "held_out_unseen?": HELD_OUT,
    "held_out_seen?": HELD_OUT,
    "calibration_unseen?": CALIBRATION,
    "calibration_seen?": CALIBRATION,
    "outlook?": {"epochs": NUMBER, "models": [OUTLOOK_MODEL], "order_agrees": NUMBER},
    "expected?": {
        "*": {
            "sequences": COUNT,
            "standing_for?": COUNT,
            "expected_share": (NUMBER,),
            "expected_share_95": INTERVAL,
        }
    },
    "laws?": {
        "dose": [
            {
                "proxy": WORDS,
                "parameters": COUNT,
                "fitted": FLAG,
                "logits_per_doubling?": (NUMBER,),
                "logits_per_doubling_95?": [(NUMBER,)],
                "log2_dose_of_half?": (NUMBER,),
                "log2_dose_of_half_95?": [(NUMBER,)],
            }
        ],
        "size": ({"share_per_tenfold_size": NUMBER, "share_per_tenfold_size_95": INTERVAL},),
    },
}
ALWAYS = {"groups?": {"*": WORDS}}
"""What any stage may record: digests of its rows by group of shards."""
FACTS: dict[str, Any] = {
    "sketch": {
        "shards": [
            {
                "number": COUNT,
                "content_digest": WORDS,
                "documents": COUNT,
                "rejected": {"*": COUNT},
            }
        ]
    },
    "candidates": {
        "candidates?": COUNT,
        "s_curve?": {"*": NUMBER},
        "bands?": COUNT,
        "rows?": COUNT,
        "capped_buckets?": COUNT,
        "capped_documents?": COUNT,
        "largest_bucket?": COUNT,
        "pairs_left_out?": NUMBER,
        "estimated_missed?": {"*": NUMBER},
        "planted?": [{"from": SHARE, "planted": COUNT, "proposed": COUNT}],
    },
    "windows": {"windows?": COUNT, "repeated?": COUNT, "expected_wrong_counts?": NUMBER},
    "families": {"families?": COUNT},
    "sequences": {
        "proxies?": [PROXY],
        "corpus_tokens?": COUNT,
        "bytes_per_token?": NUMBER,
        "sample?": {"tokens?": COUNT, "dilution?": (NUMBER,)},
        "kept?": KEPT,
        "scored?": {"*": COUNT},
        "torch?": WORDS,
        "threads?": COUNT,
        "device?": WORDS,
        "precision?": WORDS,
        "scored_with?": {
            "torch?": WORDS,
            "threads?": COUNT,
            "device?": WORDS,
            "precision?": WORDS,
        },
        "seen?": WORDS,
        "plants?": {
            "clusters_inside": COUNT,
            "clusters_outside": COUNT,
            "doses": [COUNT],
            "sequences?": COUNT,
            "share_of_training": NUMBER,
        },
    },
    "risk": RISK,
    "probes": {
        "asked": [WORDS],
        "why_not": (WORDS,),
        "long_tail": {"seen?": DECILES, "unseen?": DECILES},
        "strata": [
            {
                "text": WORDS,
                "seen": FLAG,
                "sequences": COUNT,
                "rate": NUMBER,
                "families": COUNT,
                "families_memorized": COUNT,
                "rate_of_families_95": INTERVAL,
            }
        ],
        "same_dose?": [
            {
                "column": WORDS,
                "words": WORDS,
                "memorized": COUNT,
                "others": COUNT,
                "families": COUNT,
                "mean_memorized": NUMBER,
                "mean_others": NUMBER,
                "difference_95": INTERVAL,
            }
        ],
        "sequences?": COUNT,
        "families?": COUNT,
        "proxies?": [WORDS],
        "by?": WORDS,
        "defence?": [
            {
                "vectors": WORDS,
                "still_recited": NUMBER,
                "still_recited_95": INTERVAL,
                "sequences": COUNT,
                "nats_added": NUMBER,
                "nats_added_95": INTERVAL,
                "unknown": COUNT,
            }
        ],
        "results?": [
            {
                "proxy": WORDS,
                "signal": WORDS,
                "name": WORDS,
                "times_seen": WORDS,
                "sequences": COUNT,
                "families": COUNT,
                "mean": (NUMBER,),
                "mean_95": ([(NUMBER,)],),
            }
        ],
    },
    "documents": {
        "spared_for_symbols?": COUNT,
        "stable_otherwise?": COUNT,
        "leakage?": [
            {
                "split": WORDS,
                "other_split": WORDS,
                "documents": COUNT,
                "exact": COUNT,
                "near": COUNT,
            }
        ],
    },
    "decisions": {
        "reasons?": {"*": COUNT},
        "rules?": [RULE],
        "cut?": CUT,
        "left?": [LEFT, LEFT],
        "masked?": {"documents": COUNT, "ranges": COUNT, "bytes": COUNT},
        "forgotten?": {"rows": COUNT, "kept_documents_that_share_a_window": COUNT},
        "sinks?": {"sinks": COUNT, "documents_with_another_sink_than_before": COUNT},
    },
    "former": {"rows": COUNT},
    "personal": {"finds": {"*": COUNT}},
    "held": {"rows": COUNT, "exact": COUNT, "near": COUNT, "contained": COUNT},
    "contaminated": {
        "rows": COUNT,
        "files?": COUNT,
        "actions?": {"*": COUNT},
        "sets": [{"file": WORDS, "field": (WORDS,), "*": COUNT}],
    },
    "emit": {
        "shards": [
            {
                "number": COUNT,
                "kept": COUNT,
                "removed": COUNT,
                "parts?": [COUNT],
                "of?": WORDS,
                "columns?": WORDS,
            }
        ],
        "tokens?": COUNT,
        "tokens_left_out?": COUNT,
    },
    "seal": {"memfree?": BLOOM, "memfree_words?": BLOOM},
    "report": {
        "alarms?": [
            {"level": WORDS, "kind": WORDS, "where": WORDS, "numbers?": {}, "sentence": WORDS}
        ],
        "summary?": {"*": COUNT},
    },
}
