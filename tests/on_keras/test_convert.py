"""Conversion of Keras models beyond exchanged layers: sums, subclassed models, forms of SELU."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from selfnorm.errors import ArgumentError, SelfNormWarning, UnsupportedError
from selfnorm.theory import shaped_selu
from support.kerased import require_keras
from support.statistics import assert_moments, kurtosis_of

require_keras()

import keras

import selfnorm.keras as sn

L = keras.layers
WIDTH = 24
X = np.random.default_rng(3).standard_normal((256, WIDTH)).astype("float32")


def array(tensor: Any) -> np.ndarray:
    return np.asarray(keras.ops.convert_to_numpy(tensor), np.float64)


def whys(changes: Any) -> dict[str, str]:
    return {change.before: change.why for change in changes.left}


def test_sums_keep_the_variance() -> None:
    inputs = keras.Input((WIDTH,))
    x = inputs
    for _ in range(4):
        x = L.Add()([x, L.Dense(WIDTH, activation="relu")(x)])
    x = x + L.Dense(WIDTH, activation="relu")(x)
    scaled = L.Rescaling(0.5**0.5)(L.Add()([x, L.Dense(WIDTH)(x)]))
    wide = L.Dense(WIDTH)(scaled)
    three = L.Add()([wide, L.Dense(WIDTH)(wide), x])
    zeros = L.Dense(WIDTH, kernel_initializer="zeros")(three)
    silent = L.Add()([three, zeros])
    output = L.Add()([L.Dense(3)(silent), L.Dense(3)(x)])
    new, changes = sn.convert(keras.Model(inputs, output), init=None, example=X)
    sums = [change for change in changes if change.kind == "scaled"]
    assert [c.after.partition(")")[0] for c in sums] == ["sqrt(1/2"] * 5 + ["sqrt(1/3"]
    assert sums[4].before == "add()"
    assert [change.before for change in changes.left] == ["Add"]
    assert "near zero by design" in changes.left[0].why
    factors = [layer.scale for layer in new.layers if isinstance(layer, L.Rescaling)]
    assert sorted(factors) == pytest.approx([3**-0.5] + [0.5**0.5] * 6)
    assert changes.checked is not None
    assert changes.checked.selus == 5
    again, changes = sn.convert(new, init=None)
    assert "scaled" not in changes.counts()
    assert (array(again(X)) == array(new(X))).all()


def test_functions_in_a_graph_become_layers() -> None:
    inputs = keras.Input((WIDTH,))
    x = keras.ops.relu(L.Dense(WIDTH)(inputs))
    x = keras.ops.maximum(L.Dense(WIDTH)(x), 0)
    new, changes = sn.convert(keras.Model(inputs, L.Dense(3)(x)))
    assert changes.counts() == {"replaced": 1, "left": 1, "initialized": 1}
    assert [layer.activation.__name__ for layer in new.layers if type(layer) is L.Activation] == [
        "selu"
    ]


class Block(L.Layer):
    """Somebody's own, with a sum and a function in its call."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dense, self.norm = L.Dense(WIDTH), L.LayerNormalization()
        self.after = {"act": L.LeakyReLU(), "drop": L.Dropout(0.1)}

    def call(self, x: Any, training: bool = False) -> Any:
        h = self.norm(self.dense(x))
        return x + self.after["drop"](self.after["act"](h), training=training)


