"""The experiments by name."""

from reproductions import conditions, depth, htru2, since, tox21, uci

EXPERIMENTS = {one.name: one for one in (
    depth.EXPERIMENT, uci.EXPERIMENT, htru2.EXPERIMENT, tox21.EXPERIMENT, conditions.EXPERIMENT,
    since.EXPERIMENT,
)}  # fmt: skip
