"""The arguments of each command: frozen dataclasses, which the command line is parsed into.

A field's `Parameter` holds its help. Nothing heavy is imported here, so that `rote --help` and a
refusal are quick.
"""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

from cyclopts import ArgumentCollection, Group, Parameter
from cyclopts.validators import mutually_exclusive


def _one(arguments: ArgumentCollection) -> None:
    """Refuse both ways to give a text at once, and none of them."""
    if sum(bool(argument.tokens) for argument in arguments) != 1:
        raise ValueError("Give the text itself with --text, or a file with it with --file.")


def _some(arguments: ArgumentCollection) -> None:
    """Refuse to export nothing."""
    if not any(argument.tokens for argument in arguments):
        raise ValueError("Say what to export: --to FILE.duckdb, --hub FOLDER or --table FOLDER.")


def _one_answer(arguments: ArgumentCollection) -> None:
    """Refuse several ways to have answers at once, and none of them."""
    if sum(bool(argument.tokens) for argument in arguments) != 1:
        raise ValueError("Name one of --model, --answers, --endpoint and --prompts.")


def _when(arguments: ArgumentCollection) -> None:
    """Refuse a schedule that nothing starts, and one that two things would."""
    if sum(bool(argument.tokens) for argument in arguments) != 1:
        raise ValueError("Say when: --cron EXPRESSION, --every 6h or --on-new-shards, one of them.")


ANSWERS = Group("Whom to ask (one of)", validator=_one_answer)
EXPORTED = Group("What to export", validator=_some)
MAPPED = Group.create_ordered("Who runs the units", validator=mutually_exclusive)
STATUS_FORM = Group("Form (one of)", validator=mutually_exclusive)
ONE_TEXT = Group("Text (one of)", validator=_one)
WHEN = Group("When (one of)", validator=_when)
FLAT = Parameter(name="*")

Flag: TypeAlias = Annotated[bool, Parameter(negative=(), show_default=False)]
Repeatable: TypeAlias = Annotated[
    tuple[str, ...], Parameter(negative=(), consume_multiple=False, show_default=False)
]
Corpus: TypeAlias = Annotated[
    tuple[str, ...],
    Parameter(
        help="Files, folders, quoted globs, @LIST (a file of paths), - (standard input).",
        negative=(),
    ),
]
RunFolder: TypeAlias = Annotated[Path, Parameter(help="A run folder.")]
NewRun: TypeAlias = Annotated[Path, Parameter(help="The run folder.")]
NamedTarget: TypeAlias = Annotated[
    str | None,
    Parameter(
        help="The model to be trained: parameters in all and tokens, as 8b:15T; 350m (20 tokens a "
        "parameter); or a name, as pythia-12b."
    ),
]


@FLAT
@dataclass(frozen=True)
class SettingOptions:
    """Settings that differ from the defaults, or from those of the run folder."""

    _: KW_ONLY
    config: Annotated[Path | None, Parameter(alias="-c", help="A TOML file of settings.")] = None
    set: Annotated[Repeatable, Parameter(help="One setting: SECTION.KEY=VALUE; repeatable.")] = ()


Evaluation: TypeAlias = Annotated[
    tuple[str, ...],
    Parameter(
        help="Keep the items of these evaluation files out (decontaminate.*).",
        negative=(),
        consume_multiple=True,
        show_default=False,
    ),
]


Minus: TypeAlias = Annotated[
    Path | None,
    Parameter(help="Keep out what this scanned run folder holds already; it is only read."),
]


