import hashlib

import numpy as np
import pyarrow as pa
import pytest

from pipeline.scan.components import components, smallest_hash

NEAR = "a b c d e f g h i j"


def named(*texts):
    """Return the name of a family of texts: the smallest of their hashes."""
    return min(hashlib.blake2b(text.encode(), digest_size=16).hexdigest() for text in texts)


def edges(*pairs):
    """Return a table of edges."""
    return pa.table({"a": pa.array([p[0] for p in pairs], pa.uint64()),
                     "b": pa.array([p[1] for p in pairs], pa.uint64())})  # fmt: skip


def test_components_join_over_all_tables():
    """Edges of several tables chain; a document without edge is alone."""
    keys = np.array([1, 5, 7, 9, 2**63], np.uint64)
    labels = components(keys, [edges((1, 7)), edges((7, 2**63)), edges()])
    assert labels[0] == labels[2] == labels[4]
    assert len({labels[0], labels[1], labels[3]}) == 3


def test_no_documents_have_no_components():
    """An empty corpus is no error."""
    assert components(np.zeros(0, np.uint64), [edges()]).tolist() == []
    assert (
        smallest_hash(np.zeros(0, np.int32), pa.chunked_array([], pa.binary(16))).to_pylist() == []
    )


def test_a_component_is_named_after_its_smallest_hash():
    """Bytes compare as unsigned and big-endian, over chunks and slices."""
    values = [b"\xff" * 16, b"\x01" + b"\xff" * 15, b"\x01" + b"\xfe" * 15, b"\x80" * 16]
    chunks = [
        pa.array([b"skip" * 4, *values[:2]], pa.binary(16))[1:],
        pa.array(values[2:], pa.binary(16)),
    ]
    names = smallest_hash(np.array([1, 0, 0, 1]), pa.chunked_array(chunks)).to_pylist()
    low, high = (b"\x01" + b"\xfe" * 15).hex(), (b"\x80" * 16).hex()
    assert names == [high, low, low, high]


def test_families_join_copies_pairs_and_shared_windows(tmp_path, make_corpus, scan):
    """Exact copies, a pair at 0.5 and a shared window link; words in common alone do not."""
    texts = [
        NEAR,  # 0
        f"{NEAR} k",  # 1: a near copy of 0
        "x1 x2 x3 x4 x5 x6 x7 x8 x9",  # 2: alone but for its copy
        "x1 x2 x3 x4 x5 x6 x7 x8 x9",  # 3
        "p1 p2 p3 p4 p5 p6 a b c d e f g",  # 4: shares the window `a .. g` with 0, at a low Jaccard
        "a c e g i",  # 5: words of 0 in another order
    ]
    corpus = make_corpus(tmp_path / "c", {"a.jsonl": texts})
    done = scan(corpus, tmp_path / "run", "window.words=6", filtered=False)
    joined, copies = named(texts[0], texts[1], texts[4]), named(texts[2])
    assert done.rows("families", "row_key", "family") == [
        (0, joined),
        (1, joined),
        (2, copies),
        (3, copies),
        (4, joined),
        (5, named(texts[5])),
    ]
    assert done.manifest["outputs"]["families/all"]["facts"] == {"families": 3}


@pytest.mark.parametrize(("limit", "families"), [(3, 1), (2, 3)])
def test_a_window_in_too_many_documents_does_not_link(tmp_path, make_corpus, scan, limit, families):
    """A boilerplate window in more than `window.link_documents` documents makes no family."""
    texts = [f"a b c d e {' '.join(f'{side}{n}' for n in range(20))}" for side in "xyz"]
    corpus = make_corpus(tmp_path / "c", {"a.jsonl": texts})
    settings = ("window.words=5", f"window.link_documents={limit}")
    done = scan(corpus, tmp_path / "run", *settings, filtered=False)
    assert len(set(done.table("families")["family"].to_pylist())) == families
