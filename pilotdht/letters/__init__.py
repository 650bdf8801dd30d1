"""Letters: short sealed words for peers that are away, kept by other nodes until they are back."""
