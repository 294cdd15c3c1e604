"""The state of a running back-test: its corpus, its models and where they are stored."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa
from tokenizers import Tokenizer

from pipeline.backtest.corpus.subject import Subject
from pipeline.backtest.ledger import Ledger, Output
from pipeline.backtest.sizes import Size
from pipeline.backtest.training.trainings import Trainer, Training
from pipeline.config.sections import Config
from pipeline.score.proxy.pool import WorkerPool


@dataclass(frozen=True)
class BacktestRun:
    """What every step of a running back-test needs.

    Attributes:
        ledger: the folder of the back-test with its outputs.
        size: how large it is.
        config: the settings of the run, with the proxies of the size.
        corpus: the output with its texts.
        subject: what models learn from and are scored on.
        tokenizer: the tokenizer of all its models.
        pool: the threads that train and score.
    """

    ledger: Ledger
    size: Size
    config: Config
    corpus: Output
    subject: Subject
    tokenizer: Tokenizer
    pool: WorkerPool

    @property
    def vocabulary(self) -> int:
        """The number of tokens of the vocabulary."""
        return int(self.tokenizer.get_vocab_size())

    @property
    def trainer(self) -> Trainer:
        """The worker that trains and scores."""
        return Trainer(self.ledger, self.config.proxy, self.pool)


@dataclass(frozen=True)
class TrainedModels:
    """The trained models and their scores.

    Attributes:
        trainings: what was trained.
        outputs: the output of each training.
        models: the scores of each model at a mark, by `model/mark`.
    """

    trainings: list[Training]
    outputs: list[Output]
    models: dict[str, pa.Table]