@FLAT
@dataclass(frozen=True)
class WorkOptions:
    """What all commands that run stages take."""

    _: KW_ONLY
    settings: SettingOptions = SettingOptions()
    skip_bad_files: Annotated[
        Flag, Parameter(help="Go on without files that cannot be read; list them.")
    ] = False
    prefect: Annotated[
        Flag,
        Parameter(
            group=MAPPED,
            help="Prefect tasks, with a temporary server unless PREFECT_API_URL is set.",
        ),
    ] = False
    local: Annotated[
        Flag, Parameter(group=MAPPED, help="Threads of this process, also with PREFECT_API_URL.")
    ] = False
    runner: Annotated[
        str | None,
        Parameter(help="Units on a Ray cluster: ray, or ray:ADDRESS (docs/scale.md)."),
    ] = None
    dry_run: Annotated[Flag, Parameter(help="Print the plan, write nothing.")] = False
    strict: Annotated[Flag, Parameter(help="Exit with 1 when there is an alarm.")] = False
    verify: Annotated[
        Flag, Parameter(help="Read inputs and outputs anew, trust no size or date.")
    ] = False
    verbose: Annotated[Flag, Parameter(alias="-v", help="A log line per unit of work.")] = False


@FLAT
@dataclass(frozen=True)
class SampleArguments:
    """The arguments of `rote sample`."""

    folder: Annotated[Path, Parameter(help="A new folder.")]
    _: KW_ONLY
    megabytes: Annotated[int, Parameter(help="Megabytes of text.")] = 14


@FLAT
@dataclass(frozen=True)
class RunArguments:
    """The arguments of `rote run`."""

    corpus: Corpus
    _: KW_ONLY
    out: NewRun
    target: NamedTarget = None
    decontaminate: Evaluation = ()
    minus: Minus = None
    no_score: Annotated[
        Flag, Parameter(help="No training and no forecast: scan, filter, report.")
    ] = False
    options: WorkOptions = WorkOptions()


@FLAT
@dataclass(frozen=True)
class ScanArguments:
    """The arguments of `rote scan`."""

    corpus: Corpus
    _: KW_ONLY
    out: NewRun
    filter: Annotated[
        Flag, Parameter(help="Decide about every row, too: write kept/ and removed/.")
    ] = False
    options: WorkOptions = WorkOptions()


@FLAT
@dataclass(frozen=True)
class ScoreArguments:
    """The arguments of `rote score`."""

    run: RunFolder
    _: KW_ONLY
    target: NamedTarget = None
    options: WorkOptions = WorkOptions()


@FLAT
@dataclass(frozen=True)
class FilterArguments:
    """The arguments of `rote filter`."""

    run: RunFolder
    _: KW_ONLY
    forget: Annotated[
        Repeatable,
        Parameter(help="Take a row, its exact and all its near copies out for good; repeatable."),
    ] = ()
    decontaminate: Evaluation = ()
    minus: Minus = None
    options: WorkOptions = WorkOptions()


@FLAT
@dataclass(frozen=True)
class ReportArguments:
    """The arguments of `rote report`."""

    run: RunFolder
    _: KW_ONLY
    against: Annotated[
        Path | None, Parameter(help="Tell what changed since another run folder.")
    ] = None
    options: WorkOptions = WorkOptions()


@FLAT
@dataclass(frozen=True)
class RestoreArguments:
    """The arguments of `rote restore`."""

    run: RunFolder
    doc_ids: Annotated[tuple[str, ...], Parameter(help="Ids of rows, or SHARD#ROW.", negative=())]
    _: KW_ONLY
    undo: Annotated[Flag, Parameter(help="Leave them to the rules again.")] = False


@FLAT
@dataclass(frozen=True)
class CheckArguments:
    """The arguments of `rote check`."""

    run: RunFolder
    _: KW_ONLY
    repair: Annotated[Flag, Parameter(help="Make anew what is damaged, from the same inputs.")] = (
        False
    )


@FLAT
@dataclass(frozen=True)
class StatusArguments:
    """The arguments of `rote status`."""

    run: RunFolder
    _: KW_ONLY
    json: Annotated[Flag, Parameter(group=STATUS_FORM, help="As JSON.")] = False
    prometheus: Annotated[Flag, Parameter(group=STATUS_FORM, help="As Prometheus' text.")] = False


@FLAT
@dataclass(frozen=True)
class ExplainArguments:
    """The arguments of `rote explain`."""

    run: RunFolder
    doc_id: Annotated[str, Parameter(help="The row's id, or SHARD#ROW.")]
    _: KW_ONLY
    html: Annotated[Path | None, Parameter(help="Write it as a page, too.")] = None
    attribute: Annotated[
        Flag, Parameter(help="Ask the proxies which tokens its riskiest sequence rests on.")
    ] = False


