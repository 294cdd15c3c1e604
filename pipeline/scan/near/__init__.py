"""Near copies: find candidates by their MinHash signatures, then verify each pair on its words."""
