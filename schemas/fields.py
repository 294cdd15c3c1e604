"""How a table is declared: its grain, then fields that each have a unit and a meaning."""

import pyarrow as pa


def field(
    name: str,
    kind: pa.DataType,
    doc: str,
    *,
    unit: str = "",
    nullable: bool = False,
    stored: str = "",
) -> pa.Field:
    """Return one column of a table; its meaning and unit travel in the Arrow field metadata.

    Args:
        name: of the column.
        kind: its type.
        doc: its meaning.
        unit: of its numbers, where the name does not say it.
        nullable: whether there may be none.
        stored: "plain" for bytes that do not compress, "delta" for integers that mostly grow; else
            zstd.
    """
    metadata = {"doc": doc, "unit": unit, **({"stored": stored} if stored else {})}
    return pa.field(name, kind, nullable=nullable, metadata=metadata)


def table(name: str, version: int, grain: str, fields: list[pa.Field]) -> pa.Schema:
    """Return the schema of a table.

    A changed meaning of any field bumps `version`.
    """
    return pa.schema(fields, metadata={"table": name, "version": str(version), "grain": grain})
