"""The command line: what each command is called, what it takes, and what it is for.

Each command's arguments are a frozen dataclass of `flows.arguments`; what it does is in
`flows.commands`, which is imported only when a command runs.
"""

from __future__ import annotations

import shlex
import sys
from importlib.metadata import version

from cyclopts import App, CycloptsError, Group, MissingArgumentError, ValidationError

from flows.arguments import (
    AuditArguments,
    BacktestArguments,
    CanariesArguments,
    CheckArguments,
    CheckCanariesArguments,
    CompareArguments,
    CompletionArguments,
    ConfigArguments,
    ExplainArguments,
    ExportArguments,
    FilterArguments,
    QueryArguments,
    ReportArguments,
    RestoreArguments,
    RunArguments,
    SampleArguments,
    ScanArguments,
    ScheduleArguments,
    ScoreArguments,
    StatusArguments,
)
from flows.notify import without_secret
from pipeline.errors import ConfigError

OK, USAGE = 0, 2
INPUT = "@-"  # standard input as a part of the corpus
WITH_INPUT = ("run", "scan")
BEGIN = Group("To begin with", sort_key=1)
ACTS = Group("The four acts", sort_key=2)
ASK = Group("Questions to a run folder", sort_key=3)
MORE = Group("More", sort_key=4)
EVERY_DEFAULT = ConfigArguments()

app = App(
    name="rote",
    help="What would a language model learn by rote from this corpus?",
    version=lambda: f"rote {version('rote')}",
    version_flags=["--version"],
    result_action="return_value",
    suppress_keyboard_interrupt=False,
)
app["--help"].group = app["--version"].group = MORE


canaries = App(
    name="canaries",
    help="Make canaries for your own training; after it, check a model for them.",
    group=ASK,
    sort_key=11,
)
app.command(canaries)


def run(given: list[str]) -> int:
    """Parse the command line, run its command, return the exit code.

    Raises:
        ConfigError: The command line is not valid.
    """
    if not given:
        app.help_print()
        return USAGE
    if given[0] in WITH_INPUT:  # else a lone hyphen is taken for an option
        given = [INPUT if part == "-" else part for part in given]
    try:
        command, bound, _ = app.parse_args(given, exit_on_error=False, print_error=False)
    except CycloptsError as error:
        known = [name for name in given[:1] if name in commands()]
        raise ConfigError(
            "The command line is not valid.",
            where=shlex.join(["rote", *without_secret(given)]),
            found=_found(error),
            fix=f"see {shlex.join(['rote', *known, '--help'])}",
        ) from error
    asked = bound.arguments.get("asked")
    if asked is None:
        code = command(*bound.args, **bound.kwargs)
    else:
        from flows.places import at_hand, require_there

        require_there(asked)
        with at_hand(asked) as here:
            code = command(here)
    return code if isinstance(code, int) else OK


def _found(error: CycloptsError) -> str:
    """Return what is wrong with a command line, with each argument as the help has it."""
    if isinstance(error, ValidationError) and error.exception_message:
        return error.exception_message
    if not isinstance(error, MissingArgumentError) or error.argument is None:
        return " ".join(str(error).split())
    if error.keyword is not None:
        return f"{error.keyword} has no value after it"
    missing = error.argument
    place = missing.field_info.is_positional
    name = missing.name.removeprefix("--").upper() if place else missing.name
    return f"{name} is missing: {missing.parameter.help}"


def commands() -> list[str]:
    """Return the names of the commands, in the order in which they are defined."""
    return [name for name in app if not name.startswith("-")]


@app.command(group=BEGIN, sort_key=1)
def sample(asked: SampleArguments) -> int:
    """Gather a real corpus from what is installed here, to try things on."""
    from flows import commands as do

    return do.sample(asked)


@app.command(name="run", group=ACTS, sort_key=2)
def run_(asked: RunArguments) -> int:
    """Do everything: scan, score, filter, report."""
    from flows import commands as do

    return do.run(asked)


