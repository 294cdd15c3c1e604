"""Words, hashes and MinHash signatures of texts in Arrow arrays."""
