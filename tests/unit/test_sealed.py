"""Plain objects that tell whether they are as they were written."""

from pipeline.sealed import sealed, unsealed


def test_only_what_was_sealed_is_unsealed():
    """Text in any script comes back; other bytes give nothing."""
    name = "\u00e9\n\udcff"  # the last is how Python holds a byte that is no UTF-8
    assert unsealed(sealed({"a": name})) == {"a": name}
    assert unsealed(b"{}") is None
    assert unsealed(sealed({"a": 1}) + b" ") is None
