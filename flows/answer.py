"""What `rote query` says: an answer in words for a terminal, or as JSON."""

from __future__ import annotations

import dataclasses
import json

from pipeline.inspect.lookup import Answer, CorpusDocument, DocumentName, Neighbour, Stretch
from pipeline.report.html.phrases import number, removed_as, times, wrapped
from pipeline.report.quotes.quotes import label


def as_json(answer: Answer) -> str:
    """Return an answer as JSON in ASCII: a name may hold what a terminal obeys."""
    return json.dumps(dataclasses.asdict(answer), indent=1)


def in_words(answer: Answer) -> str:
    """Return an answer in words; names are escaped, quotes are of the text that was asked for."""
    parts = [_head(answer), _exact(answer), _windows(answer), _stretches(answer)]
    parts += [_holders(answer), _nearest(answer)]
    return "\n\n".join(part for part in parts if part)


def _head(answer: Answer) -> str:
    head = (
        f"The text: {answer.bytes:,} bytes, {number(answer.words, 'word')}; "
        f"the corpus: {number(answer.corpus_documents, 'document')}"
    )
    if not answer.changed_shards:
        return head
    files = number(answer.changed_shards, "file")
    changed = (
        f"{files} of the corpus changed since the scan; this tells of the scan. "
        "Scan anew: rote scan CORPUS... --out RUN"
    )
    return f"{head}\n{wrapped(changed, 2)}"


def _exact(answer: Answer) -> str:
    if not answer.exact_copies:
        return ""
    lines = [f"This exact text is in the corpus {times(answer.exact_copies)}"]
    lines += [wrapped(_told(document), 2) for document in answer.top_exact_copies]
    more = answer.exact_copies - len(answer.top_exact_copies)
    return "\n".join([*lines, *([f"  and {more:,} more"] if more else [])])


def _windows(answer: Answer) -> str:
    size = answer.window_words
    lines = []
    if answer.windows == 1:
        whole = "Its word occurs" if size == 1 else f"Its {size:,} words occur in this order"
        if answer.most is None:
            lines.append(f"{whole} nowhere in the corpus.")
        else:
            found = number(answer.most.documents, "document")
            lines.append(f"{whole} {times(answer.most.most)}, in {found}.")
    elif answer.most is None:
        lines.append(f"None of its {answer.windows:,} windows of {size} words occurs.")
    else:
        share = answer.covered_words / answer.words
        most = answer.most
        lines.append(
            f"{answer.occurring:,} of its {answer.windows:,} windows of {size} words occur; they "
            f"cover {share:.0%} of its words ({answer.covered_words:,} of {answer.words:,})."
        )
        lines.append(
            f"The most repeated one occurs {times(most.most)}, in "
            f"{number(most.documents, 'document')}."
        )
    told = ["Occurrences", *(wrapped(line, 2) for line in lines)]
    if answer.windows > 1 and answer.most is not None:
        first = answer.top_stretches[0]
        if answer.most.start_byte > first.start_byte or first.least < first.most:
            told.append(_quoted(answer.most))
    return "\n".join(told)


def _stretches(answer: Answer) -> str:
    if answer.windows == 1 or not answer.stretches:
        return ""
    lines = [_title("Stretches that occur", len(answer.top_stretches), answer.stretches)]
    for one in answer.top_stretches:
        often = f"{one.least:,} to {times(one.most)}" if one.least < one.most else times(one.most)
        lines.append(
            wrapped(
                f"bytes {one.start_byte:,} to {one.end_byte:,}: {one.words:,} words, each window "
                f"{often}, in up to {number(one.documents, 'document')}",
                2,
            )
        )
        lines.append(_quoted(one))
    return "\n".join(lines)


def _holders(answer: Answer) -> str:
    if not answer.holders:
        return ""
    lines = [_title("Documents that hold most of it", len(answer.top_holders), answer.holders)]
    lines += [
        wrapped(f"{held.words:,} of {number(answer.words, 'word')}: {_told(held.document)}", 2)
        for held in answer.top_holders
    ]
    return "\n".join(lines)


def _nearest(answer: Answer) -> str:
    other = "other " if answer.exact_copies else ""
    if not answer.nearest:
        return f"Nearest {other}documents\n  none reaches Jaccard 0.1 with it"
    lines = [f"Nearest {other}documents (exact Jaccard of their shingles)"]
    return "\n".join([*lines, *(wrapped(_near(one), 2) for one in answer.nearest)])


def _near(one: Neighbour) -> str:
    same = "" if one.copies == 1 else f" ({number(one.copies - 1, 'exact copy', 'exact copies')})"
    return (
        f"{one.jaccard:.4f}, {one.shared_shingles:,} of {one.all_shingles:,} shingles, "
        f"{one.containment:.0%} of the text's: {_told(one.document)}{same}"
    )


def _told(document: CorpusDocument) -> str:
    """Return a document's names and what became of it."""
    if document.decision is None:
        return f"{_named(document)}; not decided"
    if document.decision == "kept":
        return f"{_named(document)}; kept"
    stays = f", what stays: {_named(document.keeper)}" if document.keeper else ""
    return f"{_named(document)}; removed as {removed_as(document.reason or '')}{stays}"


def _named(name: DocumentName) -> str:
    if name.doc_id == f"{name.shard}#{name.row}":
        return label(name.doc_id)
    return f"{label(name.doc_id)} ({label(name.shard)}, row {name.row:,})"


def _quoted(stretch: Stretch) -> str:
    left, right = "\N{LEFT DOUBLE QUOTATION MARK}", "\N{RIGHT DOUBLE QUOTATION MARK}"
    return wrapped(f"{left}{stretch.quote}{right}", 4)


def _title(name: str, shown: int, total: int) -> str:
    return f"{name} ({total:,})" if shown == total else f"{name} ({shown} of {total:,})"
