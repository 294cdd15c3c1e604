"""Filter a scanned corpus: decide about every row, then write the shards that are kept."""
