"""The audit of a Keras model says what torch's audit says of the same network."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import selfnorm
from selfnorm.errors import ArgumentError, AuditError, UnsupportedError
from support.kerased import require_keras, sequential
from support.pairs import (
    FIGURES,
    PAIRS,
    WIDTH,
    X,
    arrays,
    assert_alike,
    in_torch,
    layers,
    verdict,
)
from support.tolerances import ORTHOGONAL

require_keras()

import keras

import selfnorm.keras as sn

L = keras.layers
LECUN = {"kernel_initializer": "lecun_normal"}
SELU = {"activation": "selu", **LECUN}


def square(y: Any) -> Any:
    return keras.ops.mean(keras.ops.square(y))


@pytest.mark.parametrize("name", list(PAIRS))
def test_pairs_of_networks(name: str) -> None:
    change, activation, x = PAIRS[name]
    found = layers(3, change)
    ours = sn.audit(sequential(arrays(found), activation), x, loss=square)
    theirs = selfnorm.audit(
        in_torch(found, activation), torch.from_numpy(x), loss=lambda y: y.square().mean()
    )
    assert_alike(ours, theirs)
    assert "torch." not in " ".join(finding.fix for finding in ours.findings)
    assert "selfnorm.nn" not in " ".join(finding.fix for finding in ours.findings)
    assert str(ours)


ON_JAX = """
import json, sys
class Finder:
    def find_spec(name, path=None, target=None):
        if name == "torch":
            raise ModuleNotFoundError("not here", name=name)
sys.meta_path.insert(0, Finder)
import numpy as np
import keras
import selfnorm.keras as sn
from support.kerased import sequential
found = {}
held = np.load(sys.argv[1])
for name in sys.argv[2:]:
    parts = [(held[f"{name}/{i}/kernel"], held[f"{name}/{i}/bias"]) for i in range(3)]
    model = sequential(parts, str(held[f"{name}/activation"]))
    report = sn.audit(model, held[f"{name}/x"], loss=lambda y: keras.ops.mean(keras.ops.square(y)))
    found[name] = {
        "verdict": [(f.rule, f.severity) for f in report.findings],
        "figures": [[k.mean, k.variance, k.gradient, k.data_gain, k.tau] for k in report.layers],
    }
own = [keras.layers.Conv1D(8, 2, bias_initializer="ones"), keras.layers.Dense(4)]
model = keras.Sequential([keras.Input((6, 8)), *own])
sn.initialize(model, distribution="orthogonal", seed=1)
orthogonal = [np.asarray(k.kernel, np.float64).reshape(-1, k.kernel.shape[-1]) for k in own]
sn.initialize(model, exact=True)
exact = [np.asarray(k.kernel, np.float64).reshape(-1, k.kernel.shape[-1]) for k in own]
found["initialized"] = {
    "gram": [float(abs(k.T @ k - np.eye(k.shape[1])).max()) for k in orthogonal],
    "sums": [float(abs(k.sum(0)).max()) for k in exact],
    "squares": [float(abs((k**2).sum(0) - 1).max()) for k in exact],
    "bias": float(abs(np.asarray(own[0].bias)).max()),
}
print(json.dumps(found))
"""


def test_the_same_on_jax_without_torch(tmp_path: Path) -> None:
    names = ["by hand", "torch's default", "dead"]
    held: dict[str, Any] = {}
    theirs = {}
    for name in names:
        change, activation, x = PAIRS[name]
        found = layers(3, change)
        held |= {f"{name}/activation": activation, f"{name}/x": x}
        for i, (kernel, bias) in enumerate(arrays(found)):
            held |= {f"{name}/{i}/kernel": kernel, f"{name}/{i}/bias": bias}
        theirs[name] = sn.audit(sequential(arrays(found), activation), x, loss=square)
    np.savez(tmp_path / "table.npz", **held)
    outcome = subprocess.run(
        [sys.executable, "-c", ON_JAX, str(tmp_path / "table.npz"), *names],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"KERAS_BACKEND": "jax", "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert outcome.returncode == 0, outcome.stderr
    ours = json.loads(outcome.stdout)
    initialized = ours.pop("initialized")
    assert max(initialized["gram"] + initialized["sums"] + initialized["squares"]) < ORTHOGONAL
    assert initialized["bias"] == 0
    for name, report in theirs.items():
        assert [tuple(pair) for pair in ours[name]["verdict"]] == verdict(report)
        figures = [[k.mean, k.variance, k.gradient, k.data_gain, k.tau] for k in report.layers]
        np.testing.assert_allclose(
            ours[name]["figures"], figures, rtol=FIGURES, atol=FIGURES, err_msg=name
        )


class Block(L.Layer):
    """Somebody's own, over `keras.ops`, with one dropout that is off."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dense = L.Dense(WIDTH, name="dense", **LECUN)
        self.drop, self.off = L.AlphaDropout(0.1, name="drop"), L.AlphaDropout(0.9)

    def call(self, x: Any, training: bool = False) -> Any:
        h = keras.activations.selu(self.dense(x))
        h = self.off(self.drop(h, training=training), training=False)
        return 0.5**0.5 * (x + h)


