"""A monitor sees what the layers do in training, and changes nothing of it."""

import copy
import warnings
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import selfnorm
from selfnorm.errors import ArgumentError, SelfNormWarning, UnsupportedError
from selfnorm.plots._monitor import plot_monitor
from selfnorm.recording import Observation
from selfnorm.theory import THEOREM_1
from selfnorm.watch import Monitor, lightning_callback
from support.networks import NETWORKS, Functional, plain


@pytest.fixture(autouse=True)
def _quiet() -> Generator[None]:
    """Theorem 1's conditions are left soon; one test asks for the warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SelfNormWarning)
        yield


def trained(
    model: nn.Module, steps: int, watched: nn.Module | None = None, **more: object
) -> tuple[Monitor, list[Tensor]]:
    """Train a little; the monitor and the losses."""
    torch.manual_seed(0)
    optimizer = torch.optim.SGD(model.parameters(), 1e-2)
    losses: list[Tensor] = []
    with selfnorm.monitor(watched or model, **more) as monitor:  # pyright: ignore
        for _ in range(steps):
            optimizer.zero_grad()
            loss = (watched or model)(torch.randn(64, 64)).square().mean()
            loss.backward()
            optimizer.step()
            losses.append(loss.detach())
    return monitor, losses


@pytest.mark.parametrize("one_node", [False, True])
def test_it_changes_nothing_of_the_training(one_node: bool) -> None:
    """To the bit; of layers that run as one node to rounding: who is watched runs one by one."""
    torch.manual_seed(0)
    model: torch.nn.Module = selfnorm.nn.MLP(64, 3, width=64, depth=3, dropout=0.1)
    model = model if one_node else torch.nn.Sequential(*model)
    rival = copy.deepcopy(model)
    _, losses = trained(model, 6, every=2)
    _, expected = trained(rival, 6, every=100)
    tolerance = 1e-5 if one_node else 0.0
    assert [float(x) for x in losses] == pytest.approx([float(x) for x in expected], abs=tolerance)
    for one, other in zip(model.parameters(), rival.parameters(), strict=True):
        assert (one - other).abs().max() <= tolerance


def test_every_nth_step_is_seen() -> None:
    monitor, _ = trained(plain(3), 7, every=3)
    assert monitor.steps == 7
    assert sorted({record.step for record in monitor.records}) == [0, 3, 6]
    frame = monitor.history
    assert list(frame.columns) == [
        *("step", "layer", "kind", "mean", "variance", "omega", "tau", "gradient", "gain"),
        "gram_error",
    ]
    assert len(frame) == 3 * 7
    assert frame["gradient"].gt(0).all()
    hidden = frame[frame["kind"] == "SELU"]
    assert np.isfinite(hidden["gain"]).all()
    assert 0.5 < hidden["gain"].mean() < 1.5  # 1.0716 in wide networks


def test_figures_are_those_of_an_audit() -> None:
    torch.manual_seed(0)
    model, x = plain(3), torch.randn(256, 64)
    report = selfnorm.audit(model, x)
    with selfnorm.monitor(model) as monitor:
        model(x).sum().backward()
    for record, layer in zip(monitor.records, report.layers, strict=True):
        assert record.layer == layer.name
        assert record.variance == layer.variance
        assert record.mean == layer.mean
        assert np.isnan(record.tau) if not layer.weights else record.tau == layer.tau


def test_evaluation_is_no_step() -> None:
    model = plain(2)
    with selfnorm.monitor(model, every=1) as monitor:
        model.eval()
        model(torch.randn(8, 64))
        model.train()
        with torch.no_grad():
            model(torch.randn(8, 64))
    assert monitor.steps == 0
    assert monitor.history.empty


def test_no_hook_is_left() -> None:
    model = plain(2)

    def broken() -> None:
        with selfnorm.monitor(model, every=1):
            model(torch.randn(8, 64))
            raise KeyError

    with pytest.raises(KeyError):
        broken()
    with selfnorm.monitor(model, every=1) as monitor, pytest.raises(RuntimeError):
        model(torch.randn(8, 3))
    monitor.close()
    for module in model.modules():
        assert not module._forward_hooks
        assert not module._forward_pre_hooks
    assert torch.overrides._get_current_function_mode() is None


def test_functions_wrappers_and_compiled_models() -> None:
    monitor, _ = trained(Functional(), 2, every=1)
    assert "selu() (use 2)" in set(monitor.history["layer"])
    model = plain(2)
    names = [layer.name for layer in selfnorm.audit(model, torch.randn(64, 64)).layers]

    class Copying(nn.DataParallel):
        """Passes on a copy by a way that no function shows, as `DataParallel` does on GPUs."""

        def forward(self, x: Tensor) -> Tensor:
            return self.module(torch.tensor(x.tolist(), device=next(self.parameters()).device))

    for wrap in (Copying, lambda m: torch.compile(m.cpu(), backend="eager")):
        monitor, _ = trained(model, 2, wrap(model), every=2)  # pyright: ignore
        assert list(monitor.history["layer"]) == names
    assert not any(module._forward_pre_hooks for module in model.modules())


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_of_every_kind(name: str) -> None:
    model, inputs = NETWORKS[name]()
    with selfnorm.monitor(model, every=1) as monitor:
        for _ in range(2):
            model(inputs).square().mean().backward()
    frame = monitor.history
    assert set(frame["step"]) == {0, 1}
    assert np.isfinite(frame["variance"]).all()
    assert frame["gradient"].notna().all()


def test_it_warns_once() -> None:
    model = plain(4)
    nn.init.kaiming_normal_(model[0].weight)
    warnings.simplefilter("always")
    with pytest.warns(SelfNormWarning, match=r"left at step 0: tau of '0' is [12]\.") as caught:
        trained(model, 4, every=1)
    assert len(caught) == 1


@pytest.mark.parametrize("orthogonal", [True, False])
def test_behind_orthogonal_weights_the_mean_is_no_condition(orthogonal: bool) -> None:
    model = nn.Sequential(nn.Linear(64, 64), nn.SELU(), nn.Linear(64, 2))
    with torch.no_grad():
        model[0].weight.copy_(torch.eye(64))
        if not orthogonal:
            model[0].weight.copy_(torch.eye(64).roll(1, 0).index_fill_(0, torch.arange(32), 0.0))
            model[0].weight[:32, 0] = 1.0  # of norm 1 as well, and all alike
        model[0].bias.zero_()
    torch.manual_seed(0)
    x = 0.9 + torch.randn(256, 64)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", SelfNormWarning)
        with selfnorm.monitor(model) as monitor:
            model(x).sum().backward()
    assert ["mean of '1'" in str(one.message) for one in caught] == ([] if orthogonal else [True])
    assert THEOREM_1.holds("variance", monitor.records[1].variance)


def test_a_right_network_is_within_the_conditions() -> None:
    torch.manual_seed(0)
    model = selfnorm.nn.MLP(512, 3, width=512, depth=4)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with selfnorm.monitor(model):
            model(torch.randn(512, 512)).sum().backward()


@pytest.mark.parametrize("seed", range(8))
def test_a_right_network_of_few_units_is_not_blamed(seed: int) -> None:
    """As an audit has no fault to find there either."""
    torch.manual_seed(seed)
    model, x = selfnorm.nn.MLP(32, 3, width=32, depth=4), torch.randn(64, 32)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with selfnorm.monitor(model):
            model(x).sum().backward()
    assert selfnorm.audit(model, x).ok


def test_two_calls_are_one_step() -> None:
    """A discriminator's, on what is real and what is not; and once more for the generator."""
    torch.manual_seed(0)
    model, other = plain(2), nn.Linear(64, 64)
    optimizer = torch.optim.SGD(model.parameters(), 1e-3)
    others = torch.optim.SGD(other.parameters(), 1e-3)
    x = torch.randn(64, 64)
    with selfnorm.monitor(model, every=2) as monitor:
        for _ in range(3):
            loss = model(x).square().mean() - model(other(x).detach()).square().mean()
            loss.backward()
            optimizer.step()
            model(other(x)).square().mean().backward()
            others.step()
    assert monitor.steps == 4  # the first, and one after each update
    assert {record.step for record in monitor.records} == {0, 2}
    assert all(record.gradient > 0 for record in monitor.records)


