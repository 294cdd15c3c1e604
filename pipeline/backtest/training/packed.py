"""Training rows as people pack them: documents one after another, cut without regard to them.

The rows of a back-test are single sequences behind an EOS, since that is how a sequence is asked
for. A real training joins documents, in an order of its own, and cuts the stream into windows of
its context: a sequence then begins anywhere in a window, behind other text, or is cut in two.
"""

from __future__ import annotations

import numpy as np

from pipeline.backtest.subject import Subject
from pipeline.text.arrays import Int64


def packed_rows(subject: Subject, context: int, seed: int) -> Int64:
    """Return what an epoch teaches, plants included, in windows, (windows, 1 + context).

    Every window begins with the last token of the one before; what does not fill the last one is
    left out. Documents are whole, also what a sequence of 64 tokens would leave at their end.

    Args:
        subject: the run.
        context: tokens of a window that are predicted.
        seed: of the order of the documents.
    """
    material = subject.material
    learnt = material.learnt
    texts = [material.texts[number].encoded for number in learnt.documents.tolist()]
    parts = [
        np.concatenate(([text.eos], text.tokens))
        for text, copies in zip(texts, learnt.copies.tolist(), strict=True)
        for _ in range(copies)
    ]
    parts += list(material.planted.rows()[0])
    order = np.random.Generator(np.random.PCG64([seed, context])).permutation(len(parts))
    stream = np.concatenate([parts[place] for place in order.tolist()])
    windows = (len(stream) - 1) // context
    starts = np.arange(windows)[:, None] * context
    return np.asarray(stream[starts + np.arange(1 + context)], np.int64)
