"""How a table is declared: its grain, then fields that each have a unit and a meaning."""

import pyarrow as pa


def field(
    name: str, kind: pa.DataType, doc: str, *, unit: str = "", nullable: bool = False
) -> pa.Field:
    """Return one column: its meaning and unit travel in the Arrow field metadata."""
    return pa.field(name, kind, nullable=nullable, metadata={"doc": doc, "unit": unit})


def table(name: str, version: int, grain: str, fields: list[pa.Field]) -> pa.Schema:
    """Return a table's schema; a changed meaning of any field bumps `version`."""
    return pa.schema(fields, metadata={"table": name, "version": str(version), "grain": grain})
