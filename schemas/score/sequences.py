"""Schema of `sequences`: a row per scored sequence, with a struct of statistics for each proxy."""

import pyarrow as pa

from schemas.fields import field, table
from schemas.scan.signatures import ROW_KEY

STATISTICS = [
    field("seen", pa.int32(), "times the proxy was trained on it; 0 = never", unit="times"),
    field("log_p_z", pa.float32(), "log probability of the suffix given the prefix", unit="nats"),
    field("memorized", pa.bool_(), "every suffix token is the arg-max given the true history"),
    field(
        "run_length",
        pa.int32(),
        "arg-max hits from the start of the suffix until the first miss",
        unit="tokens",
    ),
    field(
        "margin",
        pa.float32(),
        "smallest log-probability lead of a suffix token over the best other one",
        unit="nats",
    ),
    field(
        "mean_nll", pa.float32(), "mean negative log-likelihood of all scored tokens", unit="nats"
    ),
    field(
        "min_k",
        pa.float32(),
        "mean of the lowest 20% token log-probabilities (Min-K%)",
        unit="nats",
    ),
    field("min_k_pp", pa.float32(), "the same of standardised log-probabilities (Min-K%++)"),
    field("entropy", pa.float32(), "mean entropy of the model over the suffix", unit="nats"),
    field("mean_rank", pa.float32(), "mean rank of the true suffix token, 0 is the arg-max"),
]

PROXY = pa.struct([field("proxy", pa.string(), "name of the proxy"), *STATISTICS])

# from tokens, text and counts, without a model; never null
SURFACE = [
    field(
        "continuation_share",
        pa.float32(),
        "share of the occurrences of its prefix's whole words that go on as it does",
    ),
    field(
        "suffix_entropy_bits",
        pa.float32(),
        "entropy of the distribution of its suffix's tokens",
        unit="bits per token",
    ),
    field(
        "suffix_in_prefix", pa.float32(), "share of the suffix's 3-grams that its prefix holds too"
    ),
    field(
        "template_share",
        pa.float32(),
        "share of suffix tokens that copying from before would guess, digits apart",
    ),
    field(
        "rare_token_share",
        pa.float32(),
        "share of its tokens among the rarest that make up 10% of the texts read",
    ),
    field(
        "token_bits",
        pa.float32(),
        "mean -log2 of the frequency of its suffix's tokens in the texts read",
        unit="bits",
    ),
    field("rarest_token_bits", pa.float32(), "largest of these of all its tokens", unit="bits"),
    field(
        "redaction_share",
        pa.float32(),
        "share of its characters in redaction or placeholder markers",
    ),
    field("non_latin_share", pa.float32(), "share of its letters of other scripts than Latin"),
]

SEQUENCES = table(
    "sequences",
    3,
    "one row per scored sequence of a text's first document, sorted by row_key and start_token",
    [
        field("row_key", pa.uint64(), ROW_KEY),
        field(
            "start_byte", pa.int64(), "first byte, widened to a character boundary", unit="bytes"
        ),
        field("end_byte", pa.int64(), "past the last byte, widened likewise", unit="bytes"),
        field("suffix_byte", pa.int64(), "first byte of its last 32 tokens", unit="bytes"),
        field("start_token", pa.int64(), "first token in its document", unit="tokens"),
        field("document_sequences", pa.int64(), "sequences in its document, scored or not"),
        field("family", pa.string(), "family of the document"),
        field("stratum", pa.string(), "repeated | sampled: which half of the budget chose it"),
        field("weight", pa.float64(), "documents' sequences that it stands for"),
        field(
            "sequence_count",
            pa.int64(),
            "exact occurrences in the corpus of the whole words inside it",
        ),
        field(
            "suffix_count",
            pa.int64(),
            "exact occurrences in the corpus of the whole words inside its last 32 tokens",
        ),
        field(
            "rarest_count",
            pa.int64(),
            "exact occurrences in the corpus of the rarest 8 words inside its last 32 tokens",
        ),
        field("window_count", pa.int64(), "largest count of a window overlapping it; 0 for none"),
        field(
            "effective_count", pa.float64(), "effective count of its document", unit="exact copies"
        ),
        field(
            "gap_bits",
            pa.float32(),
            "bits of the suffix that having seen it saves; null: both halves saw it, or neither",
            unit="bits",
            nullable=True,
        ),
        field(
            "zlib_bits_per_byte", pa.float32(), "compressed size of its bytes", unit="bits per byte"
        ),
        *SURFACE,
        field(
            "proxies",
            pa.list_(pa.field("item", PROXY, nullable=False)),
            "the statistics by each proxy",
        ),
    ],
)
