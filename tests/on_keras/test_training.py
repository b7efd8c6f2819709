"""Initialization, conversion, layers and callbacks for Keras, and files that hold them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from selfnorm.errors import ArgumentError, SelfNormWarning, UnsupportedError
from support.kerased import require_keras
from support.statistics import assert_moments, kurtosis_of

require_keras()

import keras

import selfnorm.keras as sn

L = keras.layers
X = np.random.default_rng(0).standard_normal((128, 16)).astype("float32")
ROUNDING = 1e-5  # of float32, over some hundred terms


def array(tensor: Any) -> np.ndarray:
    return np.asarray(keras.ops.convert_to_numpy(tensor), np.float64)


def gram_error(kernel: Any) -> float:
    """Of a kernel of units last."""
    a = array(kernel).reshape(-1, kernel.shape[-1])
    a = a if a.shape[0] <= a.shape[1] else a.T
    scale = a.shape[1] / max(1, np.prod(kernel.shape[:-1]))
    return float(np.linalg.norm(a @ a.T / scale - np.eye(len(a)), 2))


@pytest.mark.parametrize("shape", [(16, 48), (48, 16), (3, 3, 4, 6)])
def test_initializers(shape: tuple[int, ...]) -> None:
    kernel = array(sn.LecunNormal(seed=1)(shape))
    axes = tuple(range(len(shape) - 1))
    assert abs((kernel**2).sum(axes) - 1).max() < ROUNDING
    assert abs(kernel.sum(axes)).max() < ROUNDING
    orthogonal = sn.LecunOrthogonal(seed=1)
    assert gram_error(orthogonal(shape)) < ROUNDING
    assert (array(orthogonal(shape)) == array(orthogonal(shape))).all()
    again = sn.LecunOrthogonal.from_config(orthogonal.get_config())
    assert (array(again(shape)) == array(orthogonal(shape))).all()
    assert (array(orthogonal.clone()(shape)) != array(orthogonal(shape))).any()
    with pytest.raises(ArgumentError, match=r"got shape \(3,\)"):
        orthogonal((3,))
    with pytest.raises(UnsupportedError, match="got dtype int32"):
        orthogonal(shape, "int32")


def every_kind() -> Any:
    parts = [
        L.Conv2D(8, 3, padding="same", groups=2, bias_initializer="ones"),
        L.DepthwiseConv2D(3),
        L.Conv2DTranspose(8, 4, strides=2),
        L.BatchNormalization(),
        L.Reshape((14 * 14, 8)),
        L.LSTM(12),
        L.Dense(64, activation="selu"),
    ]
    return keras.Sequential([keras.Input((8, 8, 4)), *parts])


@pytest.mark.parametrize("distribution", ["normal", "orthogonal"])
def test_initialize_knows_the_fan_in_of_every_kind(distribution: Any) -> None:
    model = sn.initialize(every_kind(), distribution=distribution, seed=3)
    x = np.random.default_rng(0).standard_normal((8, 8, 8, 4))
    for layer in sn.audit(model, x).layers:
        for weights in layer.weights:
            chance = 6 * (2 / weights.count) ** 0.5
            assert abs(weights.tau.mean() - 1) < chance, (layer.name, weights.name)
    assert not array(model.layers[0].bias).any()
    if distribution == "orthogonal":
        assert gram_error(model.layers[-1].kernel) < ROUNDING
    first = array(model.layers[-1].kernel)
    assert (array(sn.initialize(every_kind(), seed=3).layers[-1].kernel) == first).all() == (
        distribution == "normal"
    )
    exact = sn.initialize(keras.Sequential([keras.Input((16,)), L.Dense(8)]), exact=True)
    assert abs((array(exact.layers[0].kernel) ** 2).sum(0) - 1).max() < ROUNDING


def test_what_cannot_be_initialized() -> None:
    with pytest.raises(ArgumentError, match=r"is not\. Begin it"):
        sn.initialize(keras.Sequential([L.Dense(3)]))
    model = keras.Sequential([keras.Input((16,)), L.Dense(3)])
    with pytest.raises(ArgumentError, match="got 'uniform'"):
        sn.initialize(model, distribution="uniform")  # pyright: ignore[reportArgumentType]
    with pytest.raises(ArgumentError, match="Leave one of the two out"):
        sn.initialize(model, distribution="orthogonal", exact=True)
    odd = keras.Sequential([keras.Input((16,)), L.PReLU()])
    with pytest.warns(SelfNormWarning, match="leaves what it does not know"):
        sn.initialize(odd)


def test_dropout_keeps_moments_and_is_off_in_evaluation() -> None:
    x = np.random.default_rng(1).standard_normal((500, 100)).astype("float32")
    drop = sn.SELUAlphaDropout(0.3, seed=0)
    z = array(drop(x, training=True)).ravel()
    assert_moments(z, kurtosis=kurtosis_of(z))
    assert (array(drop(x)) == array(keras.activations.selu(x))).all()
    floor = z.min()
    assert abs((z == floor).mean() - 0.3) < 6 * (0.3 * 0.7 / z.size) ** 0.5
    with pytest.raises(ArgumentError, match=r"1\.5"):
        sn.SELUAlphaDropout(1.5)


def small(*between: Any) -> Any:
    dense = {"kernel_initializer": sn.LecunOrthogonal(seed=0)}
    parts = [L.Dense(16, **dense), *between, L.Dense(16, activation="selu", **dense), L.Dense(2)]
    return keras.Sequential([keras.Input((16,)), *parts])


def test_files_hold_our_layers(tmp_path: Path) -> None:
    model = small(sn.SELUAlphaDropout(0.2))
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert (array(again(X)) == array(model(X))).all()
    assert type(again.layers[1]) is sn.SELUAlphaDropout
    assert again.layers[1].rate == 0.2
    assert type(again.layers[0].kernel_initializer) is sn.LecunOrthogonal


def test_monte_carlo_drops_units_and_nothing_else() -> None:
    model = small(L.BatchNormalization(), sn.SELUAlphaDropout(0.2), L.AlphaDropout(0.1))
    before = [array(variable) for variable in model.layers[1].variables]
    drawn = sn.monte_carlo(model, X[:5], 20)
    assert drawn.shape == (20, 5, 2)
    assert (drawn.std(0) > 0).all()
    for variable, value in zip(model.layers[1].variables, before, strict=True):
        assert (array(variable) == value).all()
    with pytest.raises(ArgumentError, match="which has none"):
        sn.monte_carlo(small(), X)
    with pytest.raises(ArgumentError, match="got 0"):
        sn.monte_carlo(model, X, 0)


@pytest.fixture
def trained() -> tuple[Any, sn.Monitor]:
    keras.utils.set_random_seed(0)
    model = small(L.Activation("selu"))
    model.compile(keras.optimizers.Adam(0.02), "mse")
    monitor = sn.Monitor(X, every=3)
    keep = sn.KeepOrthogonal(every=3)
    y = X[:, :2] ** 2
    model.fit(X, y, batch_size=32, epochs=2, verbose=0, callbacks=[keep, monitor])
    return model, monitor


def test_weights_stay_orthogonal_while_keras_trains(trained: tuple[Any, sn.Monitor]) -> None:
    model, _ = trained
    assert gram_error(model.layers[0].kernel) <= 0.02
    assert gram_error(model.layers[2].kernel) <= 0.02
    assert gram_error(model.layers[3].kernel) > 0.02, "the output's is the network's to learn"


def test_a_monitor_looks_at_every_third_batch(trained: tuple[Any, sn.Monitor]) -> None:
    _, monitor = trained
    assert sorted({seen.step for seen in monitor.records}) == [0, 3, 6]
    first = [seen for seen in monitor.records if seen.step == 0]
    assert [seen.layer.partition("_")[0] for seen in first] == ["dense", "activation"] + [
        "dense"
    ] * (len(first) - 2)
    assert first[0].gram_error < ROUNDING
    assert np.isfinite([seen.gain for seen in first[1:]]).all()
    assert len(monitor.history) == len(monitor.records)
    assert monitor.plot().axes


def test_arguments_of_callbacks() -> None:
    with pytest.raises(ArgumentError, match=r"at most .5; got 0\.9"):
        sn.KeepOrthogonal(tolerance=0.9)
    with pytest.raises(ArgumentError, match=r"got 0\. Choose"):
        sn.KeepOrthogonal(every=0)
    with pytest.raises(ArgumentError, match=r"got 0\. Choose"):
        sn.Monitor(X, every=0)
    keep = sn.KeepOrthogonal(lambda _: False)
    keep.set_model(small())
    with pytest.raises(ArgumentError, match=r"is left\. Let"):
        keep.on_train_begin()


def test_convert() -> None:
    inputs = keras.Input((16,))
    x = L.Dropout(0.3)(L.Dense(24, activation="relu")(inputs))
    x = L.ReLU()(L.BatchNormalization()(L.Dense(24)(x)))
    gate = L.Dense(24, activation="sigmoid")(x)
    x = L.Multiply()([x, gate])
    x = keras.ops.relu(L.Dense(24)(x))
    x = keras.Sequential([L.Dense(24, activation="elu"), L.Dense(24)])(x)
    model = keras.Model(inputs, L.Dense(3, activation="relu")(x))
    new, changes = sn.convert(model)
    kinds = [type(layer).__name__ for layer in new.layers]
    assert {"AlphaDropout", "Identity", "Activation"} <= set(kinds)
    assert new.layers[1].activation is keras.activations.selu
    assert new.layers[-1].activation is keras.activations.relu, "an output stays"
    assert changes.counts() == {"replaced": 5, "removed": 1, "initialized": 1}
    assert "relu" in str(changes)
    assert model.layers[1].activation is keras.activations.relu, "the model stays as it was"
    kept, _ = sn.convert(model, init=None)
    assert (array(kept.layers[1].kernel) == array(model.layers[1].kernel)).all()
    rules = {finding.rule for finding in sn.lint(new)}
    assert not rules & {"plain-dropout", "leftover-normalization", "selu-without-lecun"}
    with pytest.raises(ArgumentError, match="got 'he'"):
        sn.convert(model, init="he")
    with pytest.raises(UnsupportedError, match="got int"):
        sn.convert(3)
