"""Whatever is passed where a number, a name or a model belongs, the error is one of ours."""

import inspect
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
import torch

import selfnorm
from selfnorm import auditing, init, nn, plots, tabular, theory, training, watch
from selfnorm.errors import SelfNormError

BAD = {
    "text": "big",
    "a fraction": 2.5,
    "None": None,
    "negative": -1,
    "nan": float("nan"),
    "infinite": float("inf"),
    "a list": [],
    "an object": object(),
    "True": True,
    "an array": np.array([1.0, 2.0]),
}


def call(function: Callable[..., Any], **given: object) -> tuple[Callable[..., Any], dict]:
    return function, given


def model() -> nn.MLP:
    return nn.MLP(8, 2, width=16, depth=2)


ROWS = torch.zeros(4, 8)
DOMAIN = theory.Domain.of(mean=(0, 0), variance=("0.1", "0.12"), omega=(0, 0), tau=(1, 1))
SETTINGS = vars(tabular.Settings())
CALLS = {
    "MLP": call(
        nn.MLP, in_features=8, out_features=2, width=16, depth=2, shape="conic", dropout=0,
        generator=None, dtype=None,
    ),
    "AlphaDropout": call(nn.AlphaDropout, p=0.1),
    "SELUAlphaDropout": call(nn.SELUAlphaDropout, p=0.1),
    "hidden_widths": call(nn.hidden_widths, width=8, depth=2, shape="conic", out_features=1),
    "selu": call(selfnorm.selu, input=ROWS),
    "alpha_dropout": call(selfnorm.alpha_dropout, input=ROWS, p=0.1),
    "selu_alpha_dropout": call(selfnorm.selu_alpha_dropout, input=ROWS, p=0.1),
    "lecun_normal_": call(
        init.lecun_normal_, tensor=torch.zeros(4, 4), fan_in=None, truncated=False, exact=False,
        generator=None,
    ),
    "lecun_uniform_": call(
        init.lecun_uniform_, tensor=torch.zeros(4, 4), fan_in=None, exact=False, generator=None
    ),
    "initialize_": call(
        init.initialize_, module=model, distribution="normal", truncated=False, exact=False,
        generator=None, skip=(),
    ),
    "audit": call(selfnorm.audit, model=model, inputs=ROWS, loss=None, rules=None),
    "convert": call(
        selfnorm.convert, model=model, include=None, exclude=None, init=None, dropout="keep",
        norms="keep", activations=None,
    ),
    "monitor": call(selfnorm.monitor, model=model, every=2),
    "observe": call(watch.observe, model=model, inputs=ROWS, roles=("linear",)),
    "rule": call(auditing.rule, name="x-y"),
    "moments": call(theory.moments, mean=0, variance=1, omega=0, tau=1, activation="selu"),
    "propagate": call(
        theory.propagate, depth=3, mean=0, variance=1, omega=0, tau=1, dropout=0, correlation=0,
        activation="selu",
    ),
    "fixed_point": call(theory.fixed_point, omega=0, tau=1, activation="selu", max_iterations=99),
    "selu_constants": call(
        theory.selu_constants, mean=0, variance=1, omega=1, tau=1, digits=5
    ),
    "gradient_gain": call(theory.gradient_gain, p=0.1, mean=0, variance=1),
    "depth_budget": call(theory.depth_budget, p=0.1, tolerance=10),
    "dropout_budget": call(theory.dropout_budget, depth=3, tolerance=10),
    "alpha_dropout_affine": call(theory.alpha_dropout_affine, p=0.1, mean=0, variance=1),
    "correlation_map": call(theory.correlation_map, correlation=0.5, mean=0, variance=1),
    "normalize_activation": call(theory.normalize_activation, activation="selu"),
    "compare_activations": call(theory.compare_activations, activations=["selu"]),
    "Domain": call(theory.Domain, **vars(DOMAIN)),
    "Domain.of": call(theory.Domain.of, **vars(DOMAIN)),
    "with_ranges": call(DOMAIN.with_ranges, **vars(DOMAIN)),
    "widened": call(DOMAIN.widened, name="mean", side=1, end=1),
    "holds": call(theory.THEOREM_1.holds, name="mean", values=0.1),
    "interval": call(theory.THEOREM_1.interval, name="mean"),
    "certify": call(theory.certify, theorem="3", domain=DOMAIN, most_boxes=9),
    "theorem_domains": call(theory.theorem_domains, theorem="3"),
    "darken": call(plots.darken, drawn=None),
    "Settings": call(tabular.Settings, **SETTINGS),
    "Options": call(training.Options, **vars(training.Options())),
    "load_model": call(tabular.load_model, folder="nothing"),
}  # fmt: skip
CASES = [(name, argument) for name, (_, given) in CALLS.items() for argument in given]


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize(("name", "argument"), CASES, ids=lambda part: part)
def test_an_error_is_ours(name: str, argument: str, bad: str) -> None:
    function, given = CALLS[name]
    made = {key: value() if value is model else value for key, value in given.items()}
    with suppress(SelfNormError):  # or it is no mistake at all: 2.5 is a number, too
        function(**made | {argument: BAD[bad]})


def test_every_setting_has_a_rule() -> None:
    for holder in (tabular.Settings, training.Options):
        for name, field in holder.__dataclass_fields__.items():
            assert "rule" in field.metadata, name
            assert inspect.getdoc(holder) is not None


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            {"depth": 2.5},
            "1 or more, or None for what fits the rows; 2.5 came. Try depth=2.",
        ),
        ({"shape": "round"}, "shape must be one of 'rectangular', 'conic'; 'round' came."),
        ({"batch_size": "big"}, "or None for a 32nd of the rows, from 16 to 256; 'big' came."),
        ({"categories": "zip"}, "categories must be a list of names; 'zip' came."),
        ({"test": 1.0}, r"test must be a number in \[0, 1\), or None for .*; 1.0 came."),
        (
            {"learning_rate": 0},
            r"learning_rate must be a number in \(0, 1\], or None for .*; 0 came.",
        ),
    ],
)
def test_the_rule_what_came_and_what_to_try(change: dict[str, Any], words: str) -> None:
    with pytest.raises(SelfNormError, match=words):
        tabular.Settings(**change)
