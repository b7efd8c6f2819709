"""How selfnorm's estimators rank among today's methods on tables: `python -m benchmarks.tabular`.

`tasks` and `regression` say on what, `methods` and `networks` who, `runs` measures and keeps each
result as a line of JSON, `judge` ranks, `ablations` compares variants of our own estimator.
"""
