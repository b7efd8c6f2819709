"""Tables larger than memory: parts read block by block, and what they teach of their columns."""
