"""The registry of shards: which files the corpus has now, and under which number each is known.

A shard keeps its number as long as the run folder lives.
"""

from __future__ import annotations

import dataclasses
import os
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipeline.config.sections import Config, InputConfig
from pipeline.corpus import (
    Shard,
    check_shard,
    content_digest,
    find_shards,
    identify,
    local_places,
    shard_columns,
    text_rows,
)
from pipeline.corpus.columns import check_column
from pipeline.corpus.files import further
from pipeline.corpus.listed import absolute
from pipeline.engine.progress import current
from pipeline.engine.shards import ROW_BITS, active_shards
from pipeline.errors import ConfigError, InputError, PipelineError, SchemaMismatch
from pipeline.names import shown
from pipeline.storage.addresses import is_address
from pipeline.storage.lent import identity_of
from pipeline.storage.mirror import scratch_of

GROUP_BYTES = 4 << 20
GROUPS_AT_MOST = 200  # of what one scan adds, unless they would be larger than:
LARGEST_GROUP_BYTES = 1 << 30
GROUP_SHARDS = 256
MOST_SHARDS = 1 << (64 - ROW_BITS)  # over the life of a run folder
NAME_BYTES = 240  # of a file or folder; systems allow 255, and ours are called a little longer
MOST_FAULTS = 8  # of files, in a message
MOST_TEXTS, MOST_TEXT_BYTES = 100, 1 << 28  # text files whose lines are counted before a scan
IDENTITY = ("bytes", "mtime_ns", "tail_digest")


def inventory(
    manifest: dict[str, Any],
    corpus: Sequence[str],
    config: Config,
    *,
    verify: bool = False,
    own: bool = False,
) -> None:
    """Bring the registry in the manifest up to date with the files of the corpus.

    A known shard keeps its number and group; an unchanged one (size, mtime and tail) keeps its
    content digest; a new one is appended; a vanished one is retired and its number is never given
    again. Every shard is opened first, so that all that cannot be read are named in one error, or
    listed in the manifest with `input.skip_bad_files`.

    Args:
        manifest: changed in place.
        corpus: files, folders, globs and addresses.
        config: says how columns are read, and where copies of what lies at addresses are kept.
        verify: read known shards anew, also where they look unchanged.
        own: the corpus may lie in a run folder.

    Raises:
        InputError: When a file cannot be used, or there are too many.
    """
    more = further(config.input)
    limits, told = config.limits, current().advance
    places = local_places(corpus, limits.scratch, told, more, limits.scratch_disk)
    found, ignored = find_shards(places, more, own=own)
    skipped = _check(_unknown(found, manifest, config), config)
    if ignored:
        current().message(f"ignored (hidden, a card or of unknown suffix): {_named(ignored)}")
    _tell_splits(found, config)
    _tell_texts([shard for shard in found if shard.name not in skipped], config)
    before = _registry(manifest)
    known = {shard["name"]: shard for shard in manifest["corpus"]["shards"]}
    readable = [shard for shard in found if shard.name not in skipped]
    new = [shard for shard in readable if shard.name not in known]
    were = {name for name, entry in known.items() if entry["active"]}
    for entry in known.values():
        entry["active"] = False
    for shard in readable:
        if shard.name in known:
            _refresh(known[shard.name], shard, verify)
    _append(manifest, new)
    _tell_changes(were, manifest)
    manifest["corpus"]["roots"] = [absolute(root) for root in corpus]
    manifest["corpus"]["skipped"] = skipped
    if _registry(manifest) != before:
        manifest["scan"] += 1


def _tell_changes(were: set[str], manifest: dict[str, Any]) -> None:
    """Say which shards came, went or changed since the last scan: one may have gone by mistake.

    Args:
        were: names of the shards of the last scan; none before the first.
        manifest: with those of now.
    """
    now = {entry["name"]: entry for entry in manifest["corpus"]["shards"] if entry["active"]}
    kinds = {
        "new": now.keys() - were,
        "gone": were - now.keys(),
        "changed": {name for name in now.keys() & were if now[name]["content_digest"] is None},
    }
    told = [f"{len(own):,} {kind} ({_named(sorted(own))})" for kind, own in kinds.items() if own]
    if were and told:
        current().message(f"shards since the last scan: {', '.join(told)}")


