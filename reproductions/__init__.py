"""The tables and figures of Klambauer et al. 2017, measured again, each by one command."""
