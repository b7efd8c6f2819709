"""SELU in the wild: networks as people write them, what an audit says, the mend, and its worth."""