def _tell_splits(shards: Sequence[Shard], config: Config) -> None:
    """Say which splits the corpus has, and that copies are not removed across them."""
    counted = Counter(shard.split for shard in shards if shard.split is not None)
    if counted:
        told = ", ".join(f"{number:,} {split}" for split, number in sorted(counted.items()))
        across = config.near.across_splits
        rule = "across splits too" if across else "within a split only (near.across_splits)"
        current().message(f"splits by file name: {told}; copies are removed {rule}")


def _tell_texts(shards: Sequence[Shard], config: Config) -> None:
    """Say how many rows a few text files give, by file, by line and by paragraph.

    Lines of a set of sentences read as one document each are a common mistake that nothing tells.
    """
    texts = [shard for shard in shards if shard.format == "text"]
    small = len(texts) <= MOST_TEXTS and sum(shard.bytes for shard in texts) <= MOST_TEXT_BYTES
    if not texts or not small or config.input.text_rows != "file":
        return
    try:
        counted = [text_rows(shard.path) for shard in texts]
    except InputError:  # the sketch tells, where it matters
        return
    lines, paragraphs = (sum(each) for each in zip(*counted, strict=True))
    if lines > len(texts):
        current().message(
            f"text files: {len(texts):,} rows, one each; by line {lines:,}, by paragraph "
            f"{paragraphs:,} (input.text_rows)"
        )


def _guess(schema: pa.Schema, shard: Shard, config: Config) -> str:
    """Return the columns that were taken for a role without being told; empty when none were."""
    try:
        columns = shard_columns(shard, config.input, schema)
    except SchemaMismatch:  # the file passed its check: it is empty, or its head lacks a column
        return ""
    roles = {"text": " + ".join(columns.text), "id": columns.id, "source": columns.source}
    return ", ".join(f"{role} = {roles[role]}" for role in columns.guessed)


def _named(paths: list[str]) -> str:
    """Return the first three paths and how many more there are."""
    more = f" and {len(paths) - 3} more" if len(paths) > 3 else ""
    return ", ".join(shown(path) for path in paths[:3]) + more


def _registry(manifest: dict[str, Any]) -> list[list[Any]]:
    """Return what identifies a corpus: which shards are in it, their bytes, groups and splits.

    Size and time stand in for the digest while it is not known; a file that was only touched is the
    same.
    """
    return [
        [
            *(s["number"], s["active"], s["content_digest"] or [s["bytes"], s["mtime_ns"]]),
            *(s.get("source_group"), s.get("split")),
        ]
        for s in manifest["corpus"]["shards"]
    ]


def _unknown(shards: list[Shard], manifest: dict[str, Any], config: Config) -> list[Shard]:
    """Return the shards to check: all but those that would have to be fetched to be found the same.

    Args:
        shards: as found.
        manifest: with those of the last scan.
        config: says how columns are read.
    """
    if manifest.get("config", {}).get("input") != config.model_dump(mode="json")["input"]:
        return shards
    known = {
        tuple(entry[key] for key in ("name", *IDENTITY))
        for entry in manifest["corpus"]["shards"]
        if entry["active"]
    }
    return [
        shard
        for shard in shards
        if identity_of(Path(shard.path)) is None
        or tuple(getattr(shard, key) for key in ("name", *IDENTITY)) not in known
    ]


