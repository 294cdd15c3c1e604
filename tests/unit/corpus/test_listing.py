"""The digest of a corpus' listing: what changes it, and that no file is opened for it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.corpus.listing import listing_digest
from pipeline.errors import InputError


@pytest.fixture
def corpus(tmp_path):
    """Return a corpus of two files."""
    folder = tmp_path / "corpus"
    folder.mkdir()
    for name in ("a.jsonl", "b.jsonl"):
        (folder / name).write_text('{"text": "one two three"}\n')
    return folder


def test_it_changes_when_a_file_comes_goes_grows_or_is_written_anew(corpus):
    """And is the same when nothing of that happens, or another kind of file comes."""
    seen = [listing_digest([str(corpus)])]
    (corpus / "notes.pdf").write_text("no rows")
    (corpus / ".hidden.jsonl").write_text("{}\n")
    assert listing_digest([str(corpus)]) == seen[0]
    (corpus / "c.jsonl").write_text("{}\n")
    seen.append(listing_digest([str(corpus)]))
    with (corpus / "c.jsonl").open("a") as stream:
        stream.write("{}\n")
    seen.append(listing_digest([str(corpus)]))
    os.utime(corpus / "c.jsonl", ns=(1, 1))
    seen.append(listing_digest([str(corpus)]))
    assert len(set(seen)) == 4
    (corpus / "c.jsonl").unlink()
    assert listing_digest([str(corpus)]) == seen[0]


def test_no_file_of_rows_is_opened(corpus):
    """Names, sizes and times are enough; what is opened would be noticed."""
    program = (
        "import sys\n"
        "opened = []\n"
        "sys.addaudithook(lambda event, given: event == 'open' and opened.append(str(given[0])))\n"
        "from pipeline.corpus.listing import listing_digest\n"
        "listing_digest([sys.argv[1]])\n"
        "print([path for path in opened if path.endswith('.jsonl')])\n"
        "open(sys.argv[1] + '/a.jsonl')\n"
        "print(opened[-1].endswith('a.jsonl'))\n"
    )
    said = subprocess.run(
        [sys.executable, "-c", program, str(corpus)],
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        check=True,
    )
    assert said.stdout == "[]\nTrue\n"


def test_an_empty_corpus_is_told(corpus):
    """A corpus without files is an error, as it is for a scan."""
    for path in corpus.iterdir():
        path.unlink()
    with pytest.raises(InputError, match="The corpus folder is empty"):
        listing_digest([str(corpus)])