@FLAT
@dataclass(frozen=True)
class ExportArguments:
    """The arguments of `rote export`."""

    run: RunFolder
    _: KW_ONLY
    to: Annotated[
        Path | None,
        Parameter(group=EXPORTED, help="A new DuckDB file (.duckdb): every table of the run."),
    ] = None
    hub: Annotated[
        Path | None,
        Parameter(
            group=EXPORTED,
            help="A new folder to push to a hub: the kept rows, README.md, croissant.json.",
        ),
    ] = None
    table: Annotated[
        Path | None,
        Parameter(
            group=EXPORTED,
            help="A table of Delta Lake, or of Lance (.lance): the kept rows as its new version.",
        ),
    ] = None
    name: Annotated[
        str, Parameter(show_default=False, help="Name of the set on its card; else the folder's.")
    ] = ""


@FLAT
@dataclass(frozen=True)
class CompareArguments:
    """The arguments of `rote compare`."""

    run: RunFolder
    first: Annotated[str, Parameter(help="A model: a folder, or a hub name.")]
    second: Annotated[str, Parameter(help="The other one, of the same tokenizer.")]
    _: KW_ONLY
    sequences: Annotated[int, Parameter(help="Sequences of the panel to ask them for.")] = 2_000
    prompts: Annotated[
        Path | None,
        Parameter(help="JSON Lines of id and prompt: what these gain over a row's own prefix."),
    ] = None
    json: Annotated[Flag, Parameter(help="The answer as JSON.")] = False


@FLAT
@dataclass(frozen=True)
class QueryArguments:
    """The arguments of `rote query`."""

    run: RunFolder
    _: KW_ONLY
    text: Annotated[
        str | None,
        Parameter(group=ONE_TEXT, allow_leading_hyphen=True, help="The text to look for."),
    ] = None
    file: Annotated[
        Path | None,
        Parameter(group=ONE_TEXT, allow_leading_hyphen=True, help="A file with it; - for input."),
    ] = None
    json: Annotated[Flag, Parameter(help="The answer as JSON.")] = False
    verbose: Annotated[Flag, Parameter(alias="-v", help="Say how long it took.")] = False


@FLAT
@dataclass(frozen=True)
class AuditArguments:
    """The arguments of `rote audit`."""

    run: RunFolder
    files: Annotated[
        tuple[str, ...], Parameter(help="Files, folders or globs of texts.", negative=())
    ]
    _: KW_ONLY
    words: Annotated[int, Parameter(help="Words of a run that counts.")] = 13
    columns: Annotated[
        str,
        Parameter(help="Columns with text, as question,answer; else a guess.", show_default=False),
    ] = ""
    generations: Annotated[
        Flag, Parameter(help="The texts are a model's: tell how near they are to the corpus.")
    ] = False
    out: Annotated[Path | None, Parameter(help="Write a row per text to this Parquet file.")] = None
    json: Annotated[Flag, Parameter(help="The answer as JSON.")] = False


@FLAT
@dataclass(frozen=True)
class BacktestArguments:
    """The arguments of `rote backtest`."""

    run: RunFolder
    _: KW_ONLY
    size: Annotated[str, Parameter(help="smoke, miniature or full (a large GPU).")] = "miniature"
    arms: Annotated[
        str,
        Parameter(
            help="Of filter,random,count,risk,goldfish,sinks: a training each; removal,retention.",
            show_default=False,
        ),
    ] = ""
    settings: SettingOptions = SettingOptions()
    local: Annotated[Flag, Parameter(help="As always here: no Prefect.")] = False
    dry_run: Annotated[Flag, Parameter(help="Say the cost, train nothing.")] = False
    json: Annotated[Flag, Parameter(help="Print backtest.json.")] = False