def _check(shards: list[Shard], config: Config) -> dict[str, str]:
    """Return the shards that cannot be used, with the reason of each.

    Raises:
        InputError: When there is one and `input.skip_bad_files` is off, or when none can be used.
    """
    bad: dict[str, PipelineError] = {}
    guesses: dict[str, list[str]] = {}
    for shard in shards:
        try:
            _require_name(shard)
            schema = check_shard(shard, config.input)
            check_column(schema, config.emit.column, shard.name)
        except InputError as error:
            bad[shard.name] = error
            continue
        guess = _guess(schema, shard, config)
        guesses.setdefault(guess, []).append(shard.name)
    for guess, names in sorted(guesses.items()):
        alone = len(names) == 1 < len(shards)
        which = shown(names[0]) if alone else f"{len(names)} of {len(shards)} files"
        if guess:
            current().message(f"guessed for {which}: {guess}")
    if not bad:
        return {}
    if not config.input.skip_bad_files:
        if len(bad) == 1:
            (only,) = bad.values()
            raise only
        what = f"{len(bad):,} of {len(shards):,} files cannot be used; nothing was scanned."
        raise _unusable(bad, what, "mend or remove them, or leave them out: --skip-bad-files")
    if len(bad) == len(shards):
        raise _unusable(bad, "No file of the corpus can be used.", "")
    for alike in _alike(bad).values():
        current().message(f"left out: {_named(alike)}: {bad[alike[0]].what}")
    return {name: fault.what for name, fault in sorted(bad.items())}


def _require_name(shard: Shard) -> None:
    """Refuse a file whose name is not good for the files that are written for it.

    Raises:
        InputError: When a part of it is longer than `NAME_BYTES`, or it is no UTF-8.
    """
    longest = max(len(os.fsencode(part)) for part in shard.name.split("/"))
    if longest > NAME_BYTES:
        raise InputError(
            "The name of a file is too long: those written for it have a longer one.",
            where=shard.name,
            found=f"{longest} bytes between two slashes",
            expected=f"{NAME_BYTES} at most",
            fix="rename it, or leave it out: --skip-bad-files",
        )
    if not shard.name.isprintable() and any("\udc80" <= one <= "\udcff" for one in shard.name):
        raise InputError(
            "The name of a file is not UTF-8.",
            where=shard.name,
            fix="rename it, or leave it out: --skip-bad-files",
        )


def _unusable(bad: dict[str, PipelineError], what: str, fix: str) -> InputError:
    """Return one error for many files; those of one fault are told together."""
    found = []
    for alike in list(_alike(bad).values())[:MOST_FAULTS]:
        error = bad[alike[0]]
        told = [error.what]
        told += [f"expected: {error.expected}"] if error.expected else []
        told += [f"found: {error.found}"] if error.found else []
        told += [f"to do: {error.fix}"] if error.fix else []
        files = f"{len(alike):,} files, " if len(alike) > 1 else ""
        told += [f"where: {error.where}"] if error.where and not files else []
        found.append(f"{files}{_named(alike)}: {' '.join('; '.join(told).split())}")
    kinds = len(_alike(bad))
    if kinds > MOST_FAULTS:
        found.append(f"and {kinds - MOST_FAULTS:,} other faults")
    first = next(iter(_alike(bad).values()))[0]
    more = f" and {len(bad) - 1:,} more" if len(bad) > 1 else ""
    return InputError(what, where=f"{first}{more}", found="\n".join(found), fix=fix)


def _alike(bad: dict[str, PipelineError]) -> dict[tuple[str, ...], list[str]]:
    """Return the names of the files by their fault, the most frequent first."""
    alike: dict[tuple[str, ...], list[str]] = {}
    for name, error in bad.items():
        alike.setdefault((error.what, error.found, error.expected), []).append(name)
    return dict(sorted(alike.items(), key=lambda item: -len(item[1])))


def _refresh(entry: dict[str, Any], shard: Shard, verify: bool) -> None:
    """Update the entry of a known shard; its content digest stays when the bytes do."""
    same = all(entry[key] == getattr(shard, key) for key in IDENTITY)
    entry.update(active=True, path=shard.path, format=shard.format)
    entry.update(source_group=shard.source_group, split=shard.split)
    if same and not verify:
        return
    digest = content_digest(Path(shard.path))
    entry.update({key: getattr(shard, key) for key in IDENTITY})
    if digest != entry["content_digest"]:
        entry.update(content_digest=None, documents=None, rejected=None)


