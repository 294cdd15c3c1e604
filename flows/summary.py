"""What a command says when it has ended: the funnel of rows, the alarms, where to look."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pipeline.engine.manifest import load_manifest
from pipeline.filter.overrides import cannot_reach
from pipeline.outline import stale_tables
from pipeline.report.data.alarms import grouped, no_forecast_alarm
from pipeline.report.data.headline import forecast_facts, headline, kept_proxies
from pipeline.report.html.phrases import SEARCHED

ALARMS_SHOWN = 5
REASONS = {
    "exact_copy": "exact copies",
    "near_copy": "near copies",
    "contained": "contained in longer ones",
    "risk": "at risk",
    "short": "with too little left",
    "forgotten": "forgotten",
    "contaminated": "with an evaluation item",
    "held": "held by the other run",
    "personal": "with personal data",
}
STAYING = {
    "repeated": "with repeated passages cut or masked",
    "item_cut": "with an evaluation item cut out",
    "personal_masked": "with personal data masked and nothing else cut",
    "restored": "restored",
}


def summarize(folder: Path) -> tuple[str, int]:
    """Return the closing words for a run folder and the number of its alarms, those of a kind one.

    Counts and paths only, and only of what is current: a scan alone does not repeat old decisions.
    """
    manifest = load_manifest(folder)
    stale = stale_tables(folder)
    outputs = {
        name: entry
        for name, entry in manifest["outputs"].items()
        if not any(record["table"] in stale for record in entry["files"])
    }
    shards = [shard for shard in manifest["corpus"]["shards"] if shard["active"]]
    rejected = sum(sum((shard["rejected"] or {}).values()) for shard in shards)
    documents = sum(shard["documents"] or 0 for shard in shards)
    lines = [f"{len(shards)} shards, {documents + rejected:,} rows"]
    lines += _rejections(shards, rejected, folder)
    if "seal/all" in outputs:  # else kept/ is not what was decided
        lines += _removals(outputs, folder)
        lines += _spared(outputs, manifest["config"])
    lines += _personal(outputs)
    if "decisions/all" in outputs:
        lines += cannot_reach(manifest)
    lines += _forecast(outputs, manifest["config"])
    shown = grouped(_alarms(outputs))
    lines += [f"ALARM  {alarm['sentence']}" for alarm in shown[:ALARMS_SHOWN]]
    if len(shown) > ALARMS_SHOWN:
        lines.append(f"ALARM  and {len(shown) - ALARMS_SHOWN} kinds more, all in the report")
    page = folder / "report" / "index.html"
    if "kept" in stale:
        lines.append(f"kept/ and removed/ are of an earlier scan or setting: rote filter {folder}")
    if "report" in stale:
        lines.append(f"report/ is of an earlier scan, filter or setting: rote report {folder}")
    lines.append(f"report: {page}" if "report/all" in outputs else f"run folder: {folder}")
    return "\n".join(lines) + "\n", len(shown)


def _rejections(shards: list[dict[str, Any]], rejected: int, folder: Path) -> list[str]:
    if not rejected:
        return []
    reasons: dict[str, int] = {}
    for shard in shards:
        for reason, count in (shard["rejected"] or {}).items():
            reasons[reason] = reasons.get(reason, 0) + count
    named = ", ".join(f"{count:,} {reason}" for reason, count in sorted(reasons.items()))
    return [f"  rejected {rejected:>10,}  {named} ({folder / 'rejected'})"]


def _removals(outputs: dict[str, Any], folder: Path) -> list[str]:
    reasons = dict(_facts(outputs, "decisions/all").get("reasons", {}))
    if not reasons:
        return []
    told = [f"{reasons[name]:,} {words}" for name, words in STAYING.items() if name in reasons]
    kept = sum(reasons.pop(name, 0) for name in ("kept", *STAYING))
    of_kept = f"{', '.join(told)} " if told else ""
    told = [f"{count:,} {REASONS.get(name, name)}" for name, count in sorted(reasons.items())]
    named = ", ".join(told)
    gone = f"  removed  {sum(reasons.values()):>10,}  {named} ({folder / 'removed'})"
    return [*([gone] if reasons else []), f"  kept     {kept:>10,}  {of_kept}({folder / 'kept'})"]


def _spared(outputs: dict[str, Any], config: dict[str, Any]) -> list[str]:
    """Return what looks like a copy and stays: by other symbols, or in another split."""
    facts, near = _facts(outputs, "documents/all"), config["near"]
    lines = []
    if spared := facts.get("spared_for_symbols"):
        lines.append(
            f"  spared   {spared:>10,}  near copies with other symbols (near.symbol_words)"
        )
    if "stable_otherwise" in facts:
        rows = facts["stable_otherwise"]
        lines.append(
            f"  stable   {rows:>10,}  stay or go otherwise than the best would (near.keepers)"
        )
    if not near["across_splits"]:
        lines += [
            f"  leakage  {row['exact'] + row['near']:>10,}  of {row['documents']:,} documents of "
            f"{row['split']} are in {row['other_split']} too; they stay (near.across_splits)"
            for row in facts.get("leakage", [])
        ]
    return lines


def _personal(outputs: dict[str, Any]) -> list[str]:
    """Return how many pieces of personal data the texts hold; nothing where nobody looked."""
    found = [
        _facts(outputs, name).get("finds", {}) for name in outputs if name.startswith("personal/")
    ]
    finds = sum(sum(kinds.values()) for kinds in found)
    told = f"pieces found in the texts as scanned; {SEARCHED}"
    return [f"  personal {finds:>10,}  {told}"] if found else []


def _alarms(outputs: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the alarms of the report; without one that of a missing forecast, if it is missing."""
    if "report/all" in outputs:
        return list(_facts(outputs, "report/all").get("alarms", []))
    return no_forecast_alarm({"outputs": outputs})


