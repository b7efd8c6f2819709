"""A cause is named as far as it is known: where several fit, or where another stands before it."""

import itertools

import torch
from torch import Tensor, nn
from torch.nn import functional

import selfnorm
from selfnorm.init import initialize_
from support.audits import ROWS, WIDTH, drawn, of_rule


def test_what_few_numbers_do_not_tell_apart_is_named_side_by_side() -> None:
    """A stem of 864 numbers: He's by fan_out and Xavier's are 5 % apart, chance is 2.4 %."""
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 32, 3), nn.SELU(), nn.Conv2d(32, 64, 3), nn.SELU(), nn.Conv2d(64, 4, 3)
    )
    initialize_(model)
    model[0].weight.data = drawn(32, 3, 3, 3, deviation=(2 / 288) ** 0.5 * 0.975)
    (found,) = of_rule(model, torch.randn(16, 3, 12, 12), "wrong-init")
    assert "by Xavier's, xavier_normal_, or by He's, kaiming_normal_ for ReLU, mode=" in found.seen


def test_numbers_that_tell_are_believed() -> None:
    """Of the same size, and uniform: kurtosis has it, from a hundred numbers on."""
    torch.manual_seed(0)
    model = initialize_(
        nn.Sequential(*[m for _ in range(2) for m in (nn.Linear(20, 20), nn.SELU())])
    )
    nn.init.kaiming_uniform_(model[0].weight)
    model.append(nn.Linear(20, 2))
    (found,) = of_rule(model, torch.randn(ROWS, 20), "wrong-init")
    assert "kaiming_uniform_ for ReLU" in found.seen
    assert "normal" not in found.seen


def test_of_all_weights_together_one_cause_is_named() -> None:
    """What may have drawn most of them speaks for those that it may have drawn, too."""
    torch.manual_seed(0)
    widths = (3, 32, 16, 24)
    pairs = itertools.pairwise(widths)
    layers = [m for pair in pairs for m in (nn.Conv2d(*pair, 3), nn.SELU())]
    model = initialize_(nn.Sequential(*layers, nn.Conv2d(24, 4, 3)))
    for conv in (model[0], model[2], model[4]):
        nn.init.kaiming_normal_(conv.weight, mode="fan_out")
    model[0].weight.data = drawn(32, 3, 3, 3, deviation=(2 / 288) ** 0.5 * 0.975)
    (found,) = of_rule(model, torch.randn(16, 3, 12, 12), "selu-without-lecun")
    assert found.seen.endswith("as after He's, kaiming_normal_ for ReLU, mode='fan_out'")


def falling(activation: nn.Module, *norm: nn.Module) -> nn.Sequential:
    """Torch's default, at a depth at which gradients vanish."""
    torch.manual_seed(0)
    layers = [m for _ in range(12) for m in (nn.Linear(WIDTH, WIDTH), *norm, activation)]
    return nn.Sequential(*layers, nn.Linear(WIDTH, 4))


def test_behind_another_activation_gradients_are_its_matter() -> None:
    (found,) = of_rule(falling(nn.ReLU()), torch.randn(ROWS, WIDTH), "gradient-drift")
    assert "Placed: the activation" in found.why
    assert found.fix == "Mend wrong-activation."
    (found,) = of_rule(falling(nn.SELU()), torch.randn(ROWS, WIDTH), "gradient-drift")
    assert "Placed: the weights" in found.why


def test_behind_a_normalization_no_size_of_weights_shows() -> None:
    norm = nn.LayerNorm(WIDTH)
    nn.init.constant_(norm.weight, 0.1)
    model = falling(nn.SELU(), norm)
    (found,) = of_rule(model, torch.randn(ROWS, WIDTH), "gradient-drift")
    assert "Placed: normalization" in found.why
    assert of_rule(model, torch.randn(ROWS, WIDTH), "leftover-normalization")


class Attended(nn.Module):
    """A branch that ends in zeros, and a gate made of what they give."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two, self.gate = (nn.Conv2d(16, 16, 1) for _ in range(3))
        initialize_(self)
        nn.init.zeros_(self.two.weight)

    def forward(self, x: Tensor) -> Tensor:
        made = self.two(functional.selu(self.one(x)))
        return x + made * self.gate(made.mean((2, 3), keepdim=True)).sigmoid()


def test_a_branch_of_zeros_with_a_gate_is_meant() -> None:
    torch.manual_seed(0)
    ends = nn.Conv2d(16, 16, 1), nn.SELU(), nn.Conv2d(16, 4, 1)
    initialize_(nn.Sequential(*ends))
    model = nn.Sequential(ends[0], Attended(), Attended(), *ends[1:])
    rules = {f.rule for f in selfnorm.audit(model, torch.randn(64, 16, 4, 4)).findings}
    assert not rules & {"wrong-init", "weight-drift", "gradient-drift", "constant-output"}


class Own(nn.Conv2d):
    """Calls the function itself, so that its padding mode decides nothing."""

    def forward(self, x: Tensor) -> Tensor:
        return functional.conv2d(x, self.weight, self.bias, padding=self.padding)


def test_zeros_of_a_function_are_its_callers() -> None:
    def fix(kind: type[nn.Conv2d]) -> str:
        torch.manual_seed(0)
        model = nn.Sequential(kind(8, 32, 5, padding=2), nn.SELU(), nn.Conv2d(32, 4, 1))
        return of_rule(initialize_(model), torch.randn(ROWS, 8, 2, 2), "zero-padding")[0].fix

    assert fix(nn.Conv2d).startswith("padding_mode='circular'")
    assert fix(Own).startswith("torch.nn.functional.pad(x, ..., mode='circular') before it")


class TwoHeads(nn.Module):
    """A policy beside a value: what gradients one head gets says nothing of the other."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = (selfnorm.nn.MLP(WIDTH, 4, width=WIDTH, depth=2) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        return self.one(x) + 1e4 * self.two(x)


