"""A back-test under way: its corpus, its models and where they are kept."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa
from tokenizers import Tokenizer

from pipeline.backtest.corpus.subject import Subject
from pipeline.backtest.ledger import Ledger, Output
from pipeline.backtest.sizes import Size
from pipeline.backtest.training.trainings import (
    Trainer,
    Training,
)
from pipeline.config.sections import Config
from pipeline.score.proxy.pool import WorkerPool


@dataclass(frozen=True)
class BacktestRun:
    """A back-test under way. config: the run's, with the proxies of the size."""

    ledger: Ledger
    size: Size
    config: Config
    corpus: Output
    subject: Subject
    tokenizer: Tokenizer
    pool: WorkerPool

    @property
    def vocabulary(self) -> int:
        """Return the number of tokens."""
        return int(self.tokenizer.get_vocab_size())

    @property
    def trainer(self) -> Trainer:
        """Return who trains and scores."""
        return Trainer(self.ledger, self.config.proxy, self.pool)


@dataclass(frozen=True)
class TrainedModels:
    """What was trained, and what each model says of every row."""

    trainings: list[Training]
    outputs: list[Output]
    models: dict[str, pa.Table]
