"""A conversion does no harm: what is not torch's own, or flows elsewhere, stays or is named."""

import copy
from collections import deque

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

import selfnorm
from selfnorm.converting import Changes, convert_
from selfnorm.errors import UnsupportedError
from selfnorm.nn import SELU, AlphaDropout, SELUAlphaDropout
from support.statistics import assert_moments

X = torch.randn(16, 8, generator=torch.Generator().manual_seed(0))
IMAGES = torch.randn(8, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def kinds(model: nn.Module) -> list[str]:
    return [type(module).__name__ for module in model.children()]


def left(changes: Changes) -> dict[str, str]:
    return {change.module: change.why for change in changes.left}


class NormAct(nn.BatchNorm2d):
    """As timm's: a normalization with dropout and an activation behind it."""

    def __init__(self, channels: int, act: nn.Module) -> None:
        super().__init__(channels)
        self.drop, self.act = nn.Identity(), act

    def forward(self, x: Tensor) -> Tensor:
        x = functional.batch_norm(
            x, self.running_mean, self.running_var, self.weight, self.bias, self.training
        )
        return self.act(self.drop(x))


def test_a_norm_with_an_activation_leaves_it_behind() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3), NormAct(8, nn.ReLU()), nn.Conv2d(8, 8, 3), NormAct(8, nn.ReLU())
    )
    model(IMAGES)
    model.eval()
    new, changes = selfnorm.convert(model, init=None, activations=())
    torch.testing.assert_close(new(IMAGES), model(IMAGES))
    assert changes.counts() == {"folded": 2}
    new, changes = selfnorm.convert(model)
    assert isinstance(new[1].act, SELU)
    assert isinstance(new[3].act, nn.ReLU)  # nothing with weights behind it
    assert any(change.before == "trained weights are drawn anew" for change in changes)


class Scaling(NormAct):
    """Does more than its parts tell."""

    def forward(self, x: Tensor) -> Tensor:
        return 2 * super().forward(x)


class Unscaled(nn.Module):
    """A normalization of one's own."""

    def __init__(self, units: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(units))

    def forward(self, x: Tensor) -> Tensor:
        return self.weight * x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-6)


class Standardized(nn.Conv2d):
    """Standardizes its weights in every call."""

    def forward(self, x: Tensor) -> Tensor:
        weight = self.weight - self.weight.mean((1, 2, 3), keepdim=True)
        return functional.conv2d(x, weight, self.bias)


def test_norms_of_ones_own_are_known_by_what_they_do() -> None:
    new, changes = selfnorm.convert(
        nn.Sequential(nn.Conv2d(3, 8, 3), Scaling(8, nn.ReLU()), nn.Conv2d(8, 4, 3))
    )
    assert isinstance(new[1], Scaling)
    assert any("does more than to normalize" in change.why for change in changes.left)
    model = nn.Sequential(nn.Linear(8, 8), Unscaled(8), nn.ReLU(), nn.Linear(8, 2))
    assert kinds(selfnorm.convert(model)[0]) == ["Linear", "Identity", "SELU", "Linear"]
    assert kinds(selfnorm.convert(model, norms="keep")[0])[1] == "Unscaled"


@pytest.mark.parametrize("way", ["own forward", "hooks", "older hook", "parametrized"])
def test_a_norm_is_folded_only_into_a_plain_layer(way: str) -> None:
    layer = Standardized(3, 8, 3) if way == "own forward" else nn.Conv2d(3, 8, 3)
    if way == "hooks":
        layer.register_forward_hook(lambda _m, _a, output: 2 * output)
    elif way == "older hook":
        with pytest.warns(FutureWarning, match="deprecated"):
            layer = nn.utils.weight_norm(layer)
    elif way == "parametrized":
        layer = nn.utils.parametrizations.weight_norm(layer)
    model = nn.Sequential(layer, nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 2, 3))
    before = {name: value.clone() for name, value in layer.named_parameters()}
    new, changes = selfnorm.convert(model, init=None)
    assert "folded" not in changes.counts()
    for name, value in new[0].named_parameters():
        assert torch.equal(value, before[name])


