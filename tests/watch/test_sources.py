"""Models and inputs by name."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from selfnorm.errors import ArgumentError, TableError
from selfnorm.watch import find_inputs, find_model

CODE = """
import torch
from torch import nn
def build(): return nn.Sequential(nn.Linear(4, 8), nn.SELU(), nn.Linear(8, 2))
def both(): return build(), torch.ones(3, 4)
def needs(x): return x
def fails(): raise OSError("no weights here")
def slips(): return 1 + "1"
def other(): return 3
class Net(nn.Linear):
    def __init__(self): super().__init__(2, 2)
    @classmethod
    def small(cls): return cls()
ready = build()
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    name = f"nets_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(CODE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", ["/somewhere"])
    return name


def test_factories_of_every_kind(module: str) -> None:
    for name in ("build", "ready", "Net", "Net.small"):
        model, inputs = find_model(f"{module}:{name}")
        assert isinstance(model, nn.Module)
        assert inputs is None
    model, inputs = find_model(f"{module}:both")
    assert isinstance(inputs, torch.Tensor)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("needs", r"without arguments; '.*' takes \(x\)"),
        ("fails", "a factory gives a model; .* raised OSError: no weights here"),
        ("slips", "a factory gives a model; .* raised TypeError"),
        ("other", "gave int"),
        ("absent", "no 'absent'"),
        ("torch.nan", "is float"),
    ],
)
def test_factories_that_are_none(module: str, name: str, says: str) -> None:
    with pytest.raises(ArgumentError, match=says):
        find_model(f"{module}:{name}")


def test_modules_that_are_none(module: str) -> None:
    with pytest.raises(ArgumentError, match="ModuleNotFoundError"):
        find_model("no_such_module:build")
    with pytest.raises(ArgumentError, match=r"package\.module:factory"):
        find_model("build")
    Path("broken_nets.py").write_text("1 +")
    with pytest.raises(ArgumentError, match="SyntaxError"):
        find_model("broken_nets:build")


def test_shapes() -> None:
    found = find_inputs("256x784")
    assert found.shape == (256, 784)
    assert torch.equal(found, find_inputs("256,784"))
    assert abs(float(found.var()) - 1) < 0.02  # sqrt(2 / 200704) is .003


def test_files(tmp_path: Path) -> None:
    array = np.arange(6.0).reshape(2, 3)
    np.save(tmp_path / "x.npy", array)
    torch.save({"x": torch.ones(2, 3)}, tmp_path / "x.pt")
    (tmp_path / "x.csv").write_text("a,b\n1,2.5\n3,4\n")
    assert find_inputs(str(tmp_path / "x.npy")).tolist() == array.tolist()
    assert find_inputs(str(tmp_path / "x.npy")).dtype == torch.float32
    assert find_inputs(str(tmp_path / "x.pt"))["x"].shape == (2, 3)
    assert find_inputs(str(tmp_path / "x.csv")).tolist() == [[1, 2.5], [3, 4]]


class Payload:
    """What must not be unpickled."""

    def __reduce__(self) -> tuple[object, ...]:
        return print, ("owned",)


def test_files_that_are_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save(Payload(), tmp_path / "evil.pt")
    np.save(tmp_path / "evil.npy", np.array([Payload()]), allow_pickle=True)
    for name in ("evil.pt", "evil.npy"):
        with pytest.raises(ArgumentError, match="without running code"):
            find_inputs(str(tmp_path / name))
    assert "owned" not in capsys.readouterr().out
    (tmp_path / "text.csv").write_text("a,b\n1,x\n")
    with pytest.raises(TableError, match=r"column 'b'.*string"):
        find_inputs(str(tmp_path / "text.csv"))
    (tmp_path / "gap.csv").write_text("a,b\n1,\n2,3\n")
    with pytest.raises(TableError, match="1 gaps"):
        find_inputs(str(tmp_path / "gap.csv"))
    (tmp_path / "x.txt").write_text("1")
    for name, says in (("x.txt", "ends in"), ("none.npy", "no such file"), ("3y4", "no such")):
        with pytest.raises(ArgumentError, match=says):
            find_inputs(str(tmp_path / name))
