"""What the Hugging Face hub keeps about columns in a schema, extended by the column of rote."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa

from pipeline.corpus.columns import is_list

KEY = b"huggingface"
DTYPES = {"double": "float64", "float": "float32", "halffloat": "float16"}


def with_rote(
    metadata: dict[bytes, bytes] | None, name: str, kind: pa.DataType
) -> dict[bytes, bytes]:
    """Return the metadata of a schema for its file with one column more.

    The features of the user's columns stay as they were, so that a label is still a class with
    names. What is no such description is left out, since its reader would fail on it.

    Args:
        metadata: of the user's schema.
        name: of the column that is added.
        kind: of that column.
    """
    found = dict(metadata or {})
    if KEY not in found:
        return found
    try:
        about = json.loads(found.pop(KEY))
        features = about["info"]["features"]
    except (ValueError, TypeError, KeyError):
        return found
    if isinstance(features, dict):
        about["info"]["features"] = {**features, name: _feature(kind)}
        found[KEY] = json.dumps(about, ensure_ascii=False).encode()
    return found


def _feature(kind: pa.DataType) -> Any:  # noqa: ANN401 - JSON
    """Return the description of a type in the words of the library datasets."""
    if pa.types.is_struct(kind):
        fields = [kind.field(place) for place in range(kind.num_fields)]
        return {field.name: _feature(field.type) for field in fields}
    if is_list(kind):
        return [_feature(kind.value_type)]
    return {"dtype": DTYPES.get(str(kind), str(kind)), "_type": "Value"}