def test_what_cannot_be_drawn_is_refused_before_anything_is_changed() -> None:
    with pytest.warns(FutureWarning, match="deprecated"):
        layer = nn.utils.weight_norm(nn.Linear(8, 8))
    model = nn.Sequential(layer, nn.ReLU(), nn.Linear(8, 2))
    with pytest.raises(UnsupportedError, match="computed by a hook"):
        convert_(model)
    assert isinstance(model[1], nn.ReLU)


class Counting(nn.Module):
    """Counts on a part of its norm that an identity has not."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.norm, self.act = nn.Linear(8, 8), nn.LayerNorm(8), nn.ReLU()
        self.two = nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.act(self.norm(self.one(x)))
        return self.two(x / vars(self.norm)["normalized_shape"][0])


class Reading(Counting):
    """Reads an attribute of its norm."""

    def forward(self, x: Tensor) -> Tensor:
        return self.two(self.act(self.norm(self.one(x.to(self.norm.weight.dtype)))))


def test_what_code_reads_of_a_part_is_there() -> None:
    new, changes = selfnorm.convert(Reading())
    assert isinstance(new.norm, nn.LayerNorm)
    assert isinstance(new.act, SELU)
    assert left(changes)["norm"] == "the code of Reading reads its weight"
    assert new(X).shape == (16, 2)


def test_in_place_what_does_not_run_is_refused_before_anything_is_changed() -> None:
    model = Counting()
    torch.manual_seed(3)
    with pytest.raises(UnsupportedError, match="Name the part in exclude"):
        convert_(model, example=X)
    assert isinstance(model.norm, nn.LayerNorm)
    assert isinstance(model.act, nn.ReLU)
    plain = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 2))
    torch.manual_seed(3)
    copied, _ = selfnorm.convert(plain, example=X)
    torch.manual_seed(3)
    same, _ = convert_(plain, example=X)
    assert same is plain
    assert torch.equal(plain[0].weight, copied[0].weight)


class Always(nn.Dropout):
    """Monte-Carlo dropout: on in evaluation, too."""

    def forward(self, x: Tensor) -> Tensor:
        return functional.dropout(x, self.p, training=True)


def test_dropout_that_is_always_on_stays_so() -> None:
    model = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), Always(0.5), nn.Linear(8, 2))
    new, changes = selfnorm.convert(model)
    assert isinstance(new[2], Always)
    assert "may be on in evaluation" in left(changes)["2"]

    class Functional(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.two = nn.Linear(8, 8), nn.Linear(8, 2)

        def forward(self, x: Tensor) -> Tensor:
            x = functional.dropout(functional.relu(self.one(x)), 0.5, training=True)
            return functional.dropout(self.two(x), 0.5, training=self.training)

    new, changes = selfnorm.convert(Functional())
    new.eval()
    assert not torch.equal(new(X), new(X))  # as before: the first is always on
    torch.manual_seed(1)
    model = Functional().eval()
    once = selfnorm.convert(model, activations=(), init=None)[0]
    torch.manual_seed(2)
    expected = model(X)
    torch.manual_seed(2)
    torch.testing.assert_close(once(X), expected)  # and the second is off
    assert any("does not follow the mode" in change.why for change in changes.left)


class Ending(nn.Module):
    """Dropout as a function on the output, where it stays plain."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Linear(8, 8), nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.two(functional.relu(self.one(x)))
        return functional.dropout(x, 0.5, training=self.training)


@pytest.mark.parametrize("dropout", ["alpha", "keep"])
def test_dropout_in_a_forward_that_is_rewritten_follows_the_mode(dropout: str) -> None:
    new, _ = selfnorm.convert(Ending(), dropout=dropout)  # pyright: ignore[reportArgumentType]
    assert any(isinstance(module, SELU) for module in new.modules())
    assert not torch.equal(new.train()(X), new(X))
    assert torch.equal(new.eval()(X), new(X))


class Attention(nn.Module):
    """Scores with a mask, dropout behind softmax."""

    def __init__(self) -> None:
        super().__init__()
        self.query, self.key, self.value = nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(8, 8)
        self.drop, self.out = nn.Dropout(0.1), nn.Linear(8, 8)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        scores = (self.query(x) / 8**0.5) @ self.key(x).transpose(-1, -2)
        scores = scores + mask
        return self.out(self.drop(scores.softmax(-1)) @ self.value(x))


