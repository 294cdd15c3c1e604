"""Give columns other types.

Arrow takes nulls for other ones where it casts them to the type that they have, a list of nulls for
one, and reads beyond their end (26.0). So what has its type is left as it is.
"""

from __future__ import annotations

import pyarrow as pa


def in_type(values: pa.Array, kind: pa.DataType) -> pa.Array:
    """Return values in a type."""
    return values if values.type == kind else values.cast(kind)


def in_types(rows: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """Return the columns of a schema, in its order, in its types."""
    arrays = [in_type(rows.column(field.name), field.type) for field in schema]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def holds_nulls(kind: pa.DataType) -> bool:
    """Tell whether a type is that of nulls, or has them in it."""
    inner = [kind.field(place).type for place in range(kind.num_fields)]
    return bool(pa.types.is_null(kind)) or any(holds_nulls(one) for one in inner)
