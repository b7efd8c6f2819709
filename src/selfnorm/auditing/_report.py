"""The result of an audit."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from selfnorm import _extras
from selfnorm._files import write_file
from selfnorm.auditing._finding import Finding
from selfnorm.auditing._groups import count
from selfnorm.errors import MissingPackageError, UnsupportedError
from selfnorm.recording import Features, Layer, Recording
from selfnorm.recording._layer import CURVE, is_strange
from selfnorm.recording._recording import WEIGHTED

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure
    from rich.console import Console, ConsoleOptions, RenderResult

_SCALARS = (
    "name", "module", "kind", "role", "activation", "use", "inputs", "shape", "dtype", "mean",
    "variance", "dead", "saturated", "kurtosis", "correlation", "correlation_size", "non_finite",
    "gradient", "gradient_in", "gradient_norm", "data_gain",
)  # fmt: skip


@dataclass(frozen=True)
class Report:
    """What an audit found. `print` shows it; so does a notebook.

    Attributes:
        recording: Everything that was seen: layers, the input's features, what did not run.
        findings: Errors first, then warnings, then notes; causes before their effects.
    """

    recording: Recording
    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """Whether there is neither an error nor a warning."""
        return all(finding.severity == "note" for finding in self.findings)

    @property
    def layers(self) -> tuple[Layer, ...]:
        """What was recorded, in the order of the forward pass."""
        return self.recording.layers

    @property
    def features(self) -> tuple[Features, ...]:
        """The moments of what the model is given."""
        return self.recording.features

    @property
    def fan_in(self) -> dict[str, int]:
        """How many terms a unit sums, of the weights that `initialize_` does not know, by name.

        These are weights of layers of one's own, known by the products that they were seen in:
        `selfnorm.init.initialize_(model, fan_in=report.fan_in)` draws them, too.
        """
        found: dict[str, int] = {}
        for layer in self.layers:
            for weights in layer.weights if layer.role in WEIGHTED else ():
                if is_strange(weights):
                    found.setdefault(weights.name, weights.fan_in)
        return found

    def counts(self) -> dict[str, int]:
        """How many findings there are of each severity."""
        return count(self.findings)

    def full(self) -> str:
        """All of it as text: each finding with its reason, every module, every layer.

        `print(report)` is one screen of that, which begins with what to do.
        """
        from selfnorm.auditing._text import full  # noqa: PLC0415 - rich, for terminals alone

        return full(self.recording, self.findings)

    def to_dict(self) -> dict[str, Any]:
        """Plain Python values, ready for `json.dumps`; what is not a number is None.

        Of weights and units it holds means and deviations, not every value.
        """
        return {
            "model": self.recording.model,
            "ok": self.ok,
            "rows": self.recording.rows,
            "findings": [
                {f.name: _plain(getattr(finding, f.name)) for f in fields(finding)}
                for finding in self.findings
            ],
            "inputs": [_features_dict(f) for f in self.features],
            "layers": [_layer_dict(layer) for layer in self.layers],
            "unused": dict(self.recording.unused),
        }

    def to_json(self) -> str:
        """`to_dict` as text."""
        return json.dumps(self.to_dict(), indent=2)

    def to_frame(self) -> "pd.DataFrame":
        """A pandas table with one row a layer.

        Raises:
            UnsupportedError: pandas is not installed.
        """
        try:
            import pandas as pd  # noqa: PLC0415 - optional
        except ImportError:
            raise UnsupportedError(
                "to_frame makes a pandas table, and pandas is not installed. "
                "Install pandas, or use to_dict."
            ) from None
        rows = [_layer_dict(layer) for layer in self.layers]
        for row in rows:
            weights = row.pop("weights")
            row["omega"] = weights[0]["omega_rms"] if weights else None
            row["tau"] = weights[0]["tau_mean"] if weights else None
            row["fan_in"] = weights[0]["fan_in"] if weights else None
            row.pop("settings")
        return pd.DataFrame(rows)

    def to_html(self, path: str | Path | None = None) -> str:
        """One page that holds everything: findings, figures, layers. No script, nothing to fetch.

        Args:
            path: Where to write it; only returned if None.

        Raises:
            MissingPackageError: Jinja2 is not installed.
            OSError: The file cannot be written; one that stood there is as before.
        """
        with _extras.told():
            from selfnorm.auditing._html import page  # noqa: PLC0415 - Jinja2, for pages alone
        text = page(self.recording, self.findings)
        if path is not None:
            write_file(Path(path), text.encode())
        return text

    def plot(self) -> "Figure":
        """Variance and gradient size by layer, omega and tau of the weights: a matplotlib figure.

        In a notebook the figure shows itself; elsewhere `figure.savefig`.
        """
        from selfnorm.auditing._charts import audit_charts  # noqa: PLC0415 - as the next one

        with _extras.told():
            from selfnorm.plots._draw import draw  # noqa: PLC0415 - matplotlib is slow to import
        return draw(audit_charts(self.layers))

    def _repr_html_(self) -> str | None:
        try:
            with _extras.told():
                from selfnorm.auditing._html import fragment  # noqa: PLC0415 - as above
        except MissingPackageError:
            return None  # the notebook shows the text
        return fragment(self.recording, self.findings)

    def __rich_console__(self, console: "Console", options: "ConsoleOptions") -> "RenderResult":
        from selfnorm.auditing._text import render  # noqa: PLC0415 - rich, for terminals alone

        yield from render(self.recording, self.findings)

    def __str__(self) -> str:
        from selfnorm.auditing._text import brief  # noqa: PLC0415 - as above

        return brief(self.recording, self.findings)

    def __repr__(self) -> str:
        counts = ", ".join(f"{n} {name}s" for name, n in self.counts().items())
        return f"Report({self.recording.model}, {len(self.layers)} layers: {counts})"


@np.errstate(invalid="ignore", over="ignore")  # a layer may hold infinities
def _layer_dict(layer: Layer) -> dict[str, Any]:
    found = {name: _plain(getattr(layer, name)) for name in _SCALARS}
    for name in ("predicted", "local"):
        moments = getattr(layer, name)
        found[f"{name}_mean"] = None if moments is None else _plain(moments.mean)
        found[f"{name}_variance"] = None if moments is None else _plain(moments.variance)
    found["bias_rms"] = _plain(np.sqrt(np.mean(layer.bias**2))) if len(layer.bias) else None
    found["weights"] = [
        {
            "name": weights.name,
            "shape": list(weights.shape),
            "fan_in": weights.fan_in,
            "omega_mean": _plain(weights.omega.mean()),
            "omega_rms": _plain(np.sqrt(np.mean(weights.omega**2))),
            "tau_mean": _plain(weights.tau.mean()),
            "tau_deviation": _plain(weights.tau.std()),
            "gram_error": _plain(weights.gram_error),
        }
        for weights in layer.weights
    ]
    found["settings"] = {k: _plain(value) for k, value in layer.settings.items() if k != CURVE}
    return found


def _features_dict(found: Features) -> dict[str, Any]:
    return {
        f.name: _plain(getattr(found, f.name))
        for f in fields(found)
        if f.name not in {"means", "variances"}
    }


def _plain(value: Any) -> Any:
    """As JSON has it: numbers that are none become None."""
    if isinstance(value, tuple | list):
        return [_plain(part) for part in value]
    if isinstance(value, Mapping):
        return {str(key): _plain(part) for key, part in value.items()}
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
