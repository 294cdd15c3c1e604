"""Another run folder, read only, whose rows are kept out: what is read, and whether it fits."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from pipeline.absent import MANIFEST
from pipeline.config.sections import Config, SketchConfig, TextConfig
from pipeline.engine.group_digests import group_key
from pipeline.engine.run_folder import RunFolder, digest_of, read_run
from pipeline.engine.sound import require_sound
from pipeline.errors import ConfigError, InputError

MISSING = "missing"  # in place of the digest of a run that cannot be read
READ = frozenset({"signatures", "words"})


@dataclass(frozen=True)
class OtherRun:
    """A scanned run whose rows are kept out.

    Attributes:
        run: its folder and manifest.
        tables: the files of `signatures` and `words`.
        shards: its entries of the registry, by number.
    """

    run: RunFolder
    tables: dict[str, list[Path]]
    shards: dict[int, dict[str, Any]]


def other_run(config: Config, own: Path, *, sound: bool = False) -> OtherRun:
    """Return the run of `minus.run`, after a check that its rows can be compared.

    Args:
        config: the settings of this run.
        own: its folder.
        sound: whether the bytes of what is read are held against their digests as well.

    Raises:
        ConfigError: When it is this run, or was scanned with other settings.
        InputError: When its scan is not finished.
        RunFolderError: When it is no run folder of this version.
        IntegrityError: When a file of it has other bytes than were written.
    """
    folder = Path(config.minus.run)
    if folder.resolve() == own.resolve():
        raise ConfigError(
            "A run cannot be held against itself: nothing would be left.",
            where="minus.run",
            found=str(folder),
            expected="another run folder",
        )
    run = read_run(folder)
    _require_same_words(run, config)
    shards = {s["number"]: s for s in run.manifest["corpus"]["shards"] if s["active"]}
    tables: dict[str, list[Path]] = {name: [] for name in READ}
    for group in sorted({entry["group"] for entry in shards.values()}):
        scanned = {n: s["content_digest"] for n, s in shards.items() if s["group"] == group}
        for record in _sketched(run, group_key(group), scanned):
            if record["table"] in READ:
                tables[record["table"]].append(folder / record["path"])
    if sound:
        require_sound(run, READ)
    return OtherRun(run, tables, shards)


def _sketched(run: RunFolder, key: str, own: dict[int, str | None]) -> list[dict[str, Any]]:
    """Return the files of the sketch of a group of shards.

    Args:
        run: the other run.
        key: of the group.
        own: the content digest of each of its shards, as the registry has it.

    Raises:
        InputError: When it is not made, or of other bytes of the shards.
    """
    output = run.manifest["outputs"].get(f"sketch/{key}")
    facts = output["facts"]["shards"] if output else []
    if output is None or {s["number"]: s["content_digest"] for s in facts} != own:
        raise InputError(
            "The scan of the other run is not finished, or its files changed since.",
            where=str(run.folder),
            fix="finish it: rote scan CORPUS... --out RUN",
        )
    return list(output["files"])


def _require_same_words(run: RunFolder, config: Config) -> None:
    """Refuse a run whose words, shingles or hashes are others.

    Raises:
        ConfigError: When a setting differs; it names all that do.
    """
    saved = run.manifest["config"]
    sketch = SketchConfig.model_validate(saved.get("sketch", {}))
    form = TextConfig.model_validate(saved.get("text", {})).normalize
    pairs = {
        f"sketch.{name}": (getattr(config.sketch, name), getattr(sketch, name))
        for name in SketchConfig.model_fields
    }
    pairs["text.normalize"] = (config.text.normalize, form)
    differing = {name: both for name, both in pairs.items() if both[0] != both[1]}
    if differing:
        told = [f"{name}: {own} here, {other} there" for name, (own, other) in differing.items()]
        raise ConfigError(
            "The other run was scanned with other settings, so its words cannot be compared.",
            where=str(run.folder),
            found="; ".join(told),
            fix=f"scan one of both anew, with --set {next(iter(differing))}=...",
        )


def digest(_folder: Path, config: Config) -> str:
    """Return a digest of what is read of the other run, for the fingerprint."""
    place = Path(config.minus.run) / MANIFEST
    try:
        facts = place.stat()
    except OSError:
        return MISSING
    return _digest(config.minus.run, facts.st_mtime_ns, facts.st_size)


@lru_cache(64)
def _digest(folder: str, _mtime_ns: int, _bytes: int) -> str:
    """Return the digest of a scan, read once while its manifest stays the same."""
    try:
        manifest = read_run(Path(folder)).manifest
    except InputError:
        return MISSING
    outputs = manifest["outputs"].items()
    return digest_of(
        [
            {name: entry["digest"] for name, entry in outputs if name.startswith("sketch/")},
            [[s["number"], s["name"], s["active"]] for s in manifest["corpus"]["shards"]],
        ]
    )
