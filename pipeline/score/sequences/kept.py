"""Proxies that are kept: those of the last scoring, while little of their sample has changed.

What they were taught is what they saw then (`pipeline.score.sequences.taught`), their plants and
what these show are theirs; which sequences there are, and how often, is of the corpus of now. So a
run whose proxies were kept depends on its history: another first scan would have trained others.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from pipeline.engine.forgotten import forgotten_texts
from pipeline.engine.progress import current
from pipeline.engine.stage import Work
from pipeline.engine.tables import read_table
from pipeline.score.sequences.catalogue import Catalogue, text_keys
from pipeline.score.sequences.models import MANIFEST, MODELS, PROXIES, read_proxies
from pipeline.score.sequences.sampling import Sample
from pipeline.score.sequences.taught import Lesson, changed_share, read_lesson
from schemas.score.dynamics import DYNAMICS
from schemas.score.plants import PLANTS
from schemas.score.taught import TAUGHT

if TYPE_CHECKING:
    from pipeline.config.sections import ProxyConfig
    from pipeline.score.proxy.ensemble import Proxy
    from pipeline.score.proxy.tokenizer import Language
    from pipeline.score.sequences.training_rows import Text


@dataclass(frozen=True)
class Kept:
    """What is taken over of the last scoring.

    Attributes:
        known: the documents of now.
        proxies: as they were trained.
        language: their tokenizer.
        lesson: what they were taught.
        plants: rows of the table: what they show of their plants.
        dynamics: likewise.
        files: of the models, by name below `models`.
        told: the facts of the last scoring.
        rows: that an epoch taught of the sample.
        share: of the sample's bytes, what would be other text now; None where all is what it was,
            so that a training would give the same proxies.
        texts: those that were read for a training: none.
    """

    known: Catalogue
    proxies: list[Proxy]
    language: Language
    lesson: Lesson
    plants: pa.Table
    dynamics: pa.Table
    files: dict[str, bytes]
    told: dict[str, Any]
    rows: int
    share: float | None
    texts: dict[int, Text] = field(default_factory=dict)

    @property
    def scorings(self) -> int:
        """How many scorings there were since they were trained, with this one."""
        return int(self.told.get("kept", {}).get("scorings", 0)) + 1

    @property
    def facts(self) -> dict[str, Any]:
        """The facts of their training, and that they are kept where another would be made now."""
        facts = {name: self.told[name] for name in ("sample", "plants")}
        if self.share is None:
            return facts
        kept = {"scorings": self.scorings, "share_changed": round(self.share, 6)}
        return facts | {"kept": kept}


def kept(work: Work, known: Catalogue, sample: Sample) -> Kept | None:
    """Return the proxies of the last scoring; None where they are to be trained.

    That is without a last scoring by this code and these settings of the training, where it trained
    none, where they were taught text that is to be forgotten, and where more of its sample changed
    than `proxy.retrain_above`. Where the corpus is the same, only another number of sequences is
    scored, and the bytes are those of a training anew.

    Args:
        work: of the stage.
        known: the documents.
        sample: the families that would be chosen now.
    """
    config = work.config.proxy
    if work.former is None or config.models:
        return None
    paths = {_below(work, name): work.folder / name for name in work.former.tables[MODELS]}
    told = json.loads(paths[PROXIES].read_bytes())
    if not told["proxies"]:
        return None
    as_trained = work.former.unchanged and _is_of_this_machine(told, config)
    if not (as_trained or config.retrain_above):
        return None
    of_sample = json.loads(paths[MANIFEST].read_bytes())
    frequency = np.array(of_sample["token_counts"], np.int64)
    lesson = read_lesson(read_table([work.former_path("taught")], TAUGHT), frequency)
    if np.isin(lesson.text_key, text_keys(forgotten_texts(work))).any():
        current().message("proxies are trained anew: they were taught text that is to be forgotten")
        return None
    share = None if as_trained else changed_share(known, sample, lesson)
    if share is not None and share > config.retrain_above:
        current().message(
            f"proxies are trained anew: {share:.1%} of their sample would be other text now "
            f"(proxy.retrain_above {config.retrain_above:.1%})"
        )
        return None
    return _read(work, known, paths, told, lesson, (of_sample["rows"], share))


def _is_of_this_machine(told: dict[str, Any], config: ProxyConfig) -> bool:
    """Tell whether a training on the same sample would give these proxies, bit by bit."""
    import torch

    from pipeline.score.proxy.ensemble import chosen_device

    here = (str(torch.__version__), chosen_device(config))
    return "kept" not in told and (told["torch"], told["device"]) == here


def _below(work: Work, name: str) -> str:
    """Return the name of a file below `models`."""
    return (work.folder / name).relative_to(work.folder / MODELS).as_posix()


def _read(
    work: Work,
    known: Catalogue,
    paths: dict[str, Path],
    told: dict[str, Any],
    lesson: Lesson,
    numbers: tuple[int, float | None],
) -> Kept:
    """Read what is kept."""
    from pipeline.score.proxy.ensemble import chosen_device
    from pipeline.score.proxy.tokenizer import load_language

    folder = work.folder / MODELS
    found = Kept(
        known,
        read_proxies(folder, told["proxies"], chosen_device(work.config.proxy)),
        load_language(folder / told["proxies"][0]["proxy"], MODELS),
        lesson,
        read_table([work.former_path("plants")], PLANTS),
        read_table([work.former_path("dynamics")], DYNAMICS),
        {
            name: path.read_bytes()
            for name, path in paths.items()
            if name not in (PROXIES, MANIFEST)
        },
        told,
        *numbers,
    )
    if found.share is None:
        current().message("proxies are those of the last scoring: their sample is the same")
        return found
    current().message(
        f"proxies are kept: {found.share:.1%} of their sample would be other text now; scorings "
        f"since their training: {found.scorings}"
    )
    return found
