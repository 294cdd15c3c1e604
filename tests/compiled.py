"""Compile the loops that a scan, a filter and a question need: half a minute, once.

    python -m tests.compiled

Started before the tests, so that no two of their processes compile the same.
"""

import json
import random
import tempfile
from pathlib import Path

from flows.runners import LocalMapper
from pipeline import run
from pipeline.config.load import load_config
from pipeline.inspect.lookup import lookup

ALIKE = 200  # near copies: more than the cap of a bucket
SETTINGS = (
    "limits.workers=1",
    'policy.rules=["drop-copies", "cut-spans", "mask-personal"]',
    "near.containment=0.9",
)


def texts(draw: random.Random) -> list[str]:
    """Return near copies of one text, and texts that have another in them."""
    words = [f"w{draw.randrange(10**6)}" for _ in range(120)]
    alike = [" ".join([*words, f"end{number}"]) for number in range(ALIKE)]
    apart = [" ".join([f"a{number}x{place}" for place in range(80)]) for number in range(2)]
    mixed = f"{apart[0]} {' '.join(words[:60])} naïve 漢字 a.person@example.org"
    return [*alike, *apart, mixed]


def main() -> None:
    """Scan and filter a tiny corpus twice, the second time with one more file; ask for a text."""
    draw = random.Random(1)  # noqa: S311 - words for loops
    with tempfile.TemporaryDirectory() as folder:
        corpus, out = Path(folder, "corpus"), Path(folder, "run")
        corpus.mkdir()
        for number in range(2):
            rows = [json.dumps({"text": text}) for text in texts(draw)]
            (corpus / f"{number}.jsonl").write_text("\n".join(rows))
            config = load_config(settings=SETTINGS)
            with run.session(out, config, LocalMapper(1), corpus=[str(corpus)]) as session:
                run.scan(session)
                run.filter_rows(session)
        lookup(out, texts(draw)[0].encode())


if __name__ == "__main__":
    main()
