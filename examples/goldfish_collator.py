"""A collator for transformers that honours the goldfish masks and the masked passages of kept/.

Use it with rows of kept/ that were tokenized with the tokenizer the masks were made for, without
special tokens: `input_ids`, and `loss_mask` (the field of the struct `rote`), of equal lengths.
Positions that are masked get the label -100, which every transformers loss leaves out. A causal
model shifts labels itself, so the mask of a token is that of its being predicted.

    from datasets import load_dataset
    rows = load_dataset("parquet", data_files="my-run/kept/**/*.parquet", split="train")
    rows = rows.map(lambda row: {
        "input_ids": tokenizer(row["text"], add_special_tokens=False)["input_ids"],
        "loss_mask": row["rote"]["loss_mask"],
    })
    Trainer(..., data_collator=GoldfishCollator(tokenizer.pad_token_id, context=1024))
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

IGNORED = -100


@dataclass(frozen=True)
class GoldfishCollator:
    """Pads rows to the longest, and makes labels that leave out what a row's mask leaves out.

    pad: the padding token. context: tokens of a row at most, 0 for all; the rest is cut off.
    """

    pad: int
    context: int = 0

    def __call__(self, rows: Sequence[Mapping[str, Sequence[int]]]) -> dict[str, torch.Tensor]:
        """Return input_ids, attention_mask and labels, [rows, longest]."""
        for row in rows:
            if len(row["input_ids"]) != len(row["loss_mask"]):
                raise ValueError(
                    f"{len(row['input_ids'])} tokens but a loss mask over {len(row['loss_mask'])}: "
                    "tokenize with the tokenizer of the masks, without special tokens"
                )
        most = self.context or max((len(row["input_ids"]) for row in rows), default=0)
        length = min(most, max((len(row["input_ids"]) for row in rows), default=0))
        ids = torch.full((len(rows), length), self.pad)
        attention = torch.zeros((len(rows), length), dtype=torch.long)
        labels = torch.full((len(rows), length), IGNORED)
        for place, row in enumerate(rows):
            own = torch.tensor(row["input_ids"][:length], dtype=torch.long)
            counts = torch.tensor(row["loss_mask"][:length], dtype=torch.bool)
            ids[place, : len(own)] = own
            attention[place, : len(own)] = 1
            labels[place, : len(own)] = torch.where(counts, own, IGNORED)
        return {"input_ids": ids, "attention_mask": attention, "labels": labels}