def test_attention_keeps_its_dropout_and_its_mask() -> None:
    model = Attention()
    new, changes = selfnorm.convert(model, init=None)
    assert type(new.drop) is nn.Dropout
    assert "reads softmax(); alpha dropout belongs directly behind SELU" in left(changes)["drop"]
    assert set(left(changes)) == {"drop"}  # the sum with the mask is no branch, whoever gives it
    assert set(changes.counts()) == {"left"}


def test_alpha_dropout_stands_behind_selu_alone() -> None:
    model = nn.Sequential(
        nn.Dropout(0.1), nn.Linear(8, 8), nn.Dropout(0.2), nn.ReLU(), nn.Linear(8, 8), nn.ReLU(),
        nn.Flatten(), nn.Dropout(0.1), nn.Linear(8, 2), nn.Dropout(0.1),
    )  # fmt: skip
    new, changes = selfnorm.convert(model)
    assert [type(new[k]) for k in (0, 2, 3)] == [nn.Dropout, nn.Identity, SELUAlphaDropout]
    assert new[3].p == 0.2
    assert isinstance(new[7], AlphaDropout)
    assert type(new[9]) is nn.Dropout
    assert left(changes).keys() == {"0", "9"}
    assert "it reads what the model is given" in left(changes)["0"]


class Mixed(nn.Module):
    """Dropout as a module behind an activation as a function, and behind the output's."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Linear(8, 8), nn.Linear(8, 2)
        self.drop, self.last = nn.Dropout(0.1), nn.Dropout(0.1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.drop(functional.relu(self.one(x)))
        return self.last(functional.tanh(self.two(x)))


@pytest.mark.parametrize("example", [None, X])
def test_behind_a_function_that_becomes_selu_as_well(example: Tensor | None) -> None:
    new, changes = selfnorm.convert(Mixed(), example=example)
    assert isinstance(new.drop, AlphaDropout)
    assert type(new.last) is nn.Dropout
    assert "it reads tanh()" in left(changes)["last"]


class Shifted(nn.Module):
    """Adds what it is given to a SELU's output."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.act, self.two = nn.Linear(8, 8), nn.SELU(), nn.Linear(8, 2)

    def forward(self, x: Tensor, shift: Tensor) -> Tensor:
        return self.two(self.act(self.one(x)) + shift)


class Joined(nn.Module):
    """The sum's branches come from outside, as in BERT."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.act, self.end = nn.Linear(8, 8), nn.SELU(), Shifted()

    def forward(self, x: Tensor) -> Tensor:
        x = self.act(self.one(x))
        return self.end(x, shift=x)


def test_a_shift_that_is_given_is_no_branch() -> None:
    new, changes = selfnorm.convert(Shifted(), init=None)
    assert type(new) is Shifted
    (why,) = (change.why for change in changes)
    assert "which may be a branch or not: pass an example" in why
    new, changes = selfnorm.convert(Shifted(), init=None, example=(X, X.clone()))
    assert len(changes) == 0
    new, changes = selfnorm.convert(Joined(), init=None, example=X)
    assert changes.counts() == {"scaled": 1}


class TwoHeads(nn.Module):
    """The critic's weights are defined behind the actor's output."""

    def __init__(self) -> None:
        super().__init__()
        self.actor = nn.Sequential(nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 2), nn.Tanh())
        self.critic = nn.Sequential(nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 1))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.actor(x), self.critic(x)


class Looking(TwoHeads):
    """The same, in a way that cannot be traced."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return super().forward(x if x.sum() > 0 else -x)


@pytest.mark.parametrize(("model", "example"), [(TwoHeads, None), (TwoHeads, X), (Looking, X)])
def test_an_output_stays_whatever_runs_behind_it(model: type, example: Tensor | None) -> None:
    new, _ = selfnorm.convert(model(), example=example)
    assert isinstance(new.actor[1], SELU)
    assert isinstance(new.actor[3], nn.Tanh)
    assert isinstance(new.critic[1], SELU)


