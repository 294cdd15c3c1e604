"""Make canaries for a run, top to bottom: draw, cut, look for them, forecast, toss, write, seal."""

from __future__ import annotations

import math
import shutil
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.absent import KEY
from pipeline.canaries.key import Canary, Key, hash_of, write_private
from pipeline.canaries.made.absent import absent
from pipeline.canaries.made.design import NATURAL, RANDOM, Design
from pipeline.canaries.made.forecasts import forecasts, language_of_run, why_no_forecast
from pipeline.canaries.made.mix import JSONL, PARQUET, column_names, file_bytes, mixed
from pipeline.canaries.made.sources import WORDS, Sources, sources
from pipeline.canaries.made.texts import CutText, cut_texts, natural_texts, random_texts, shifted
from pipeline.config.sections import Config
from pipeline.engine.files import digest_file, temporary_of, write_whole
from pipeline.engine.progress import current
from pipeline.engine.run_folder import RunFolder, digest_of, read_run
from pipeline.engine.shards import active_shards
from pipeline.engine.sound import require_sound
from pipeline.engine.system import writing
from pipeline.errors import ConfigError, InputError
from pipeline.export.source import require_new
from pipeline.scan.inventory import require_unchanged

if TYPE_CHECKING:
    from pipeline.score.proxy.tokenizer import Language

NEEDED = ("words", "counts")
SPARE = 3  # random texts are drawn so many times as are needed: some cannot be cut
ID_LETTERS = 16
MADE = 1  # version of what is drawn
_COIN = 65


@dataclass(frozen=True)
class Made:
    """What was written.

    Attributes:
        key: the sealed key.
        columns: names of the columns for id and text.
        folder: the new folder.
    """

    key: Key
    columns: tuple[str, str]
    folder: Path


@dataclass(frozen=True)
class _Asked:
    """A run that canaries are made for.

    Attributes:
        run: the run folder.
        config: its settings.
        tables: its current tables.
        language: its tokenizer; None where it has no forecast.
        why_not: why there is no forecast; None where there is one.
        threads: chunks of words that are searched side by side.
    """

    run: RunFolder
    config: Config
    tables: dict[str, list[Path]]
    language: Language | None
    why_not: str | None
    threads: int


def make_canaries(
    folder: Path,
    design: Design,
    out: Path,
    stale: Collection[str] = (),
    threads: int = 2,
    *,
    as_lines: bool = False,
) -> Made:
    """Write canaries for a scanned run into a new folder: the file to mix in and the sealed key.

    Args:
        folder: the run folder; it is only read.
        design: which canaries.
        out: the new folder.
        stale: tables that are older than the last scan.
        threads: chunks of words that are searched side by side.
        as_lines: whether the file is JSON Lines, else Parquet.

    Raises:
        ConfigError: When the scan is not finished.
        InputError: When the corpus changed or has too little text, or `out` is there already.
    """
    require_new(out, "--out")
    of = _opened(folder, stale, threads)
    material = sources(of.run, of.tables["counts"], of.config, design)
    drawn = {kind: _drawn(of, material, design, kind) for kind in design.kinds}
    canaries, forecast = _forecast(of, _paired(drawn, design), drawn)
    names = column_names(active_shards(of.run.manifest), of.config.input)
    rows = mixed(canaries, design.seed)
    about = _about(of, material, design)
    key = Key(tuple(canaries), about, {"rows": len(rows[0])}, forecast)
    return _written(key, names, file_bytes(rows, names, as_lines=as_lines), out)


def _opened(folder: Path, stale: Collection[str], threads: int) -> _Asked:
    """Return a run that canaries can be made for.

    Raises:
        ConfigError: When its scan is not finished.
    """
    run = read_run(folder)
    tables = run.tables(without=stale)
    missing = [name for name in NEEDED if name not in tables]
    if missing:
        raise ConfigError(
            "Canaries cannot be made for this run folder yet: its scan is not finished, or is out "
            "of date.",
            where=str(folder),
            found=f"missing or not current: {', '.join(missing)}",
            fix="finish it: rote scan CORPUS... --out RUN (with the same settings)",
        )
    require_unchanged(run.manifest)
    facts = run.manifest["outputs"].get("risk/all", {}).get("facts", {})
    why = why_no_forecast(tables, facts)
    used = {*NEEDED, "taught", *(() if why else ("sequences", "plants", "models"))}
    require_sound(run, used)
    language = None if why else language_of_run(tables["models"])
    config = Config.model_validate(run.manifest["config"])
    return _Asked(run, config, tables, language, why, threads)