@FLAT
@dataclass(frozen=True)
class CanariesArguments:
    """The arguments of `rote canaries`."""

    run: RunFolder
    _: KW_ONLY
    out: Annotated[Path, Parameter(help="A new folder for the file to mix in and its key.")]
    doses: Annotated[str, Parameter(help="Times that a canary is in the file.")] = (
        "1,2,4,8,16,32,64"
    )
    count: Annotated[int, Parameter(help="Pairs of a canary and its twin, for each dose.")] = 8
    kinds: Annotated[str, Parameter(help="random (drawn words), natural, or both.")] = (
        "random,natural"
    )
    references: Annotated[int, Parameter(help="Random texts beside them, never mixed in.")] = 200
    seed: Annotated[int, Parameter(help="Of all draws.")] = 1
    passages: Annotated[
        tuple[str, ...],
        Parameter(
            help="Files of your own texts for natural canaries, never to be trained on otherwise.",
            negative=(),
            consume_multiple=True,
            show_default=False,
        ),
    ] = ()
    jsonl: Annotated[Flag, Parameter(help="JSON Lines in place of Parquet.")] = False


@FLAT
@dataclass(frozen=True)
class CheckCanariesArguments:
    """The arguments of `rote canaries check`."""

    folder: Annotated[Path, Parameter(help="A folder that `rote canaries` wrote.")]
    _: KW_ONLY
    model: Annotated[
        str | None, Parameter(group=ANSWERS, help="A model: a folder of transformers.")
    ] = None
    answers: Annotated[
        Path | None,
        Parameter(group=ANSWERS, help="JSON Lines of id with completion, log_p or both."),
    ] = None
    endpoint: Annotated[
        str | None,
        Parameter(group=ANSWERS, help="A server of OpenAI's completions: http://HOST:PORT/v1."),
    ] = None
    prompts: Annotated[
        Path | None,
        Parameter(group=ANSWERS, help="Ask nobody: write id and prefix of each to this new file."),
    ] = None
    suffixes: Annotated[Flag, Parameter(help="With --prompts: the suffixes, too.")] = False
    served: Annotated[
        str, Parameter(show_default=False, help="With --endpoint: the model's name there.")
    ] = ""
    json: Annotated[Flag, Parameter(help="The figures as JSON.")] = False


@FLAT
@dataclass(frozen=True)
class ScheduleArguments:
    """The arguments of `rote schedule`."""

    corpus: Corpus
    _: KW_ONLY
    out: NewRun
    cron: Annotated[
        str | None, Parameter(group=WHEN, help='A cron expression, for example "0 3 * * *".')
    ] = None
    every: Annotated[
        str | None, Parameter(group=WHEN, help="Now, and then at this interval: 6h, 30m, 1d.")
    ] = None
    on_new_shards: Annotated[
        Flag, Parameter(group=WHEN, help="When files of the corpus come, go or change.")
    ] = False
    poll: Annotated[
        int | None,
        Parameter(
            show_default=False, help="Seconds between two looks of --on-new-shards; 60 if not said."
        ),
    ] = None
    name: Annotated[str, Parameter(help="Name of the deployment.")] = "rote"
    settings: SettingOptions = SettingOptions()
    skip_bad_files: Annotated[
        Flag, Parameter(help="Go on without files that cannot be read; list them.")
    ] = False
    no_score: Annotated[Flag, Parameter(help="As with rote run: scan, filter, report.")] = False
    strict: Annotated[Flag, Parameter(help="A run with an alarm fails.")] = False
    notify: Annotated[
        str | None,
        Parameter(help="Post alarms, failures, first success here; better ROTE_NOTIFY_URL."),
    ] = None
    open_parameters: Annotated[
        Flag, Parameter(help="Runs may name another corpus and folder, by Prefect's parameters.")
    ] = False


@FLAT
@dataclass(frozen=True)
class ConfigArguments:
    """The arguments of `rote config`."""

    run: Annotated[Path | None, Parameter(help="A run folder whose settings are shown.")] = None
    _: KW_ONLY
    settings: SettingOptions = SettingOptions()


@FLAT
@dataclass(frozen=True)
class CompletionArguments:
    """The arguments of `rote completion`."""

    shell: Annotated[
        Literal["bash", "zsh", "fish"], Parameter(help="The shell that is to complete.")
    ]