class Optional(nn.Module):
    """Does other things without a mask."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Linear(8, 8), nn.Linear(8, 2)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        x = functional.relu(self.one(x))
        return self.two(x if mask is None else x * mask)


def test_what_a_mask_decides_is_left_and_named() -> None:
    new, changes = selfnorm.convert(Optional())
    assert type(new) is Optional
    assert "it does other things where mask is None" in left(changes)[""]
    assert new(X).shape == new(X, torch.ones(16, 8)).shape


class HandingOn(nn.Module):
    """Hands a mask on, as blocks of a transformer do: whether it is None decides nothing here."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.one, self.two = Optional(), nn.Linear(8, 8), nn.Linear(2, 2)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        return self.two(self.inner(x + functional.relu(self.one(x)), mask=mask))


def test_an_argument_that_is_only_handed_on_may_be_none() -> None:
    new, changes = selfnorm.convert(HandingOn())
    assert set(left(changes)) == {"inner"}
    assert {change.kind for change in changes if change.module == ""} >= {"replaced", "scaled"}
    assert new(X).shape == new(X, mask=torch.ones(16, 8)).shape == (16, 2)


def test_what_an_example_leaves_out_is_taken_to_be_out() -> None:
    new, changes = selfnorm.convert(Optional(), example=X)
    assert not changes.left
    assert new(X).shape == new(x=X, mask=None).shape == (16, 2)
    with pytest.raises(AssertionError, match="mask has been specialized to have value None"):
        new(X, torch.ones(16, 8))  # and not in silence
    new, changes = selfnorm.convert(Optional(), example=(X, torch.ones(16, 8)))
    assert type(new) is Optional


class OwnLinear(nn.Module):
    """As those of graph and flow libraries, with a bias, and its matrix either way around."""

    def __init__(self, inputs: int, outputs: int, *, turned: bool) -> None:
        super().__init__()
        shape = (inputs, outputs) if turned else (outputs, inputs)
        self.matrix, self.bias = nn.Parameter(torch.rand(shape)), nn.Parameter(torch.ones(outputs))

    def forward(self, x: Tensor) -> Tensor:
        if self.matrix.shape[0] == x.shape[-1]:
            return x @ self.matrix + self.bias
        return functional.linear(x, self.matrix, self.bias)


def test_layers_of_ones_own_are_drawn_by_what_a_call_shows() -> None:
    torch.manual_seed(0)
    first, second = OwnLinear(300, 400, turned=True), OwnLinear(400, 300, turned=False)
    model = nn.Sequential(first, nn.ReLU(), second)
    new, changes = selfnorm.convert(model, example=torch.randn(64, 300))
    assert not changes.left
    assert_moments(new[0].matrix.detach() * 300**0.5)
    assert_moments(new[2].matrix.detach() * 400**0.5)
    assert not new[0].bias.any()
    assert not new[2].bias.any()
    plain, changes = selfnorm.convert(model)
    assert torch.equal(plain[0].matrix, first.matrix)
    assert "left other parameters as they were: '0.matrix' (OwnLinear)" in left(changes)[""]


class Keeping(nn.Module):
    """Keeps what it computed, as policies and spiking networks do."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.act, self.two = nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 2)
        self.past, self.last = deque([1], maxlen=3), None

    def forward(self, x: Tensor) -> Tensor:
        self.last = self.act(self.one(x))
        self.past.append(self.last)
        self.new = self.last
        return self.two(self.last)


def test_an_audit_leaves_attributes_as_they_were() -> None:
    model = Keeping()
    selfnorm.audit(model, X)
    assert model.last is None
    assert list(model.past) == [1]
    assert model.past.maxlen == 3
    assert not hasattr(model, "new")


def test_a_model_that_keeps_tensors_is_converted() -> None:
    model = Keeping()
    model(X)
    new, changes = selfnorm.convert(model)
    assert isinstance(new.act, SELU)
    assert "it keeps what it computes, as last" in left(changes)[""]
    assert new.last.grad_fn is None
    assert new.last is not model.last
    assert torch.equal(new.last, model.last)


class Named(nn.Module):
    """One child under two names, and one whose name is a method's."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.act, self.two = nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 2)
        self.again = self.act
        self._modules["parameters"] = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 8))

    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu(self.again(self.one(x)))
        return self.two(self._modules["parameters"](self.act(x)))