class Noted:
    """A writer that keeps what it gets."""

    def __init__(self) -> None:
        self.scalars: list[tuple[str, float, int]] = []

    def add_scalar(self, tag: str, scalar_value: float, global_step: int) -> None:
        self.scalars.append((tag, scalar_value, global_step))


def test_a_writer_gets_each_figure() -> None:
    writer = Noted()
    monitor, _ = trained(plain(2), 3, every=2, writer=writer)
    tags = {tag for tag, _, _ in writer.scalars}
    assert {"selfnorm/variance/0", "selfnorm/tau/2", "selfnorm/gain/1"} <= tags
    assert {step for _, _, step in writer.scalars} == {0, 2}
    assert all(np.isfinite(value) for _, value, _ in writer.scalars)
    assert monitor.records


def test_tensorboard_reads_it(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(tmp_path)) as writer:
        monitor, _ = trained(plain(2), 3, every=1, writer=writer)
    events = EventAccumulator(str(tmp_path)).Reload()
    found = [event.value for event in events.Scalars("selfnorm/variance/1")]
    expected = monitor.history.query("layer == '1'")["variance"]
    assert found == pytest.approx(list(expected))


def test_lightning_calls_it(tmp_path: Path) -> None:
    lightning = pytest.importorskip("lightning.pytorch")

    class Fitted(lightning.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.net = plain(2)

        def training_step(self, batch: list[Tensor], _: int) -> Tensor:
            return self.net(batch[0]).square().mean()

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.SGD(self.parameters(), 1e-2)

    data = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.randn(96, 64)), 16)
    for module in ("", "net"):
        callback = lightning_callback(every=2, module=module)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            trainer = lightning.Trainer(
                max_epochs=1, accelerator="cpu", logger=False, enable_checkpointing=False,
                enable_progress_bar=False, enable_model_summary=False, callbacks=[callback],
                default_root_dir=str(tmp_path),
            )  # fmt: skip
            trainer.fit(Fitted(), data)
        frame = callback.monitor.history
        assert sorted(set(frame["step"])) == [0, 2, 4]
        assert frame["gradient"].gt(0).all()
        assert any(name.endswith("3") for name in frame["layer"])