class Native(L.Layer):
    """What looks at the values of tensors."""

    def call(self, x: Any) -> Any:
        return x if float(keras.ops.stop_gradient(keras.ops.max(x))) > 0 else -x


class Net(keras.Model):
    """A subclassed model with a weight of its own and a layer that it does not use."""

    def __init__(self) -> None:
        super().__init__()
        self.block, self.native = Block(name="block"), Native(name="native")
        self.head = L.Dense(3, name="head", **LECUN)
        self.own = self.add_weight(shape=(WIDTH, WIDTH), initializer="lecun_normal", name="own")
        self.spare = L.Dense(4)
        self.spare.build((None, 3))

    def call(self, x: Any, training: bool = False) -> Any:
        x = self.native(self.block(x, training=training))
        x = keras.ops.matmul(x, self.own)
        return self.head(1.0507009873554805 * keras.ops.where(x > 0, x, self.below(x)))

    def below(self, x: Any) -> Any:
        return 1.6732632423543772 * keras.ops.expm1(x)


def test_what_somebody_wrote_is_gone_into() -> None:
    model = Net()
    report = sn.audit(model, X)
    assert [(layer.name, layer.role) for layer in report.layers] == [
        ("block/dense", "linear"),
        ("block/selu()", "activation"),
        ("block/drop", "alpha dropout"),
        ("block/add()", "addition"),
        ("block/multiply()", "scale"),
        ("native", "unknown"),
        ("matmul()", "linear"),
        ("selu()", "activation"),
        ("head", "linear"),
    ]
    found = {layer.name: layer for layer in report.layers}
    assert found["selu()"].activation == "selu"
    assert found["matmul()"].weights[0].fan_in == WIDTH
    assert sum(layer.role == "alpha dropout" for layer in report.layers) == 1
    assert list(report.recording.unused.values()) == ["Dense"]
    assert ("unknown-layer", "note") in verdict(report)