class Net(keras.Model):
    """Subclassed, with layers in lists and tuples."""

    def __init__(self, blocks: int = 2, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.blocks = [Block() for _ in range(blocks)]
        self.head = (L.Dense(WIDTH, activation="gelu"), L.BatchNormalization(), L.Dense(3))
        self.tail = keras.Sequential([L.Dense(WIDTH, activation="elu"), L.LayerNormalization()])
        self.own = self.add_weight(shape=(WIDTH,), initializer="ones", name="own")

    def call(self, x: Any, training: bool = False) -> Any:
        for block in self.blocks:
            x = block(x, training=training)
        x = self.tail(x, training=training)
        first, norm, last = self.head
        return last(keras.ops.relu(norm(first(x * self.own), training=training)))


def test_a_subclassed_model_is_copied_and_its_layers_exchanged(tmp_path: Path) -> None:
    model = Net()
    before = array(model(X))
    weights = [array(v) for v in model.weights]
    new, changes = sn.convert(model, init=None, example=X)
    assert type(new) is Net
    assert new is not model
    kinds = [type(layer).__name__ for layer in new._flatten_layers(include_self=False)]
    assert kinds.count("AlphaDropout") == kinds.count("Activation") == 2
    assert kinds.count("Identity") == 4
    assert new.tail.layers[0].activation is keras.activations.selu
    assert not {"Dropout", "LeakyReLU", "LayerNormalization", "BatchNormalization"} & set(kinds)
    assert new.head[0].activation is keras.activations.selu
    assert changes.counts() == {"replaced": 6, "removed": 4, "left": 3}
    assert "write sqrt(1/2) * add() there" in whys(changes)["add()"]
    assert "put a layer there" in whys(changes)["relu"]
    assert (array(new.blocks[1].dense.kernel) == array(model.blocks[1].dense.kernel)).all()
    assert len(new.weights) == len(weights) - 6 - 4
    assert (array(model(X)) == before).all(), "the model stays as it was"
    assert all((array(v) == w).all() for v, w in zip(model.weights, weights, strict=True))
    assert changes.checked is not None
    with pytest.warns(SelfNormWarning, match="own"):
        drawn, _ = sn.convert(model)
    assert abs(array(drawn.blocks[0].dense.kernel).var() * WIDTH - 1) < 0.25
    start = array(new.blocks[0].dense.kernel)
    new.compile("sgd", "mse")
    new.fit(X, X[:, :3], batch_size=128, epochs=1, verbose=0)
    trained = array(new.blocks[0].dense.kernel)
    assert (trained != start).any()
    new.save_weights(tmp_path / "new.weights.h5")
    new.blocks[0].dense.kernel.assign(start)
    new.load_weights(tmp_path / "new.weights.h5")
    assert (array(new.blocks[0].dense.kernel) == trained).all()


def test_a_layer_of_somebodys_own_within_a_graph() -> None:
    inputs = keras.Input((WIDTH,))
    block = Block()
    model = keras.Model(inputs, L.Dense(3)(block(block(inputs))))
    new, changes = sn.convert(model)
    assert type(new.layers[1].norm) is L.Identity
    assert type(new.layers[1].after["drop"]) is L.AlphaDropout
    assert type(block.norm) is L.LayerNormalization
    assert changes.counts()["removed"] == 1


def test_what_cannot_be_copied_is_refused_before_anything_changes() -> None:
    class Odd(keras.Model):
        def __init__(self, function: Any) -> None:
            super().__init__()
            self.function, self.dense = function, L.Dense(3)

        def call(self, x: Any) -> Any:
            return self.dense(self.function(x))

    odd = Odd(lambda x: 2 * x)
    odd(X)
    with pytest.raises(UnsupportedError, match="Let get_config return the arguments"):
        sn.convert(odd)

    class Later(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.dense = L.Dense(WIDTH, activation="relu")

        def call(self, x: Any) -> Any:
            return self.last(self.dense(x))

    later = Later()
    later.last = L.Dense(3)
    later(X)
    with pytest.raises(UnsupportedError, match=r"all layers in __init__|Let get_config"):
        sn.convert(later)
    assert later.dense.activation is keras.activations.relu
    with pytest.raises(ArgumentError, match="pass example=x"):
        sn.convert(Net())


def test_forms_of_selu(tmp_path: Path) -> None:
    form = shaped_selu(100)
    x = np.linspace(-4, 4, 100, dtype="float32")[:, None]
    expected = form.linear * x + form.factor * array(keras.activations.selu(x))
    assert abs(array(sn.SELU(depth=100)(x)) - expected).max() < 1e-6
    assert sn.SELU(depth=2).form is None
    with pytest.raises(ArgumentError, match="Leave one of them out"):
        sn.SELU(depth=2, bidirectional=True)
    wide = np.random.default_rng(1).standard_normal((500, 100)).astype("float32")
    z = array(sn.SELUAlphaDropout(0.2, depth=100, seed=0)(wide, training=True))
    assert_moments(z, kurtosis=kurtosis_of(z))
    two = array(sn.SELUAlphaDropout(0.2, bidirectional=True, seed=0)(wide, training=True))
    assert abs((two**2).mean() - 1) < 0.02
    depth = 12  # fewer than 11 are not shaped
    parts: list[Any] = [keras.Input((WIDTH,))]
    for _ in range(depth):
        parts += [L.Dense(WIDTH), sn.SELU(depth=depth)]
    parts[-1] = sn.SELUAlphaDropout(0.02, depth=depth)
    model = keras.Sequential([*parts, L.Dense(3)])
    sn.initialize(model, distribution="orthogonal", seed=1)
    report = sn.audit(model, X)
    selus = [layer for layer in report.layers if layer.activation == "selu"]
    assert len(selus) == depth
    assert selus[0].settings["form"] == shaped_selu(depth)
    assert report.ok, report
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    for one, other in zip(again.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    assert [layer.form for layer in again.layers[1::2]] == [selus[0].settings["form"]] * depth