def _drawn(of: _Asked, material: Sources, design: Design, kind: str) -> list[CutText]:
    """Return as many texts of a kind as are needed, none of which is in the corpus.

    Raises:
        InputError: When there are too few.
    """
    needed = design.texts(kind)
    seed = of.config.sketch.seed
    if kind == RANDOM:
        texts = random_texts(material, needed * SPARE, design.seed)
    else:
        texts = shifted(natural_texts(material), seed)
    cut = cut_texts(list(dict.fromkeys(texts)), of.language, seed)
    current().message(f"canaries: {len(cut):,} {kind} texts held against the corpus")
    there = absent([one.text for one in cut], of.tables["words"], of.config, of.threads)
    found = [one for one, free in zip(cut, there.tolist(), strict=True) if free][:needed]
    if len(found) < needed:
        raise InputError(
            "The corpus has too little text to make so many canaries of.",
            where=f"{kind} canaries",
            found=f"{len(found):,} of {len(cut):,} texts that have 64 tokens and can be cut "
            "between two words; the others are in the corpus",
            expected=f"{needed:,}, two for each pair and the references",
            fix="ask for fewer (--count, --doses, --references), for one kind (--kinds), or give "
            "natural texts of your own (--passages FILE)",
        )
    return found


def _paired(drawn: dict[str, list[CutText]], design: Design) -> list[Canary]:
    """Return all texts as canaries; of each pair a fair coin puts one in."""
    random = np.random.Generator(np.random.PCG64([design.seed, _COIN]))
    found: list[Canary] = []
    pair = 0
    for kind, texts in drawn.items():
        left = iter(texts)
        for dose in design.doses:
            for first_in in random.integers(2, size=design.pairs).tolist():
                found += [
                    _canary(next(left), kind, pair, dose, inside=inside)
                    for inside in (first_in == 1, first_in == 0)
                ]
                pair += 1
        found += [_canary(one, kind, -1, 0, inside=False) for one in left]
    return found


def _canary(of: CutText, kind: str, pair: int, dose: int, *, inside: bool) -> Canary:
    digest = hash_of(of.text)
    return Canary(digest[:ID_LETTERS], digest, kind, pair, dose, inside, of.text, of.split, of.end)


def _forecast(
    of: _Asked, canaries: Sequence[Canary], drawn: dict[str, list[CutText]]
) -> tuple[list[Canary], dict[str, Any]]:
    """Return canaries in order of their ids with what is forecast of each, and of which target."""
    found = list(canaries)
    told: dict[str, Any] = {"fitted": False, "why_not": of.why_not}
    if of.why_not is None:
        current().message(f"canaries: forecast of {len(found):,} texts")
        cut = {hash_of(one.text): one for texts in drawn.values() for one in texts}
        own = [cut[one.text_hash] for one in found]
        dose = np.array([max(1, one.dose) for one in found], np.int64)
        texts = [one.text[: one.end] for one in found]
        rows = np.stack([one.tokens for one in own])
        values, target = forecasts(of.tables, of.config, texts, rows, dose)
        told = {"fitted": True, "why_not": None, "target": target}
        found = [
            one if one.pair < 0 else replace(one, risk=risk, risk_low=low, risk_high=high)
            for one, (risk, low, high) in zip(found, values.tolist(), strict=True)
        ]
    return sorted(found, key=lambda one: one.id), told


def _about(of: _Asked, material: Sources, design: Design) -> dict[str, Any]:
    """Return how the canaries were made."""
    outputs = of.run.manifest["outputs"]
    bits = math.log2(max(1, len(material.words)))
    about: dict[str, Any] = {
        "version": MADE,
        "seed": design.seed,
        "doses": list(design.doses),
        "pairs_of_each_kind_and_dose": design.pairs,
        "kinds": list(design.kinds),
        "references": design.references if RANDOM in design.kinds else 0,
        "words": WORDS,
        "run": digest_of({name: outputs[name]["digest"] for name in outputs}),
        "tokenizer": of.language.digest if of.language else None,
    }
    if RANDOM in design.kinds:
        about["reference_space"] = {
            "word_list": list(material.words),
            "bits_per_word": round(bits, 4),
            "bits": round(bits * WORDS, 1),
        }
    if NATURAL in design.kinds:
        about["natural"] = (
            "passages of the user's own texts"
            if design.passages
            else "pieces of nine words of the corpus, put together by chance"
        )
    return about


def _written(key: Key, columns: tuple[str, str], data: bytes, out: Path) -> Made:
    """Write the file to mix in and the key into a new folder, whole or not at all."""
    name = JSONL if data.startswith(b"{") else PARQUET
    place = temporary_of(out.absolute())
    with writing(out.absolute().parent):
        try:
            place.mkdir()
            write_whole(place / name, data)
            about_file = {"name": name, **key.file, "digest": digest_file(place / name)}
            sealed = replace(key, file=about_file)
            write_private(place / KEY, sealed.as_bytes())
            place.replace(out)
        finally:
            shutil.rmtree(place, ignore_errors=True)
    return Made(sealed, columns, out)