def test_sums_over_neighbors() -> None:
    """By a matrix that is given, by one that the call holds, and by an index."""
    rows = len(X)
    graph = (np.arange(rows)[:, None] // 8 == np.arange(rows) // 8).astype("float32")
    held = keras.ops.convert_to_tensor(graph)
    groups = keras.ops.convert_to_tensor(np.arange(rows) // 8)

    class Given(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.two = L.Dense(WIDTH, **SELU), L.Dense(3, **LECUN)

        def call(self, given: Any) -> Any:
            x, graph = given
            return self.two(keras.ops.matmul(graph, self.one(x)))

    class Holding(Given):
        def call(self, x: Any) -> Any:
            x = keras.ops.matmul(held, self.one(x))
            return self.two(keras.ops.segment_sum(self.one(x), groups, num_segments=rows // 8))

    for report, count in ((sn.audit(Given(), [X, graph]), 1), (sn.audit(Holding(), X), 2)):
        sums = [layer.name for layer in report.layers if layer.role == "aggregation"]
        assert len(sums) == count, report.layers
        assert ("aggregation", "warning") in verdict(report)


def test_layers_of_keras_are_seen_as_what_they_are() -> None:
    inputs = keras.Input((WIDTH,))
    x = L.Dense(WIDTH, **SELU)(inputs)
    x = L.Dropout(0.3)(x)
    x = L.GaussianDropout(0.2)(L.Dense(WIDTH, **SELU)(x))
    x = L.AlphaDropout(0.1)(L.Dense(WIDTH, **SELU)(x))
    x = L.BatchNormalization()(L.Dense(WIDTH, **SELU)(x))
    x = L.Concatenate()([L.Add()([x, inputs]), L.Multiply()([x, inputs])])
    outputs = [L.Dense(3, activation="softmax")(x), L.Dense(1)(x)]
    model = keras.Model(inputs, outputs)
    before = [variable.numpy().copy() for variable in model.variables]
    nodes = [len(layer._inbound_nodes) for layer in model.layers]
    report = sn.audit(model, X)
    assert [layer.role for layer in report.layers] == [
        *("linear", "activation", "dropout") * 2,
        *("linear", "activation", "alpha dropout", "linear", "activation", "normalization"),
        *("addition", "product", "concatenation", "linear", "activation", "linear"),
    ]
    assert report.layers[2].settings["p"] == 0.3
    drops = [finding.module for finding in report.findings if finding.rule == "plain-dropout"]
    assert len(drops) == 2, "Gaussian dropout raises the variance, too"
    assert {"plain-dropout", "leftover-normalization"} <= {f.rule for f in report.findings}
    assert all(layer.gradient > 0 for layer in report.layers)
    for variable, value in zip(model.variables, before, strict=True):
        np.testing.assert_array_equal(variable.numpy(), value, err_msg=variable.path)
    assert [len(layer._inbound_nodes) for layer in model.layers] == nodes


@pytest.mark.parametrize("transposed", [False, True])
def test_convolutions(transposed: bool) -> None:
    torch.manual_seed(0)
    x = torch.randn(16, 4, 6, 6)
    if transposed:
        theirs: Any = torch.nn.ConvTranspose2d(4, 6, 3, stride=2)
        ours: Any = L.Conv2DTranspose(6, 3, strides=2)
        kernel = theirs.weight.detach().permute(2, 3, 1, 0)
    else:
        theirs = torch.nn.Conv2d(4, 8, 3, padding=1, groups=2)
        ours = L.Conv2D(8, 3, padding="same", groups=2)
        kernel = theirs.weight.detach().permute(2, 3, 1, 0)
    selfnorm.init.initialize_(theirs)
    model = keras.Sequential([keras.Input((6, 6, 4)), ours])
    ours.set_weights([kernel.numpy().copy(), theirs.bias.detach().numpy()])
    mine = sn.audit(model, x.permute(0, 2, 3, 1).numpy()).layers[0]
    other = selfnorm.audit(torch.nn.Sequential(theirs), x).layers[0]
    for name in ("mean", "variance", "data_gain", "tau", "omega_size"):
        a, b = getattr(mine, name), getattr(other, name)
        np.testing.assert_allclose(a, b, rtol=FIGURES, atol=FIGURES, err_msg=name)
    assert mine.settings.get("padding", 0) == pytest.approx(other.settings.get("padding", 0))


def test_lint_needs_no_data() -> None:
    wide = [L.Dense(96, activation="selu"), L.Dropout(0.1), L.Dense(32, activation="selu")]
    model = keras.Sequential([keras.Input((32,)), *wide, L.BatchNormalization(), L.Dense(3)])
    found = [(finding.rule, finding.severity) for finding in sn.lint(model)]
    assert found[:2] == [("selu-without-lecun", "error"), ("plain-dropout", "error")]
    assert ("leftover-normalization", "warning") in found
    assert "nan" not in " ".join(map(str, sn.lint(model)))
    right = keras.Sequential([keras.Input((32,)), L.Dense(32, **SELU), L.Dense(3, **LECUN)])
    assert sn.lint(right) == ()
    square = [keras.Input((32,)), L.Dense(32, activation="selu"), L.Dense(3, **LECUN)]
    (note,) = sn.lint(keras.Sequential(square))
    assert (note.rule, note.severity) == ("selu-without-lecun", "note")
    assert "GlorotUniform" in note.seen


def test_what_cannot_be_audited() -> None:
    model = keras.Sequential([keras.Input((WIDTH,)), L.Dense(3, **LECUN)])
    with pytest.raises(UnsupportedError, match="got int"):
        sn.audit(3, X)
    with pytest.raises(ArgumentError, match="at least one row; got none"):
        sn.audit(model, X[:0])
    with pytest.raises(ArgumentError, match=r"got shape \(128, 3\)"):
        sn.audit(model, X, loss=lambda y: y)
    with pytest.raises(ArgumentError, match="Call the model on a batch first"):
        sn.lint(Net())
    with pytest.raises(AuditError, match="not self-normalizing"):
        sn.audit(model, 9 * X, strict=True)

    class Values(keras.Model):
        def call(self, x: Any) -> Any:
            return x if bool(keras.ops.max(x) > 0) else -x

    with pytest.raises(UnsupportedError, match="call of Values raised on symbolic tensors"):
        sn.audit(Values(), X)