def _append(manifest: dict[str, Any], new: list[Shard]) -> None:
    """Append new shards, numbered by name, and pack them into groups of some megabytes.

    The packing depends on nothing but the files.

    Raises:
        InputError: When there are more shards than the keys of rows have numbers for.
    """
    shards = manifest["corpus"]["shards"]
    number = len(shards)
    if number + len(new) > MOST_SHARDS:
        raise InputError(
            "The run folder has no numbers left for so many files.",
            where=new[0].name,
            found=f"{number:,} files, those included that have gone, and {len(new):,} new ones",
            expected=f"{MOST_SHARDS:,} at most",
            fix="scan into a new folder, or put small files together",
        )
    if new:
        manifest["corpus"]["known"] = number
    group = 1 + max((shard["group"] for shard in shards), default=-1)
    even = sum(shard.bytes for shard in new) // GROUPS_AT_MOST
    limit = max(GROUP_BYTES, min(even, LARGEST_GROUP_BYTES))
    held, held_bytes = 0, 0
    for shard in new:
        if held and (held_bytes + shard.bytes > limit or held == GROUP_SHARDS):
            group, held, held_bytes = group + 1, 0, 0
        fields = dataclasses.asdict(dataclasses.replace(shard, number=number, group=group))
        shards.append(
            {**fields, "active": True, "content_digest": None, "documents": None, "rejected": None}
        )
        number, held, held_bytes = number + 1, held + 1, held_bytes + shard.bytes


def require_unchanged(
    manifest: dict[str, Any], *, verify: bool = False, room: int | None = None
) -> None:
    """Refuse to work on a corpus whose files are no longer those that were scanned.

    What lies at addresses is fetched again where it changed or its copy is gone.

    Args:
        manifest: of the run folder.
        verify: read every file whole, instead of trusting its size, time and tail.
        room: bytes that copies of an address may take; None for what the last command allowed.

    Raises:
        InputError: When a file is changed or missing; it names the first ten.
    """
    shards = active_shards(manifest)
    _fetch_again(manifest, shards, room)
    with ThreadPoolExecutor() as threads:
        same = list(threads.map(is_unchanged, shards))
        if verify:
            digests = {s["number"]: s["content_digest"] for s in manifest["corpus"]["shards"]}
            asked = [digests[shard.number] for shard in shards]
            same = [a and b for a, b in zip(same, threads.map(_holds, shards, asked), strict=True)]
    changed = [shard.name for shard, kept in zip(shards, same, strict=True) if not kept]
    if changed:
        again = "rote scan CORPUS... --out RUN"
        raise InputError(
            "The corpus changed after it was scanned.",
            where=", ".join(changed[:10]),
            found=f"{len(changed)} changed or missing files",
            fix=f"scan again: {again}{' --verify' if verify else ''}",
        )


def _fetch_again(manifest: dict[str, Any], shards: Sequence[Shard], room: int | None) -> None:
    """Bring the copies of what lies at addresses up to date, where the scan left them."""
    for root in filter(is_address, manifest["corpus"]["roots"]):
        more = further(InputConfig(**manifest["config"]["input"]))
        found = (scratch_of(root, shard.path) for shard in shards)
        scratch = next((one for one in found if one is not None), "")
        local_places([root], str(scratch), current().advance, more, room)


def _holds(shard: Shard, digest: str | None) -> bool:
    """Tell whether a shard's file has the bytes of a digest, if that is known."""
    try:
        return digest is None or content_digest(Path(shard.path)) == digest
    except (OSError, InputError):
        return False


def is_unchanged(shard: Shard) -> bool:
    """Tell whether a shard's file is there with the size, time and tail that were recorded."""
    try:
        return identify(Path(shard.path)) == (shard.bytes, shard.mtime_ns, shard.tail_digest)
    except (OSError, InputError):
        return False


def check_places(corpus: Sequence[str], out: Path) -> None:
    """Refuse an output folder inside the corpus, or a corpus inside the output folder.

    Raises:
        ConfigError: When one lies inside the other.
    """
    target = out.resolve()
    for root in filter(lambda one: not is_address(one), corpus):
        place = Path(root).resolve()
        inside = target == place or place in target.parents
        if inside or (target in place.parents and target.exists()):
            raise ConfigError(
                "The output folder and the corpus lie inside one another.",
                where=f"--out {out}",
                found=f"corpus {root}",
                fix="name an output folder outside the corpus",
            )
