"""All experiments, one after another, and the page: `python -m reproductions`.

Without an option the short form, made for 20 minutes on two cores. What has a result is not run
again. An experiment whose data are not there is left out, and named.
"""

import sys
from collections.abc import Sequence

from reproductions import page
from reproductions._all import EXPERIMENTS
from reproductions._experiment import QUICK, RESULTS, MissingPackageError, lacking, measure, parser


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code: 2 if data or packages were missing."""
    made = parser(__doc__)
    made.add_argument("--only", help="names with commas, instead of all")
    options = made.parse_args(arguments)
    names = options.only.split(",") if options.only else list(EXPERIMENTS)
    if unknown := set(names) - set(EXPERIMENTS):
        made.error(f"no experiment {', '.join(sorted(unknown))}; there are {list(EXPERIMENTS)}")
    results = options.results or (QUICK if options.form == "quick" else RESULTS)
    missing = []
    try:
        for name in names:
            experiment = EXPERIMENTS[name]
            if experiment.lacks(options.data):
                missing.append(name)
                print(f"{name} is left out: {lacking(experiment, options.data)}", flush=True)
                continue
            try:
                measure(experiment, options.form, options.data, results, options.processes)
            except MissingPackageError as error:
                missing.append(name)
                print(f"{name} is left out: {error}", flush=True)
    except KeyboardInterrupt:
        raise SystemExit("Stopped. The same command goes on from here.") from None
    if results == RESULTS:
        page.update()
    return 2 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