@pytest.mark.parametrize("example", [None, X])
def test_names_are_no_obstacle(example: Tensor | None) -> None:
    new, changes = selfnorm.convert(Named(), example=example)
    assert new.act is new.again
    assert isinstance(new.act, SELU)
    assert isinstance(new._modules["parameters"][1], SELU)
    assert new(X).shape == (16, 2)
    counts = changes.counts()
    assert counts.pop("initialized") >= 1  # with an example, weights of so few units are scaled
    assert counts == {"replaced": 2, "left": 1}
    assert "one of its parts has the name of a method" in left(changes)[""]


class Swish(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(x)


class Slope(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.slope = nn.Parameter(torch.tensor(0.2))

    def forward(self, x: Tensor) -> Tensor:
        return torch.where(x > 0, x, self.slope * x)


class Sine(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.sin(30 * x)


class Halved(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x / 2


class Gate(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return 1 / (1 + torch.exp(-x))


def test_an_activation_is_known_by_what_it_does() -> None:
    parts = [Swish(), Slope(), Sine(), Halved(), Gate()]
    model = nn.Sequential(*(m for part in parts for m in (nn.Linear(8, 8), part)), nn.Linear(8, 2))
    new, changes = selfnorm.convert(model)
    assert kinds(new)[1::2] == ["SELU", "SELU", "Sine", "Halved", "Gate"]
    assert set(left(changes)) == {"9"}
    only, _ = selfnorm.convert(model, activations=[Gate])
    assert kinds(only)[1::2] == ["Swish", "Slope", "Sine", "Halved", "SELU"]


def test_a_layer_that_starts_at_zero_does_so_still() -> None:
    head, small = nn.Linear(8, 2), nn.Linear(8, 8)
    nn.init.zeros_(head.weight)
    nn.init.uniform_(small.weight, -1e-3, 1e-3)
    before = small.weight.clone()
    model = nn.Sequential(*(m for _ in range(3) for m in (nn.Linear(8, 8), nn.ReLU())), small, head)
    new, changes = selfnorm.convert(model)
    assert not new[-1].weight.any()
    assert torch.equal(new[-2].weight, before)
    assert "its weights are zero: taken for meant" in left(changes)["7"]
    assert set(left(changes)) == {"6", "7"}


@pytest.mark.parametrize("example", [None, torch.randn(4, 5, 16)])
def test_torchs_own_blocks_stay_whole(example: Tensor | None) -> None:
    layer = nn.TransformerEncoderLayer(16, 4, 32, batch_first=True)
    model = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
    new, changes = selfnorm.convert(model, example=example)
    (why,) = left(changes).values()
    assert "torch's own forward counts on its parts" in why
    assert not any(isinstance(module, AlphaDropout) for module in new.modules())
    x = torch.randn(4, 5, 16)
    assert new.eval()(x).shape == new.train()(x).shape
    inside = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), copy.deepcopy(layer))
    new, changes = selfnorm.convert(inside)
    assert isinstance(new[1], SELU)
    assert set(left(changes)) == {"2"}


class Squeezed(nn.Module):
    """Squeeze-and-excite: the activation is the value, and the sigmoid the gate."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.act, self.pool = nn.Conv2d(3, 8, 3), nn.SiLU(), nn.AdaptiveAvgPool2d(1)
        self.down, self.bend, self.up = nn.Conv2d(8, 4, 1), nn.ReLU(), nn.Conv2d(4, 8, 1)
        self.gate, self.out = nn.Sigmoid(), nn.Conv2d(8, 2, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.act(self.conv(x))
        return self.out(x * self.gate(self.up(self.bend(self.down(self.pool(x))))))


def test_of_squeeze_and_excite_the_gate_stays() -> None:
    new, changes = selfnorm.convert(Squeezed())
    assert (type(new.act), type(new.bend), type(new.gate)) == (SELU, SELU, nn.Sigmoid)
    assert set(left(changes)) == {"gate"}


def test_a_loader_of_pairs_is_an_example() -> None:
    model = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 1))
    loader = DataLoader(TensorDataset(X, X[:, :1]), batch_size=8)
    new, changes = selfnorm.convert(model, example=loader)
    assert isinstance(new[1], SELU)
    assert changes.checked is not None
    assert changes.checked.selus == 1


def test_the_end_tells_what_the_example_shows() -> None:
    torch.manual_seed(0)
    deep = nn.Sequential(*(m for _ in range(4) for m in (nn.Linear(64, 64), nn.ReLU())))
    model = nn.Sequential(*deep, nn.Linear(64, 1))
    x = torch.randn(512, 64)
    _, changes = selfnorm.convert(model, example=x)
    assert changes.checked is not None
    assert (changes.checked.selus, changes.checked.outside) == (4, ())
    assert str(changes).endswith(
        "Checked on your example: 4 of 4 SELU layers have a variance within [0.8, 1.5]."
    )
    _, changes = selfnorm.convert(model, example=x, init=None)
    last = " ".join(str(changes).split())
    assert "0 of 4 SELU layers have a variance within [0.8, 1.5]; not: 1 (" in last
    assert last.endswith("and 1 more.")
    assert changes.to_dict()["checked"]["selus"] == 4
    assert selfnorm.convert(model)[1].checked is None


def test_changes_of_a_kind_are_told_together() -> None:
    deep = nn.Sequential(*(m for _ in range(9) for m in (nn.Linear(8, 8), nn.ReLU())))
    _, changes = selfnorm.convert(nn.Sequential(*deep, nn.Linear(8, 1)))
    assert len(changes) == 10
    assert str(changes).count("its fixed point is (0, 1)") == 1
    assert "and 6 more" in str(changes)


class Adapted(nn.Module):
    """A linear layer and a difference of low rank, which begins at zero."""

    def __init__(self) -> None:
        super().__init__()
        self.base = nn.Linear(8, 8)
        self.down, self.up = nn.Parameter(torch.randn(2, 8)), nn.Parameter(torch.zeros(8, 2))

    def forward(self, x: Tensor) -> Tensor:
        return self.base(x) + x @ self.down.t() @ self.up.t()


def test_a_difference_that_begins_at_zero_does_so_afterwards() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(Adapted(), nn.ReLU(), nn.Linear(8, 2))
    converted, changes = selfnorm.convert(model, example=X)
    assert not converted[0].up.any()
    assert "taken for meant" in left(changes)["0"]


def test_what_is_scripted_stays_and_is_named() -> None:
    parts = nn.Sequential(nn.Linear(8, 8), nn.ReLU())
    model = nn.Sequential(
        nn.Linear(8, 8), torch.jit.script(nn.ReLU()), torch.jit.script(parts), nn.Linear(8, 2)
    )
    for example in (None, X):
        converted, changes = selfnorm.convert(model, example=example)
        assert set(left(changes)) == {"1", "2"}
        assert converted(X).shape == (len(X), 2)
    assert torch.equal(selfnorm.deploy(model)(X), model(X))


class LayerScale(nn.Module):
    """A block whose branch a layer scale makes small at first, and a pool in place of attention."""

    def __init__(self) -> None:
        super().__init__()
        self.pool, self.conv, self.act = nn.AvgPool2d(3, 1, 1), nn.Conv2d(8, 8, 1), nn.ReLU()
        self.scales = nn.Parameter(1e-5 * torch.ones(2, 8, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.scales[0] * (self.pool(x) - x)
        return x + self.scales[1] * self.conv(self.act(self.conv(x)))


def test_a_layer_scale_near_zero_stays_and_its_sum_is_no_residual() -> None:
    model = nn.Sequential(nn.Conv2d(3, 8, 1), LayerScale(), LayerScale(), nn.Conv2d(8, 2, 1))
    x = torch.randn(64, 3, 6, 6)
    new, changes = selfnorm.convert(model, example=x)
    assert torch.equal(new[1].scales, model[1].scales)
    sums = [one for one in selfnorm.audit(new, x).layers if one.role == "addition"]
    assert all(0.8 < one.variance < 1.25 for one in sums), str(changes)
