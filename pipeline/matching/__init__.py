"""What some given texts and a scanned corpus share, word by word, in one pass over `words`."""
