"""Networks as people write them: what an audit finds is gone after a conversion."""

import copy

import pytest
import torch
from torch import nn

import selfnorm
from selfnorm.converting import Changes
from support.networks import NETWORKS, BasicBlock, autoencoder, mixer, reader, resnet


@pytest.fixture(params=list(NETWORKS))
def converted(request: pytest.FixtureRequest) -> tuple[nn.Module, nn.Module, Changes, torch.Tensor]:
    torch.manual_seed(0)
    model, inputs = NETWORKS[request.param]()
    new, changes = selfnorm.convert(model, example=inputs)
    return model, new, changes, inputs


def test_findings_are_gone(
    converted: tuple[nn.Module, nn.Module, Changes, torch.Tensor],
) -> None:
    model, new, _, inputs = converted
    before = selfnorm.audit(model, inputs)
    assert not before.ok
    after = selfnorm.audit(new, inputs)
    assert after.ok, after
    assert len(after.recording.selus) >= 1


def test_the_old_model_is_as_before(
    converted: tuple[nn.Module, nn.Module, Changes, torch.Tensor],
) -> None:
    model, new, _, inputs = converted
    assert not any(isinstance(m, nn.SELU) for m in model.modules())
    shared = {id(p) for p in model.parameters()} & {id(p) for p in new.parameters()}
    assert not shared
    assert new(inputs).shape == model(inputs).shape


def test_names_of_the_state_dict_stay(
    converted: tuple[nn.Module, nn.Module, Changes, torch.Tensor],
) -> None:
    model, new, changes, _ = converted
    before, after = set(model.state_dict()), set(new.state_dict())
    assert before - after == set(changes.removed)
    assert after - before == set(changes.added)
    assert all(".bias" in name for name in changes.added)
    kept = [name for name in model.state_dict() if name in after]
    assert [name for name in new.state_dict() if name in before] == kept  # in the old order


def test_it_trains_and_copies(
    converted: tuple[nn.Module, nn.Module, Changes, torch.Tensor],
) -> None:
    _, new, _, inputs = converted
    output = copy.deepcopy(new.train())(inputs)
    output.square().mean().backward()
    assert torch.isfinite(output).all()


def test_what_a_resnet_becomes() -> None:
    model, _images = resnet()
    new, changes = selfnorm.convert(model)
    assert changes.counts() == {"folded": 10, "replaced": 5, "scaled": 4, "initialized": 1}
    block = new.get_submodule("layer1.0")
    assert "0.7071067811865476" in block.code  # pyright: ignore
    assert isinstance(block.get_submodule("relu"), selfnorm.nn.SELU)
    assert not changes.left
    text = str(changes)
    assert max(map(len, text.splitlines())) <= 80
    for words in (
        "- BatchNorm2d(32)",
        "+ Identity()",
        "sqrt(1/2) * ",
        "a part of conv1, which got a",
    ):
        assert words in text, text


def test_outputs_keep_their_range() -> None:
    model, rows = autoencoder()
    new, changes = selfnorm.convert(model)
    assert isinstance(new.decoder[-1], nn.Sigmoid)  # pyright: ignore
    output = new(rows)
    assert output.min() >= 0
    assert output.max() <= 1
    generator, _noise = NETWORKS["generator"]()
    new, changes = selfnorm.convert(generator)
    (left,) = changes.left
    assert (left.before, left.why) == ("Tanh()", "it is the output's, which keeps its range")


def test_functions_become_modules() -> None:
    model, tokens = reader()
    new, _changes = selfnorm.convert(model)
    assert isinstance(new, type(model))
    kinds = {name: type(m).__name__ for name, m in new.named_children()}
    assert kinds["selu"] == "SELU"
    assert kinds["alpha_dropout"] == "AlphaDropout"
    new.eval()
    assert torch.equal(new(tokens), new(tokens))  # dropout follows the mode
    new.train()
    assert not torch.equal(new(tokens), new(tokens))


def test_dropout_keeps_within_the_budget_of_the_depth() -> None:
    layers = [m for _ in range(30) for m in (nn.Linear(8, 8), nn.ReLU(), nn.Dropout(0.5))]
    new, changes = selfnorm.convert(nn.Sequential(*layers, nn.Linear(8, 1)))
    assert isinstance(new, nn.Sequential)
    assert new[1].p == 0.08
    assert any("30 SELU layers afford p = 0.08" in change.why for change in changes)


def test_pre_norm_blocks_lose_their_norms() -> None:
    model, _images = mixer()
    new, changes = selfnorm.convert(model)
    assert not any(isinstance(m, nn.LayerNorm) for m in new.modules())
    assert changes.counts()["scaled"] == 6
    assert changes.counts()["fused"] == 6


def test_a_block_alone() -> None:
    """Nothing with weights follows the last ReLU, so it stays the output's."""
    new, changes = selfnorm.convert(nn.Sequential(BasicBlock(8, 8)), init=None)
    assert new(torch.randn(2, 8, 4, 4)).shape == (2, 8, 4, 4)
    assert changes.counts()["folded"] == 2
