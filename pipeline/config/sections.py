"""The configuration: frozen sections with defaults that work; one TOML file plus `--set a.b=c`."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, get_args

from pydantic import (
    BeforeValidator,
    Field,
    TypeAdapter,
    ValidationError,
    field_validator,
    model_validator,
)

from pipeline.config.evaluation import DecontaminateConfig, MinusConfig
from pipeline.config.fields import (
    Bytes,
    Column,
    Count,
    Fraction,
    Names,
    Place,
    Ratio,
    Section,
    Seed,
    Suffix,
    at_most,
    no_longer_than,
)
from pipeline.config.personal import PersonalConfig
from pipeline.config.policy import CONTEXT, DROPS, RARE, EmitConfig, MitigationConfig, PolicyConfig
from pipeline.config.report import ReportConfig

__all__ = [
    "DecontaminateConfig",
    "EmitConfig",
    "MinusConfig",
    "MitigationConfig",
    "PersonalConfig",
    "PolicyConfig",
    "ReportConfig",
]

_SIZE = r"\s*(\d{1,20}(?:\.\d{1,20})?)\s*([KMGT]i?B|B|)\s*"
MOST_VALUES = 1_024
_VALUES = "each is a value of 4 bytes in the signature of every document"
LEAST_IN_ALL = 10_000_000  # parameters of a target in all: its tables take most of fewer
_LARGE = "the forecast is of no use there"
_HELD = "they are held in memory"
_STEPS = "each is a pass of hours over what one pass of minutes tells"
SYMBOL_WORDS = 256  # a scan lists the symbols of texts that have fewer words
CONTAINMENT_FLOOR = 0.5  # of a text in a longer one: what a scan lists, the lowest near.containment


class InputConfig(Section):
    """Which columns of the corpus are read as what; empty means a guess, which is said aloud."""

    text: Annotated[tuple[Column, ...], no_longer_than(100, "they are joined row by row")] = Field(
        (),
        description="text column, several to join, a list of texts, or chat messages: contents, "
        "the text parts of these, and the names and arguments of tools they call, without roles; "
        "translation.en is a field of a column, text|content the first that a file has",
    )
    text_separator: Annotated[str, no_longer_than(1_000, "it is in every row")] = Field(
        "\n\n",
        description="joins several text columns, texts of a list, chat messages and their parts",
    )
    id: Column | None = Field(
        None, description="id column; without one a document is named shard#row"
    )
    source: Column | None = Field(None, description="source column, for reports, alarms and rules")
    priority: Column | None = Field(
        None, description="numeric column; of two copies the higher stays"
    )
    text_rows: Literal["file", "line", "paragraph"] = Field(
        "file",
        description="what is a row of text files (.txt, .md, .text, .log): the whole file, each "
        "line that is not blank, or each run of lines between blank ones",
    )
    suffixes: Annotated[tuple[Suffix, ...], no_longer_than(200, "each file is compared")] = Field(
        (),
        description="further suffixes of files that are read as plain text (.py, .rs); code "
        "stands for those of a hundred programming and markup languages",
    )
    tokens: Literal["", "auto", "uint16", "uint32", "int32", "int64"] = Field(
        "",
        description="read arrays of token ids (.bin, .npy, .ds), of this type, auto: as the index "
        "or the header beside them says; empty: such files are no data",
    )
    token_end: Annotated[int, Field(ge=0)] | None = Field(
        None, description="id that ends a document, of arrays of token ids without an index"
    )
    tokenizer: Place = Field(
        "",
        description="folder or tokenizer.json by which token ids become text; without it each id "
        "is a word",
    )
    csv_separator: Annotated[str, Field(max_length=1)] = Field(
        "",
        description="between the fields of CSV files; empty: a comma, of .tsv files a tab, unless "
        "the first records show a tab, a semicolon or a pipe",
    )
    csv_header: Literal["auto", "yes", "no"] = Field(
        "auto",
        description="whether the first record of CSV files names the columns, which are else "
        "column_1, column_2 ...; auto: it does, and one that looks like a row is refused",
    )
    csv_encoding: Literal["utf-8", "latin-1", "cp1252", "utf-16"] = Field(
        "utf-8", description="encoding of CSV files"
    )
    csv_quote: Literal['"', "'", ""] = Field(
        '"', description="character around fields of CSV files that hold separators; empty: none"
    )
    skip_bad_files: bool = Field(
        False, description="go on without unreadable files; they are listed"
    )

    most_rejected: Fraction = Field(
        0.5,
        description="share of the corpus's rows that may be rejected; beyond it the scan ends with "
        "an error, because the text column is probably another one",
    )


class TextConfig(Section):
    """How texts are compared; what is written is never changed by it."""

    normalize: Literal["none", "nfc", "nfkc"] = Field(
        "none",
        description="normal form in which words are taken; nfc and nfkc leave out ignorable "
        "characters (soft hyphens, zero-width ones) and take non-breaking spaces as spaces",
    )


class SketchConfig(Section):
    """How a text becomes words, shingles and a MinHash signature."""

    seed: Seed = Field(1, description="keys the hashes of words, shingles and windows")
    shingle_words: Annotated[Count, at_most(100, "shorter documents have no signature")] = Field(
        5, description="consecutive words in a shingle"
    )
    bands: Annotated[Count, at_most(MOST_VALUES, _VALUES)] = Field(42, description="MinHash bands")
    rows: Annotated[Count, at_most(MOST_VALUES, _VALUES)] = Field(
        3, description="MinHash values in a band"
    )

    @model_validator(mode="after")
    def _fit(self) -> SketchConfig:
        if self.bands * self.rows > MOST_VALUES:
            raise ValueError(f"sketch.bands * sketch.rows is at most {MOST_VALUES:,}: {_VALUES}")
        return self


class NearConfig(Section):
    """Near copies: what counts as one and which of two stays."""

    threshold: Ratio = Field(0.8, description="Jaccard at or above which a document is a near copy")
    count_threshold: Ratio = Field(
        0.5, description="Jaccard at or above which a pair is counted and listed"
    )
    keep: Literal["longest", "earliest"] = Field(
        "longest",
        description="of two copies, which stays, where priority and sources leave it open",
    )
    keepers: Literal["best", "stable"] = Field(
        "best",
        description="stable: a row that stayed in the filter of an earlier scan stays in place of "
        "its copies, whatever ranks first; best: the best stays, also a new one",
    )
    sources: Names = Field(
        (),
        description="sources (values of the source column, or source groups), best first:"
        " of two copies the one of an earlier source stays; those not named come last",
    )
    across_splits: bool = Field(
        False,
        description="a copy in one split (train, validation, test, by the names of files) may be "
        "removed for one in another, which near.sources can rank; else such copies are reported "
        "as leakage and both stay",
    )
    symbol_words: Annotated[
        int, Field(ge=0), at_most(SYMBOL_WORDS, "longer texts keep no list")
    ] = Field(
        50,
        description="two texts that both have fewer words are near copies only if they agree "
        "in their symbols too (mathematical, currency, emoji, operators); 0: never asked",
    )
    containment: float = Field(
        0.0,
        ge=0.0,
        le=1.0,
        description="share of its shingles in a longer document at or above which a document is "
        f"removed as contained; 0: off, else {CONTAINMENT_FLOOR:g} or more",
    )
    bucket_cap: Annotated[Count, at_most(100_000, "a bucket of these has 5 billion pairs")] = Field(
        128, description="a bucket of more representatives is not paired in full"
    )
    neighbours: Annotated[Count, at_most(256, "every document of such a bucket keeps a list")] = (
        Field(
            8,
            description="partners of each member of a capped bucket, the nearest, besides the best",
        )
    )

    @model_validator(mode="after")
    def _ordered(self) -> NearConfig:
        if self.count_threshold > self.threshold:
            raise ValueError("near.count_threshold must not be above near.threshold")
        if 0 < self.containment < CONTAINMENT_FLOOR:
            raise ValueError(
                f"near.containment must be 0 (off) or at least {CONTAINMENT_FLOOR:g}: "
                "a scan lists nothing below that"
            )
        return self


class WindowConfig(Section):
    """Repeated windows of words."""

    words: Annotated[Count, at_most(100_000, "shorter documents have no window")] = Field(
        50, description="consecutive words in a window"
    )
    link_documents: Annotated[Count, at_most(2**31 - 1, "documents are counted in 32 bits")] = (
        Field(64, description="a window in more documents does not link a family")
    )


Layers = Annotated[Count, at_most(256, "a proxy is a small model")]
Width = Annotated[Count, at_most(16_384, "a proxy is a small model")]


_TOKENS: TypeAdapter[int] = TypeAdapter(Annotated[int, Field(ge=0), at_most(10**18, _LARGE)])
_EACH_TOKENS: TypeAdapter[tuple[int, ...]] = TypeAdapter(
    Annotated[
        tuple[Annotated[int, Field(ge=0), at_most(10**18, _LARGE)], ...],
        no_longer_than(64, "one is of each model, and all are loaded"),
    ]
)


def _one_or_each(value: object) -> object:
    """Return a number, or a list of numbers; one message says what is wrong with either."""
    kind: TypeAdapter[Any] = _EACH_TOKENS if isinstance(value, list | tuple) else _TOKENS
    try:
        return kind.validate_python(value)
    except ValidationError as error:
        raise ValueError(error.errors()[0]["msg"].removeprefix("Value error, ")) from error


TrainedTokens = Annotated[int | tuple[int, ...], BeforeValidator(_one_or_each)]


def _require_each(tokens: tuple[int, ...], models: int) -> None:
    """Refuse a list of tokens that does not tell of each model what it was trained on."""
    if len(tokens) != models:
        raise ValueError(
            f"proxy.trained_tokens is a list of {len(tokens):,}, and proxy.models one of "
            f"{models:,}: give a number for each model, in their order, or a single one for all"
        )
    if 0 in tokens:
        raise ValueError(
            "proxy.trained_tokens has a 0 in its list: a model that was trained on nothing knows "
            "no text, and what is not known of one is told of none (a single 0)"
        )


class ProxyConfig(Section):
    """The small models that are trained on a sample of the corpus, and how."""

    models: Annotated[tuple[Place, ...], no_longer_than(64, "all are loaded")] = Field(
        (),
        description="folders or hub names of existing causal models to score with, instead of "
        "training proxies; safetensors only, no code of theirs is run",
    )
    trained_on: Literal["unknown", "corpus"] = Field(
        "unknown",
        description="what `proxy.models` were trained on: corpus declares that it was all of this "
        "corpus, `proxy.epochs` times, so that they forecast as trained proxies do",
    )
    seen_column: Column | None = Field(
        None,
        description="column of the corpus that says which rows `proxy.models` were trained on: "
        "true or false, yes or no, or a number, 0 for never; with `proxy.trained_on` = corpus; "
        "without one it was all of them",
    )
    trained_tokens: TrainedTokens = Field(
        0,
        description="tokens that each of `proxy.models` was trained on in all, or a list of as "
        "many numbers, one a model: of those of one size the ones with fewer are earlier "
        "checkpoints, which saw the corpus in proportion; 0: those of this corpus, or of the rows "
        "that it saw, times `proxy.epochs`",
    )
    tokenizer: Place | None = Field(
        None,
        description="folder with the tokenizer of the target; without one it is that of the "
        "loaded models, or is trained on the sample",
    )
    threads: Annotated[Count, at_most(1_024, "no machine has more cores")] = Field(
        1, description="Torch threads a proxy; recorded, because results depend on it"
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        "auto", description="auto takes a GPU when there is one"
    )
    deterministic: bool = Field(False, description="on a GPU, deterministic kernels only")
    seed: Seed = Field(1, description="seeds sampling, initial weights and batch order")
    sample_tokens: Annotated[Count, at_most(10**10, _HELD)] = Field(
        700_000, description="tokens of whole families to train on; plants are added to them"
    )
    vocabulary: Annotated[int, Field(ge=300, le=65_536)] = Field(
        2_048, description="tokens of the byte-level BPE trained on the sample"
    )
    shapes: Annotated[
        tuple[tuple[Layers, Width], ...], no_longer_than(16, "all are trained side by side")
    ] = Field(
        ((1, 32), (2, 32), (3, 64), (4, 96)), description="(layers, width) of each proxy, growing"
    )
    epochs: Annotated[Count, at_most(10_000, _STEPS)] = Field(
        1,
        description="times a proxy sees each sequence of the sample; most targets see theirs once",
    )
    batch: Annotated[Count, at_most(65_536, _HELD)] = Field(
        16, description="sequences in a training step"
    )
    marks: Annotated[int, Field(ge=0), at_most(64, "each is a pass over all plants")] = Field(
        0,
        description="moments of the training of each proxy of the ladder at which it is asked for "
        "the plants, so that the report shows how they are learnt and forgotten; 0: never",
    )
    retrain_above: float = Field(
        0.1,
        ge=0,
        le=1,
        description="share of the sample, by bytes, up to which a scoring after a change of the "
        "corpus keeps the proxies that there are: what is gone or would be chosen otherwise; 0: "
        "always train anew",
    )
    rate: float = Field(
        0.003,
        gt=0,
        le=1,
        description="peak learning rate of AdamW; the embedding's is 8 times it; a width above 160 "
        "has both times 160 over the width",
    )

    @model_validator(mode="after")
    def _growing(self) -> ProxyConfig:
        sizes = [layers * width * width for layers, width in self.shapes]
        if len(sizes) < 3 or sizes != sorted(set(sizes)):
            raise ValueError("proxy.shapes needs three or more proxies, each larger than the last")
        if self.seen_column is not None and self.trained_on != "corpus":
            raise ValueError("proxy.seen_column needs proxy.trained_on = corpus and proxy.models")
        if isinstance(self.trained_tokens, tuple):
            _require_each(self.trained_tokens, len(self.models))
        if any(width % 32 for _, width in self.shapes):
            raise ValueError("a width in proxy.shapes is not a multiple of 32")
        return self


class ScoreConfig(Section):
    """How much of the corpus is scored."""

    max_tokens: Annotated[int, at_most(10**13, "no corpus has more")] = Field(
        0,
        ge=0,
        description="tokens scored at most; 0: 262,144 on a CPU, what two cores do in half a "
        "minute, and 200,000,000 on a GPU",
    )


Signal = Literal[
    "extraction",
    "exposure",
    "prior",
    "approximate",
    "limem",
    "offsets",
    "gradients",
    "cdd",
    "acr",
    "neurons",
    "soft_defence",
    "soft_attack",
    "tabular",
    "counterfactual",
]


class ProbesConfig(Section):
    """Expensive measures of memorization, on request, over a panel (docs/signals.md)."""

    signals: tuple[Signal, ...] = Field(
        (),
        description="extraction, exposure, prior, approximate, limem, offsets, gradients, cdd, acr,"
        " neurons, soft_defence, soft_attack (of loaded models), tabular, counterfactual; or all",
    )
    models: Literal["largest", "all"] = Field(
        "largest", description="which proxies of the run are asked"
    )
    panel: Annotated[Count, at_most(10**6, _HELD)] = Field(
        200, description="sequences probed, shared out over the times that the proxy saw them"
    )
    samples: Annotated[Count, at_most(10_000, _HELD)] = Field(
        50, description="continuations drawn for each sequence by cdd"
    )
    acr_panel: Annotated[Count, at_most(100_000, _STEPS)] = Field(
        16, description="sequences that acr looks for a short prompt of"
    )
    acr_steps: Annotated[Count, at_most(10_000, _STEPS)] = Field(
        20, description="steps of its search for each length of a prompt"
    )
    neurons_panel: Annotated[Count, at_most(100_000, _STEPS)] = Field(
        16, description="recited sequences of which neurons looks for the few that they rest on"
    )
    subsets: Annotated[int, Field(ge=4), at_most(1_024, "each is a model that is trained")] = Field(
        8, description="proxies of the smallest shape that counterfactual trains, each on a half"
    )

    @field_validator("signals", mode="before")
    @classmethod
    def _all(cls, value: object) -> object:
        if value in ("all", ["all"], ("all",)):
            return get_args(Signal)
        return (value,) if isinstance(value, str) else value


class TargetConfig(Section):
    """The model that the user is going to train; `--target 8b:15T` sets its size and tokens.

    Without a size it has 1,000,000,000 parameters in all, or tokens / 20 where those are given; it
    sees 20 tokens for each parameter in all, and this corpus once among them.
    """

    parameters: Annotated[int, at_most(10**15, _LARGE)] = Field(
        0, ge=0, description="parameters without those of embeddings; 0: see `total_parameters`"
    )
    total_parameters: Annotated[int, at_most(10**15, _LARGE)] = Field(
        0,
        ge=0,
        description="parameters in all, 10,000,000 or more, converted by a stated rule; not with "
        "`parameters`; both 0: 1,000,000,000 in all",
    )
    tokens: Annotated[int, at_most(10**18, _LARGE)] = Field(
        0, ge=0, description="training tokens in all, other text included; 0: 20 a parameter"
    )
    epochs: Annotated[float, at_most(10_000, _LARGE)] = Field(
        1.0, gt=0, description="times the corpus is seen"
    )
    order: Literal["shuffled", "files"] = Field(
        "shuffled",
        description="shuffled: rows in a random order, as the forecast assumes; files: file after "
        "file by name, so that `last_exposure` and `spacing` of `document_risk` tell when a text "
        "is seen",
    )

    @model_validator(mode="after")
    def _one_size(self) -> TargetConfig:
        if self.parameters and self.total_parameters:
            raise ValueError("give target.parameters or target.total_parameters, not both")
        return self


class BacktestConfig(Section):
    """How the forecast is put to the test; `--size` sets what is left at 0."""

    target_ratio: float = Field(
        0.0, ge=0.0, le=64.0, description="size of the target over the largest proxy's"
    )
    seeds: Annotated[int, at_most(64, "each is a training")] = Field(
        0, ge=0, description="targets, each with weights and an order of its own"
    )
    draws: Annotated[int, Field(ge=100), at_most(10**6, _HELD)] = Field(
        1_000, description="draws of the family bootstrap"
    )
    filter_share: Ratio = Field(
        0.2,
        description="share of the sample's rows that the arms random, count and risk remove where "
        "the run's own filter takes none",
    )
    removal_arms: Annotated[Count, at_most(64, "each is a training")] = Field(
        6, description="trainings of each policy at most, in the search of the arm removal"
    )
    goldfish_k: Annotated[int, Field(ge=2), at_most(2**31 - 1, RARE)] = Field(
        4,
        description="one token in so many is left out of the loss of the arm goldfish, where "
        "mitigation.goldfish_k is 0",
    )
    goldfish_context: Annotated[Count, at_most(1_000, CONTEXT)] = Field(
        13, description="tokens whose hash says which, where mitigation.goldfish_k is 0"
    )


class LimitsConfig(Section):
    """What the process may use; never part of a fingerprint."""

    memory: Annotated[Bytes, at_most(2**60, "no machine has more")] = Field(
        0,
        description='bytes of memory for the whole process, also as "2GB" or "500MB" '
        "(KB, MB, GB, TB of 1000; KiB, MiB, GiB, TiB of 1024); 0: half of the machine's",
    )
    workers: Annotated[int, at_most(1_024, "no machine has more cores")] = Field(
        0, ge=0, description="threads; 0: one per core"
    )

    disk: Annotated[Bytes, at_most(2**60, "no machine has more")] = Field(
        0,
        description="bytes that the run folder may have, with what is put aside; 0: what is free",
    )
    scratch: Place = Field(
        "",
        description="folder of this machine for copies of what lies in object storage; empty: the "
        "user's cache",
    )
    scratch_disk: Annotated[Bytes, at_most(2**60, "no machine has more")] = Field(
        0,
        description="bytes that copies of a corpus may take there, for one larger than the disk: "
        "files come when they are read, and make room for the next; 0: the whole corpus is copied",
    )
    lineage: Place = Field(
        "",
        description="file to which each command appends OpenLineage events, one JSON object a line:"
        " corpus in, rows out; empty: none",
    )

    @field_validator("memory", "disk", "scratch_disk", mode="before")
    @classmethod
    def _in_units(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        found = re.fullmatch(_SIZE, value, re.IGNORECASE)
        if found is None:
            raise ValueError('a size is a number of bytes, or like "2GB" or "500MiB"')
        number, unit = found.groups()
        power = "bkmgt".index((unit or "b")[0].lower())
        return int(float(number) * (1024 if "i" in unit.lower() else 1000) ** power)


class Config(Section):
    """The whole configuration of a run."""

    input: InputConfig = InputConfig()
    text: TextConfig = TextConfig()
    sketch: SketchConfig = SketchConfig()
    near: NearConfig = NearConfig()
    window: WindowConfig = WindowConfig()
    proxy: ProxyConfig = ProxyConfig()
    score: ScoreConfig = ScoreConfig()
    probes: ProbesConfig = ProbesConfig()
    target: TargetConfig = TargetConfig()
    backtest: BacktestConfig = BacktestConfig()
    decontaminate: DecontaminateConfig = DecontaminateConfig()
    minus: MinusConfig = MinusConfig()
    personal: PersonalConfig = PersonalConfig()
    policy: PolicyConfig = PolicyConfig()
    mitigation: MitigationConfig = MitigationConfig()
    emit: EmitConfig = EmitConfig()
    report: ReportConfig = ReportConfig()
    limits: LimitsConfig = LimitsConfig()

    @model_validator(mode="after")
    def _keeps_last_occurrences(self) -> Config:
        policy = self.policy
        if policy.cut_short == DROPS and policy.cut_minimum > self.window.words:
            raise ValueError(
                "policy.cut_short = drop needs policy.cut_minimum <= window.words: "
                "a longer rest may hold the last occurrence of a window"
            )
        return self

    @model_validator(mode="after")
    def _cuts_once(self) -> Config:
        asked = self.decontaminate
        if asked.files and asked.action == "cut" and "cut-spans" in self.policy.rules:
            raise ValueError(
                "decontaminate.action = cut and the rule cut-spans exclude each other: what one "
                "leaves as the last occurrence of a window the other would cut"
            )
        return self
