"""What is not installed is missed by those who need it alone, and said in one line."""

import importlib.metadata
import os
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from selfnorm import _extras
from selfnorm.errors import MissingPackageError
from support.fresh import run_fresh, without_ours

SOURCE = Path(__file__).parent.parent / "src"


def needed(*names: str) -> set[str]:
    """Distributions with all that they need to be imported, on this machine."""
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop().lower().replace("_", "-")
        if name in found:
            continue
        found.add(name)
        for text in importlib.metadata.requires(name) or ():
            wanted = Requirement(text)
            if wanted.marker is None or wanted.marker.evaluate({"extra": ""}):
                waiting.append(wanted.name)
    return found


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of packages that holds torch and NumPy, what they need, and selfnorm."""
    folder = tmp_path_factory.mktemp("bare")
    return site(folder, "torch", "numpy")


@pytest.fixture(scope="module")
def without_torch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One that holds NumPy, SciPy, Jinja2 and selfnorm."""
    return site(tmp_path_factory.mktemp("without_torch"), "numpy", "scipy", "jinja2")


def site(folder: Path, *names: str) -> Path:
    """A folder of links to the files of some distributions; selfnorm's own go in as they are."""
    for name in needed(*names):
        files = importlib.metadata.files(name) or ()
        for top in {Path(str(file)).parts[0] for file in files} - {"..", "__pycache__"}:
            target = Path(str(importlib.metadata.distribution(name).locate_file(top)))
            if target.exists() and not (folder / top).exists():
                (folder / top).symlink_to(target)
    version = importlib.metadata.version("selfnorm")
    (folder / "selfnorm").symlink_to(SOURCE / "selfnorm")
    record = folder / f"selfnorm-{version}.dist-info"
    record.mkdir()
    (record / "METADATA").write_text(f"Metadata-Version: 2.1\nName: selfnorm\nVersion: {version}\n")
    return folder


def run(folder: Path, code: str) -> subprocess.CompletedProcess[str]:
    """A fresh Python that has this folder alone, and the standard library."""
    start = f"import sys; sys.path.insert(0, {str(folder)!r})\n{code}"
    return subprocess.run(
        [sys.executable, "-I", "-S", "-W", "error", "-c", start],
        env=without_ours(os.environ),
        capture_output=True,
        text=True,
        check=False,
    )


MODULES = """
import torch, selfnorm
from selfnorm import init, nn, ops
x = torch.randn(256, 64)
model = nn.MLP(64, 3, width=64, depth=4, dropout=0.05)
model(x).square().mean().backward()
assert 0.5 < float(model[:-1](x).detach().var()) < 2
init.initialize_(torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3)))
assert abs(float(selfnorm.selu(torch.ones(1))) - 1.0507) < 1e-3
print(ops.serving()["CPU"])
"""


def test_modules_work_with_torch_and_numpy_alone(bare: Path) -> None:
    said = run_fresh(MODULES, site=bare, warnings="error")
    assert said == "plain torch, as numba is not installed\n"


TOLD = """
import sys
import selfnorm
try:
    eval(sys.argv[1])
except selfnorm.errors.MissingPackageError as error:
    print(error)
"""


@pytest.mark.parametrize(
    ("call", "package", "brings"),
    [
        ("selfnorm.SelfNormClassifier", "scikit-learn", "pip install 'selfnorm[tables]'"),
        ("selfnorm.tabular.fit", "PyArrow", "pip install 'selfnorm[tables]'"),
        ("selfnorm.plots.save", "Matplotlib", "pip install 'selfnorm[plots]'"),
        ("selfnorm.theory.certify", "python-flint", "pip install 'selfnorm[proofs]'"),
        ("selfnorm.theory.selu_constants(0.1)", "python-flint", "'selfnorm[proofs]'"),
        ("selfnorm.jax.selu", "JAX", "pip install 'selfnorm[jax]'"),
        ("selfnorm.keras.initialize", "Keras", "pip install 'selfnorm[keras]'"),
        ("selfnorm.theory.moments", "SciPy", "pip install selfnorm brings it"),
        ("selfnorm.audit", "SciPy", "pip install selfnorm brings it"),
        ("selfnorm.convert", "SciPy", "pip install selfnorm brings it"),
    ],
)
def test_what_is_missing_is_one_line(bare: Path, call: str, package: str, brings: str) -> None:
    (line,) = run_fresh(TOLD, call, site=bare, warnings="error").splitlines()
    assert package in line or "needs" in line
    assert brings in line


def test_the_command_line_says_so_in_one_line(bare: Path) -> None:
    outcome = run(bare, "from selfnorm.cli import main; main()")
    assert outcome.returncode == 2
    assert outcome.stderr.strip() == (
        "Error: This part of selfnorm needs Typer, which is not installed. pip install "
        "'selfnorm[cli]' brings it, 'selfnorm[all]' everything."
    )


def test_the_theory_needs_no_torch(without_torch: Path) -> None:
    code = """
import selfnorm
from selfnorm import recording, theory
mean, variance = theory.moments(0.0, 1.0)
assert abs(variance - 1) < 1e-12
print(theory.propagate(30, dropout=0.1).variance[-1].round(6), theory.selu_constants(digits=12))
from selfnorm._spec import _constants, _philox, _polynomials
from selfnorm.auditing import Finding, rule_names
from selfnorm.auditing import _charts, _predict
from selfnorm.report import _svg
assert len(rule_names()) == 41
assert "torch" not in sys.modules
"""
    outcome = run(without_torch, code)
    assert outcome.returncode == 0, outcome.stderr
    assert outcome.stdout.startswith("1.0 CertifiedConstants(alpha=Decimal('1.67326324235')")


def test_other_missing_packages_are_told_as_they_are() -> None:
    with pytest.raises(ModuleNotFoundError, match="nothing_of_this_name"), _extras.told():
        import nothing_of_this_name  # noqa: F401
    with pytest.raises(MissingPackageError, match=r"needs Typer"), _extras.told():
        raise ModuleNotFoundError("No module named 'typer.main'", name="typer.main")
    assert issubclass(MissingPackageError, ImportError)