def test_without_lightning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("selfnorm._lightning.importlib.import_module", _missing(ImportError))
    with pytest.raises(UnsupportedError, match="neither lightning nor"):
        lightning_callback()


def _missing(error: type[Exception]) -> Callable[[str], object]:
    def fail(name: str) -> object:
        raise error(name)

    return fail


def test_the_figure() -> None:
    monitor, _ = trained(plain(3), 4, every=1)
    axes = monitor.plot().axes
    assert [a.get_title(loc="left") for a in axes[:3]] == [
        *("Variance", "tau of the weights", "Gradient gain"),
    ]
    assert len(axes[0].lines) == 7
    assert len(axes[1].lines) == 4
    frame = monitor.history
    for line, (_, seen) in zip(axes[0].lines, frame.groupby("layer", sort=False), strict=True):
        assert list(line.get_xdata()) == list(seen["step"])
        assert list(line.get_ydata()) == list(seen["variance"])
    assert axes[3].get_ylim() == (1, 7)


def test_the_figure_goes_over_the_records_once() -> None:
    class Counted(list[Observation]):
        passes = 0

        def __iter__(self) -> Iterator[Observation]:
            self.passes += 1
            return super().__iter__()

    monitor, _ = trained(plain(3), 2, every=1)
    records = Counted(monitor.records)
    plot_monitor(records)
    assert records.passes <= 2  # to group them and to number the layers, whatever their count


def test_memory_stays_flat() -> None:
    """A watched step keeps sums, not activations."""
    import gc

    model = plain(4)
    with selfnorm.monitor(model, every=1) as monitor:
        counts: list[int] = []
        for _ in range(3):
            model(torch.randn(64, 64)).sum().backward()
            gc.collect()
            large = [o for o in gc.get_objects() if type(o) is Tensor and o.shape == (64, 64)]
            counts.append(len([o for o in large if not o.is_leaf or o.grad_fn]))
    assert counts == [0, 0, 0]
    assert len(monitor.records) == 27


@pytest.mark.parametrize(
    ("model", "every", "error"), [("net", 1, UnsupportedError), (plain(1), 0, ArgumentError)]
)
def test_wrong_arguments(model: nn.Module, every: int, error: type[Exception]) -> None:
    with pytest.raises(error, match="got"):
        selfnorm.monitor(model, every)


def test_kept_weights_are_seen_to_stay_orthogonal(tmp_path: Path) -> None:
    """Of hidden layers alone, and a panel of their own."""
    torch.manual_seed(0)
    model = selfnorm.nn.MLP(64, 3, width=64, depth=3, weights="orthogonal")
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    kept = selfnorm.optim.keep_orthogonal(optimizer, model)
    with selfnorm.monitor(model, every=5) as monitor:
        for _ in range(11):
            now = kept.error
            optimizer.zero_grad()
            model(torch.randn(64, 64)).square().mean().backward()
            optimizer.step()
    last = {r.layer: r.gram_error for r in monitor.records if r.step == 10}
    hidden = [f"linear{k}" for k in (1, 2, 3)]
    assert [name for name, error in last.items() if np.isfinite(error)] == hidden
    for name in hidden:
        assert 0.9 * now[f"{name}.weight"] < last[name] < 1.001 * now[f"{name}.weight"] + 1e-6
    assert len(monitor.plot().axes) == 5  # four panels and a scale of colors
    free, _ = trained(plain(3), 2, every=1)
    assert not free.history["gram_error"].notna().any()
    assert len(free.plot().axes) == 4
