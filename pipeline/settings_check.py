"""Settings that a later stage would refuse are refused here, before a command changes anything."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.config.sections import Config
from pipeline.corpus import check_shard
from pipeline.corpus.columns import check_column
from pipeline.engine.shards import active_shards
from pipeline.errors import ConfigError
from pipeline.filter import contaminated, held
from pipeline.filter.evaluation import evaluation_fields
from pipeline.filter.mitigations.goldfish import load_tokenizer
from pipeline.filter.other_run import other_run
from pipeline.filter.personal.personal import is_asked
from pipeline.installed import require
from pipeline.report.data.comparison import compared_run


def check_score(config: Config) -> None:
    """Refuse models and tokenizers that cannot be loaded, a GPU or a part that is not there.

    Raises:
        ConfigError: When there is one.
    """
    require("score")
    proxy = config.proxy
    if proxy.device == "cuda":
        import torch

        if not torch.cuda.is_available():
            raise ConfigError(
                "There is no GPU that Torch can use.",
                where='proxy.device = "cuda"',
                found=f"Torch {torch.__version__} without CUDA",
                expected="a GPU with its driver, and a build of Torch for it",
                fix="let rote choose: --set proxy.device=auto",
            )
    if proxy.models or proxy.tokenizer:
        from pipeline.score.proxy.pretrained import language_of

        language_of(proxy)


def check_filter(manifest: Mapping[str, Any], config: Config, folder: Path) -> None:
    """Refuse a tokenizer or evaluation file that cannot be read, a taken name, a missing part.

    Args:
        manifest: of the run folder, with the settings of the last command and the shards.
        config: the settings of this one.
        folder: the run folder.

    Raises:
        ConfigError: When the tokenizer is none, another run has other words, or a part is missing.
        SchemaMismatch: When a column has the name of ours.
        InputError: When an evaluation file cannot be read.
    """
    if contaminated.is_asked(config):
        evaluation_fields(config)
    if held.is_asked(config):
        other_run(config, folder)
    if is_asked(config):
        require("personal")
    asked = config.mitigation
    if asked.goldfish_k or asked.memfree_n:
        require("score")
    if asked.tokenizer and (asked.goldfish_k or asked.memfree_n):
        load_tokenizer(config, ())
    column = config.emit.column
    if manifest["config"].get("emit", {}).get("column") != column:  # else the scan has looked
        for shard in active_shards(dict(manifest)):
            check_column(check_shard(shard, config.input), column, shard.name)


def check_report(config: Config) -> None:
    """Refuse a run to compare with that has nothing to compare.

    Raises:
        InputError: When it was not filtered.
        RunFolderError: When it is no run folder of this version.
    """
    compared_run(config)
