"""The exercise of the textbooks: plain networks of 20 and 50 SELU layers on images, in Keras.

What one learns: in Keras `activation="selu"` alone is not enough. Only in square layers have its
default weights the variance 1/fan_in; `selfnorm.keras.lint` says so before anything is trained.
Two lines, `initialize` and the callback `KeepOrthogonal`, and the deep network learns as a shallow
one does.
"""

import os

os.environ.setdefault("KERAS_BACKEND", "torch")

import keras
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import selfnorm.keras as sn

WIDTHS, EPOCHS = (96, 48), 3  # wide and narrow layers in turn, as many networks have them


def network(depth: int) -> keras.Model:
    """Dense layers with SELU, their weights Keras's default."""
    hidden = [keras.layers.Dense(WIDTHS[i % 2], activation="selu") for i in range(depth)]
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
    """Train each depth with and without, print, and assert what the docstring says."""
    pixels, labels = load_digits(return_X_y=True)
    rows = train_test_split(pixels, labels, test_size=0.2, random_state=0, stratify=labels)
    mean, deviation = rows[0].mean(0), np.maximum(rows[0].std(0), 1.0)  # some are always 0
    rows[:2] = [((x - mean) / deviation).astype("float32") for x in rows[:2]]

    print(f"Digits: plain SELU networks in Keras, {EPOCHS} epochs\n")
    print(f"{'layers':>6}  {'weights':<26}{'variance behind':>16}{'accuracy':>10}")
    found = {}
    for depth in (20, 50):
        for name in ("Keras's default", "initialize, KeepOrthogonal"):
            keras.utils.set_random_seed(0)
            model = network(depth)
            right = name != "Keras's default"
            if right:
                sn.initialize(model, distribution="orthogonal", seed=0)
            assert bool(sn.lint(model)) != right
            last = keras.Model(model.inputs, model.layers[-2].output)
            variance = float(last.predict(rows[0], verbose=0).var())
            found[depth, right] = accuracy(model, rows, keep=right)
            print(f"{depth:>6}  {name:<26}{variance:>16.2g}{found[depth, right]:>10.3f}")
    assert found[50, True] > 0.85
    assert found[50, True] > found[50, False] + 0.1


if __name__ == "__main__":
    main()
