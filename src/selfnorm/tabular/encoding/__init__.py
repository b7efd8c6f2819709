"""What a table's columns and its target become: features of mean 0 and variance 1."""