@app.command(group=ACTS, sort_key=3)
def scan(asked: ScanArguments) -> int:
    """Make or continue a run folder: count every repetition, verify every near copy."""
    from flows import commands as do

    command = "scan --filter" if asked.filter else "scan"
    return do.work(command, asked.out, asked.options, asked.corpus)


@app.command(group=ACTS, sort_key=4)
def score(asked: ScoreArguments) -> int:
    """Train the proxies and forecast what the target memorizes."""
    from flows import commands as do

    return do.work("score", asked.run, asked.options, target=asked.target)


@app.command(name="filter", group=ACTS, sort_key=5)
def filter_(asked: FilterArguments) -> int:
    """Decide about every row; write kept/ and removed/."""
    from flows import commands as do

    return do.filter_rows(asked)


@app.command(group=ACTS, sort_key=6)
def report(asked: ReportArguments) -> int:
    """Write report/index.html and report/report.json."""
    from flows import commands as do

    return do.report(asked)


@app.command(group=MORE, sort_key=7)
def restore(asked: RestoreArguments) -> int:
    """Bring removed rows back with the next filter."""
    from flows import commands as do

    return do.restore(asked)


@app.command(group=ASK, sort_key=7)
def check(asked: CheckArguments) -> int:
    """Name every file of a run folder that is not as it was written; exit 1 when there is one."""
    from flows import commands as do

    return do.check(asked)


@app.command(group=ASK, sort_key=6)
def status(asked: StatusArguments) -> int:
    """Tell what is current in a run folder, what runs now and how far it is, and the alarms."""
    from flows import commands as do

    return do.status(asked)


@app.command(group=ASK, sort_key=8)
def explain(asked: ExplainArguments) -> int:
    """Tell in words why a row stayed or went."""
    from flows import commands as do

    return do.explain(asked)


@app.command(group=ASK, sort_key=9)
def query(asked: QueryArguments) -> int:
    """Count how often a text occurs in the corpus."""
    from flows import commands as do

    return do.query(asked)


@app.command(group=ASK, sort_key=10)
def audit(asked: AuditArguments) -> int:
    """Hold evaluation sets, canaries or generated texts against the corpus."""
    from flows import commands as do

    return do.audit(asked)


@app.command(group=ASK, sort_key=10)
def compare(asked: CompareArguments) -> int:
    """Ask two models for the run's sequences: what both recite, only one, or neither."""
    from flows import commands as do

    return do.compare(asked)


@app.command(group=MORE, sort_key=10)
def export(asked: ExportArguments) -> int:
    """Write the run's tables as one DuckDB file, its kept rows for a hub or as a table."""
    from flows import commands as do

    return do.export(asked)


@app.command(group=ASK, sort_key=11)
def backtest(asked: BacktestArguments) -> int:
    """Check whether the forecast is right on this corpus; hours on request."""
    from flows import commands as do

    return do.backtest(asked)


@canaries.default
def make_canaries(asked: CanariesArguments) -> int:
    """Make canaries for your own training, with twins that stay out and a sealed key."""
    from flows import canaries as do

    return do.make(asked)


@canaries.command(name="check")
def check_canaries(asked: CheckCanariesArguments) -> int:
    """Ask a model for the canaries, and hold the forecast against what it recites."""
    from flows import canaries as do

    return do.check(asked)


@app.command(group=MORE, sort_key=12)
def schedule(asked: ScheduleArguments) -> int:
    """Run everything again and again, as a Prefect deployment."""
    from flows import commands as do

    return do.schedule(asked)


@app.command(group=BEGIN, sort_key=12)
def config(asked: ConfigArguments = EVERY_DEFAULT) -> int:
    """Print every setting as TOML: its value, where that comes from, its default and meaning."""
    from flows import commands as do

    return do.config(asked)


@app.command(group=BEGIN, sort_key=13)
def completion(asked: CompletionArguments) -> int:
    """Print the script with which a shell completes commands and options."""
    script = app.generate_completion(prog_name="rote", shell=asked.shell)
    if asked.shell == "bash":  # files and folders where no option is meant
        script = script.replace("complete -F", "complete -o default -o filenames -F")
    sys.stdout.write(script)
    return OK