def test_gradients_are_compared_along_a_way() -> None:
    torch.manual_seed(0)
    assert not of_rule(TwoHeads(), torch.randn(ROWS, WIDTH), "gradient-drift")


class Encoded(nn.Module):
    """Encodes a time, as diffusion models do: numbers that nobody standardizes outside."""

    def __init__(self) -> None:
        super().__init__()
        self.body = selfnorm.nn.MLP(8, 2, width=WIDTH, depth=2)

    def forward(self, time: Tensor) -> Tensor:
        return self.body(torch.cat([(time * 0.01 * k).cos() for k in range(1, 9)], 1))


def test_what_the_model_makes_of_its_input_is_mended_behind_that() -> None:
    (found,) = of_rule(Encoded(), torch.rand(ROWS, 1), "input-not-standardized")
    assert found.fix.startswith("selfnorm.nn.Standardize in front of body.linear1: the model makes")
    model = initialize_(nn.Sequential(nn.Flatten(), nn.Linear(WIDTH, WIDTH), nn.SELU()))
    model.append(nn.Linear(WIDTH, 2))
    (found,) = of_rule(
        model, 5 * torch.randn(ROWS, 8, 8).double().float(), "input-not-standardized"
    )
    assert found.fix.startswith("Standardize every feature")


class Started(nn.Module):
    """A cell that joins its input with a state, which is zeros at first."""

    def __init__(self) -> None:
        super().__init__()
        self.cell, self.head = nn.Linear(2 * WIDTH, WIDTH), nn.Linear(WIDTH, 2)
        initialize_(self)

    def forward(self, x: Tensor) -> Tensor:
        state = x.new_zeros(len(x), WIDTH)
        for _ in range(3):
            state = functional.selu(self.cell(torch.cat([x, state], 1)))
        return self.head(state)


def test_a_first_state_of_zeros_is_no_input() -> None:
    torch.manual_seed(0)
    rules = {f.rule for f in selfnorm.audit(Started(), torch.randn(ROWS, WIDTH)).findings}
    assert not rules & {"constant-feature", "input-not-standardized"}


class Masked(nn.Linear):
    """Torch's default, of which a mask leaves half: units differ, and nothing was trained."""

    def forward(self, x: Tensor) -> Tensor:
        places = torch.arange(WIDTH)
        return functional.linear(x, self.weight * (places[:, None] >= places), self.bias)


def test_a_mask_is_no_training() -> None:
    torch.manual_seed(0)
    layers = [m for _ in range(3) for m in (Masked(WIDTH, WIDTH), nn.SELU())]
    (found,) = of_rule(
        nn.Sequential(*layers, nn.Linear(WIDTH, 2)), torch.randn(ROWS, WIDTH), "selu-without-lecun"
    )
    assert "kaiming_uniform_(a=sqrt(5)), of which 50% were set to 0" in found.seen
    assert "shrunk" not in str(found)


class Decoding(nn.Module):
    """Its decoder's weights are the embedding's rows."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.body = nn.Embedding(50, WIDTH), nn.Linear(WIDTH, WIDTH)
        self.decode = nn.Linear(WIDTH, 50, bias=False)
        initialize_(self)
        self.decode.weight = self.embed.weight
        nn.init.normal_(self.embed.weight, std=WIDTH**-0.5)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.decode(functional.selu(self.body(self.embed(tokens))))


def test_an_embedding_that_decodes_is_multiplied() -> None:
    torch.manual_seed(0)
    (found,) = of_rule(Decoding(), torch.randint(50, (ROWS,)), "embedding-variance")
    assert found.fix.startswith("Multiply what it gives by 8")
    assert "its weights are those of decode, too" in found.fix


class Positioned(Decoding):
    """Adds a place's embedding, so that the sum has variance 2."""

    def __init__(self) -> None:
        super().__init__()
        self.places = nn.Parameter(torch.randn(1, WIDTH))
        nn.init.normal_(self.embed.weight)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.body(self.embed(tokens) + 3 * self.places).sum(1, keepdim=True)


def test_what_is_added_to_an_embedding_is_not_its_own() -> None:
    torch.manual_seed(0)
    assert not of_rule(Positioned(), torch.randint(50, (ROWS,)), "embedding-variance")


def test_weights_that_cannot_be_the_cause_are_not_blamed() -> None:
    """A factor makes values small behind a normalization, whatever the weights before it are."""

    class Small(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.two, self.norm = nn.Linear(64, 64), nn.Linear(64, 2), nn.LayerNorm(64)

        def forward(self, x: Tensor) -> Tensor:
            return self.two(functional.selu(self.norm(self.one(x))) * 0.1)

    torch.manual_seed(0)
    (found,) = of_rule(Small(), torch.randn(ROWS, WIDTH), "variance-drift")
    assert "Placed: the structure. mul() multiplies the second moment by 0.01" in found.why
