"""The third act: decide about every row and write the filtered shards."""
