"""The exercise of the textbooks: a plain network of 50 SELU layers on images, in Keras.

What one learns: in Keras `activation="selu"` alone is not enough. Only in square layers have its
default weights the variance 1/fan_in; `selfnorm.keras.lint` says so before anything is trained.
Two lines, `initialize` and the callback `KeepOrthogonal`, and the network learns.
"""

import os

os.environ.setdefault("KERAS_BACKEND", "torch")

import keras
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import selfnorm.keras as sn

DEPTH, EPOCHS = 50, 2
WIDTHS = (96, 48)  # wide and narrow layers in turn, as many networks have them


def network() -> keras.Model:
    """Dense layers with SELU, their weights Keras's default."""
    hidden = [keras.layers.Dense(WIDTHS[i % 2], activation="selu") for i in range(DEPTH)]
    return keras.Sequential([keras.Input((64,)), *hidden, keras.layers.Dense(10)])


def accuracy(model: keras.Model, rows: list[np.ndarray], *, keep: bool) -> float:
    """On the held-out rows, after training."""
    images, held_images, digits, held_digits = rows
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    optimizer = keras.optimizers.AdamW(1e-3, clipnorm=1.0)
    model.compile(optimizer, loss, metrics=["accuracy"])
    callbacks = [sn.KeepOrthogonal()] if keep else []
    model.fit(images, digits, batch_size=64, epochs=EPOCHS, verbose=0, callbacks=callbacks)
    return model.evaluate(held_images, held_digits, verbose=0)[1]


def main() -> None:
    """Train with and without, print, and assert what the docstring says."""
    pixels, labels = load_digits(return_X_y=True)
    rows = train_test_split(pixels, labels, test_size=0.2, random_state=0, stratify=labels)
    mean, deviation = rows[0].mean(0), np.maximum(rows[0].std(0), 1.0)  # some are always 0
    rows[:2] = [((x - mean) / deviation).astype("float32") for x in rows[:2]]

    print(f"Digits: {DEPTH} plain SELU layers in Keras, {EPOCHS} epochs\n")
    print(f"{'weights':<28}{'variances, trained':>20}{'accuracy':>10}")
    found = {}
    for right, name in ((False, "Keras's default"), (True, "initialize, KeepOrthogonal")):
        keras.utils.set_random_seed(0)
        model = network()
        if right:
            sn.initialize(model, distribution="orthogonal", seed=0)
        assert bool(sn.lint(model)) != right
        found[right] = accuracy(model, rows, keep=right)
        layers = [layer for layer in sn.audit(model, rows[1]).layers if layer.activation == "selu"]
        variances = [layer.variance for layer in layers]
        span = f"{min(variances):.2f} to {max(variances):.2f}"
        print(f"{name:<28}{span:>20}{found[right]:>10.3f}")
    assert found[True] > found[False] + 0.1


if __name__ == "__main__":
    main()
