"""The corpus on disk: find its files, read their rows as documents, set bad rows apart."""

from pipeline.corpus.columns import Columns, resolve_columns
from pipeline.corpus.documents import DocumentBatch, Rejected
from pipeline.corpus.places import local_places
from pipeline.corpus.plain import text_rows
from pipeline.corpus.readers import (
    check_shard,
    read_documents,
    shard_columns,
    shard_kinds,
    shard_schema,
    text_columns,
)
from pipeline.corpus.shards import Shard, content_digest, find_shards, identify

__all__ = [
    "Columns",
    "DocumentBatch",
    "Rejected",
    "Shard",
    "check_shard",
    "content_digest",
    "find_shards",
    "identify",
    "local_places",
    "read_documents",
    "resolve_columns",
    "shard_columns",
    "shard_kinds",
    "shard_schema",
    "text_columns",
    "text_rows",
]