def _forecast(outputs: dict[str, Any], config: dict[str, Any]) -> list[str]:
    """Return what the target would recite, by which proxies; nothing without a forecast."""
    facts = forecast_facts({"outputs": outputs})[0]
    said = headline(config["target"], facts)
    kept = kept_proxies(facts)
    return [*([f"  forecast {said}"] if said else []), *([f"  proxies  {kept}"] if kept else [])]


def _facts(outputs: dict[str, Any], name: str) -> dict[str, Any]:
    return dict(outputs.get(name, {}).get("facts", {}))


def preview_lines(facts: dict[str, Any] | None, *, order: bool = False) -> list[str]:
    """Return what each rule would take, as a table.

    Tokens are those that the target is expected to memorize, of distinct texts.

    Args:
        facts: of the decisions; None without a scan.
        order: whether risks are an order only, so that no amount of tokens is told.
    """
    if facts is None:
        return ["What the rules would take is known once the scan is done with these settings."]
    known = any("expected_tokens_avoided" in entry for entry in facts["rules"])
    scored = known and not order
    head = f"{'rule':<12} {'rows':>10} {'bytes':>14}"
    lines = [head + (f" {'memorized tokens avoided':>26}" if scored else "")]
    for entry in facts["rules"]:
        line = f"{entry['rule']:<12} {entry['rows']:>10,} {entry['bytes']:>14,}"
        if scored:
            line += f" {entry['expected_tokens_avoided']:>26,.0f}"
        lines.append(line)
        if "cut_rows" in entry:
            lines.append(
                f"  cut or masked in {entry['cut_rows']:,} more: {entry['cut_bytes']:,} bytes"
            )
    if "cut" in facts and facts["cut"]["too_short_and_left"]:
        short = facts["cut"]["too_short_and_left"]
        lines.append(f"  not cut, since too few words would be left: {short:,} documents")
    if scored:
        left = facts["rules"][-1]["expected_tokens_left"]
        lines.append(f"  left: {left:,.0f} tokens expected to be memorized, of distinct texts")
    elif known:
        lines.append("  the target is over ten times the proxies: no amount of tokens is told")
    else:
        lines.append("  not scored: what is avoided is known after rote score")
    return lines
