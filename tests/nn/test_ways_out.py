"""Every way out of Python: whatever takes torch's SELU and alpha dropout takes ours.

Beside each module stands its twin in torch's own. A way gives a function and the names of the
operations in what it made; both shall be those of the twin.
"""

import copy
import importlib.util
import io
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import selfnorm
from selfnorm.nn import MLP, SELU, AlphaDropout, FeatureAlphaDropout, SELUAlphaDropout
from selfnorm.theory import SELUForm, selu_constants, shaped_selu
from support.compare import assert_close, assert_same
from support.fresh import run_fresh
from support.require import require
from support.tolerances import EXPORTED, QUANTIZED

# What torch's exporters say about themselves, and of a model in training.
pytestmark = [
    pytest.mark.timeout(900),  # a C++ compiler on a busy machine
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore:Exporting a model while it is in training:UserWarning"),
    pytest.mark.filterwarnings("ignore:ONNX Preprocess:UserWarning"),
    pytest.mark.filterwarnings("ignore:It is recommended that constant folding:UserWarning"),
    pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor:UserWarning"),
]
DEEP, BOTH = shaped_selu(100), selu_constants(gradient_gain=1)
ROWS, IMAGES, IMAGE = (6, 5), (6, 3, 4, 4), (3, 4, 4)


def needs(*packages: str) -> None:
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    require("ways", f"{', '.join(missing)} is not installed" if missing else None)


# --- modules and their twins -----------------------------------------------------------------


class Branches(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.one, self.two, self.norm = nn.Linear(5, 5), nn.Linear(5, 5), nn.BatchNorm1d(5)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu(self.norm(self.one(x)))
        return self.two(functional.dropout(x, 0.2, self.training)) + x


def converted() -> nn.Module:
    images = nn.Sequential(
        nn.Conv2d(3, 5, 3), nn.BatchNorm2d(5), nn.ReLU(), nn.Dropout2d(0.2), nn.Flatten(),
        nn.Linear(20, 5), nn.ReLU(), nn.Dropout(0.2), Branches(),
    )  # fmt: skip
    return selfnorm.convert(images)[0]


class OfSample(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        x = functional.feature_alpha_dropout(x.unsqueeze(0), 0.2, self.training)
        return x.squeeze(0)


class Form(nn.Module):
    """A form of SELU in torch's own functions, with alpha dropout of mean 0 and variance 1."""

    def __init__(self, form: SELUForm, p: float = 0.0) -> None:
        super().__init__()
        self.linear, self.factor, self.shift = form
        self.drop = nn.AlphaDropout(p) if p else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        if self.linear > 0:
            return self.drop(functional.selu(x) * self.factor + x * self.linear)
        return self.drop(functional.selu(x)) * self.factor + self.shift


class Case(NamedTuple):
    module: Callable[[], nn.Module]
    twin: Callable[[nn.Module], nn.Module]
    shape: tuple[int, ...]


def _twin(*layers: nn.Module) -> Callable[[nn.Module], nn.Module]:
    return lambda _: nn.Sequential(*layers) if len(layers) > 1 else layers[0]


def _plain_mlp(ours: nn.Module) -> nn.Module:
    layers: list[nn.Module] = []
    for name, layer in ours.named_children():
        layers += [nn.SELU(), nn.AlphaDropout(0.2)] if "selu" in name else [copy.deepcopy(layer)]
    return nn.Sequential(*layers)


CASES = {
    "SELU": Case(SELU, _twin(nn.SELU()), ROWS),
    "SELU in place": Case(lambda: SELU(inplace=True), _twin(nn.SELU(inplace=True)), ROWS),
    "SELUAlphaDropout": Case(
        lambda: SELUAlphaDropout(0.2), _twin(nn.SELU(), nn.AlphaDropout(0.2)), ROWS
    ),
    "AlphaDropout": Case(lambda: AlphaDropout(0.2), _twin(nn.AlphaDropout(0.2)), ROWS),
    "FeatureAlphaDropout": Case(
        lambda: FeatureAlphaDropout(0.2, spatial_dims=2),
        _twin(nn.FeatureAlphaDropout(0.2)),
        IMAGES,
    ),
    "FeatureAlphaDropout of a sample": Case(
        lambda: FeatureAlphaDropout(0.2, spatial_dims=2),
        _twin(OfSample()),
        IMAGE,
    ),
    "SELU for a depth, in place": Case(lambda: SELU(True, depth=100), _twin(Form(DEEP)), ROWS),
    "SELUAlphaDropout for a depth": Case(
        lambda: SELUAlphaDropout(0.2, depth=100), _twin(Form(DEEP, 0.2)), ROWS
    ),
    "SELUAlphaDropout bidirectional": Case(
        lambda: SELUAlphaDropout(0.2, True, bidirectional=True), _twin(Form(BOTH, 0.2)), ROWS
    ),
    "MLP": Case(lambda: MLP(5, 2, width=7, depth=2, dropout=0.2), _plain_mlp, ROWS),
    "converted": Case(converted, selfnorm.deploy, IMAGES),
}
each_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES)


def build(case: Case, *, training: bool) -> tuple[nn.Module, nn.Module, Tensor]:
    torch.manual_seed(0)
    module = case.module().train(training)
    with torch.no_grad():
        for parameter in module.parameters():
            if parameter.ndim == 1:  # or exporters store all zero biases as one
                parameter.uniform_(-0.5, 0.5)
    return module, case.twin(module).train(training), torch.randn(case.shape)


# ONNX's exporter takes torch's SELU in place apart.
NOT_IN_PLACE = {"SELU in place": lambda _: nn.SELU().train(_.training)}

# --- ways -------------------------------------------------------------------------------------

Out = tuple[Callable[[Tensor], Tensor], list[str]]


def _script(module: nn.Module, x: Tensor, folder: Path) -> Out:
    return _reloaded(torch.jit.script(module), folder)


def _trace(module: nn.Module, x: Tensor, folder: Path) -> Out:
    return _reloaded(torch.jit.trace(module, x.clone(), check_trace=False), folder)


def _reloaded(scripted: Any, folder: Path) -> Out:
    torch.jit.save(scripted, folder / "model.pt")
    loaded = torch.jit.load(folder / "model.pt")
    return loaded, re.findall(r" aten::(\w+)", str(loaded.inlined_graph))


def _export(module: nn.Module, x: Tensor, folder: Path, *, strict: bool = False) -> Out:
    torch.export.save(_program(module, x, strict=strict), folder / "model.pt2")
    program = torch.export.load(folder / "model.pt2")
    return program.module(), _calls(program.graph)


def _program(module: nn.Module, x: Tensor, *, strict: bool = False) -> Any:
    dims = ({0: torch.export.Dim.DYNAMIC},) if x.shape != IMAGE else None
    return torch.export.export(module, (x.clone(),), dynamic_shapes=dims, strict=strict)


def _calls(graph: Any) -> list[str]:
    return [str(node.target) for node in graph.nodes if node.op == "call_function"]


def _onnx(module: nn.Module, x: Tensor, folder: Path, *, dynamo: bool) -> Out:
    needs("onnx", "onnxruntime", "onnxscript")
    import onnx
    import onnxruntime

    path = str(folder / "model.onnx")
    modes = torch.onnx.TrainingMode
    training: Any = {} if dynamo or not module.training else {"training": modes.TRAINING}
    torch.onnx.export(module, (x.clone(),), path, dynamo=dynamo, verbose=False, **training)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (name,) = [taken.name for taken in session.get_inputs()]
    return (
        lambda x: torch.from_numpy(session.run(None, {name: x.numpy()})[0]),
        [node.op_type for node in onnx.load(path).graph.node],
    )


def _inductor(module: nn.Module, x: Tensor, _: Path) -> Out:
    torch.compiler.reset()
    return torch.compile(module, fullgraph=True), []


def _aoti(module: nn.Module, x: Tensor, folder: Path) -> Out:
    needs_compiler()
    path = str(folder / "model.pt2")
    torch._inductor.aoti_compile_and_package(_program(module, x), package_path=path)
    return torch._inductor.aoti_load_package(path), []


def needs_compiler() -> None:
    found = shutil.which("g++") or shutil.which("clang++")
    require("ways", None if found else "AOTInductor needs a C++ compiler")


def _dynamic(module: nn.Module, x: Tensor, _: Path) -> Out:
    return torch.ao.quantization.quantize_dynamic(module, {nn.Linear}), []


def _pt2e(module: nn.Module, x: Tensor, _: Path) -> Out:
    needs("torchao")
    import torchao.quantization.pt2e.quantizer.x86_inductor_quantizer as x86
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

    quantizer = x86.X86InductorQuantizer()
    quantizer.set_global(x86.get_default_x86_inductor_quantization_config())
    program = torch.export.export(module, (x.clone(),))
    prepared = prepare_pt2e(program.module(), quantizer)
    prepared(x.clone())
    made = convert_pt2e(prepared)
    return made, _calls(made.graph)


WAYS: dict[str, Callable[[nn.Module, Tensor, Path], Out]] = {
    "script": _script,
    "trace": _trace,
    "export": _export,
    "export strict": lambda *given: _export(*given, strict=True),
    "onnx": lambda *given: _onnx(*given, dynamo=True),
    "onnx by TorchScript": lambda *given: _onnx(*given, dynamo=False),
    "compile": _inductor,
    "AOTInductor": _aoti,
    "dynamic quantization": _dynamic,
    "PT2E quantization": _pt2e,
}
NETWORKS = {"MLP", "converted"}
# Some take seconds a model, and quantizing is for models with layers to quantize.
ON: dict[str, set[str]] = dict.fromkeys(
    ("compile", "dynamic quantization", "PT2E quantization"), NETWORKS
)
ON |= {"AOTInductor": set[str]()}  # a file, and tried as such
# Other forms of SELU are the same few operations on every way; the slow ones are tried with one.
FORMS = {name for name in CASES if "for a depth" in name or "bidirectional" in name}
ON |= {"export strict": CASES.keys() - FORMS, "onnx": CASES.keys() - FORMS | {min(FORMS)}}
PAIRS = [(way, name) for way in WAYS for name in CASES if name in ON.get(way, CASES)]
# What a file for ONNX consists of, node by node.
NODES = {name: ["Selu"] for name in ("SELU", "SELU in place", "SELUAlphaDropout")}
NODES["MLP"] = ["Gemm", "Selu", "Gemm", "Selu", "Gemm"]
# Where masks are torch's, so that the same seed gives the same.
OF_TORCH = ("script", "trace", "export", "export strict")
# What dropout is in evaluation; what says that a result was written in place; shapes and choices.
DROPOUTS = {"alpha_dropout", "feature_alpha_dropout"}
WRITTEN = {"copy", "clone", "zero", "Identity"}
AROUND = {"dim", "add", "eq", "gt", "lt", "isnot", "format", "Float", "unsqueeze", "squeeze"}
AROUND |= {"Unsqueeze", "Squeeze", "Constant"}


def operations(names: list[str], *, training: bool) -> list[str]:
    """What computes; in place and not are one."""
    plain = {name.removeprefix("aten.").split(".")[0].strip("_") for name in names}
    return sorted(plain - AROUND - WRITTEN - (set[str]() if training else DROPOUTS))


@pytest.mark.parametrize(("way", "name"), PAIRS)
def test_in_evaluation(way: str, name: str, tmp_path: Path) -> None:
    """The module's result and the twin's, by the twin's operations; SELU is one of them."""
    module, twin, x = build(CASES[name], training=False)
    expected = module(x.clone())
    made, names = WAYS[way](module, x, tmp_path)
    assert "selfnorm" not in str(names)
    with torch.no_grad():
        if "quantization" in way:
            of_twin, twins = WAYS[way](twin, x, tmp_path)
            assert_close(made(x.clone()), of_twin(x.clone()), EXPORTED)
            assert (made(x.clone()) - expected).abs().max() < QUANTIZED
        else:
            assert_close(made(x.clone()), expected.detach(), EXPORTED)
            assert_close(twin(x.clone()), expected.detach(), EXPORTED)
            twins = WAYS[way](NOT_IN_PLACE.get(name, lambda m: m)(twin), x, tmp_path)[1]
    assert operations(names, training=False) == operations(twins, training=False)
    if names and (name in NETWORKS or name.startswith("SELU")):
        assert {"selu", "Selu"} & set(operations(names, training=False))
    if "onnx" in way and name in NODES:
        assert names == NODES[name]


@pytest.mark.parametrize(("way", "name"), [pair for pair in PAIRS if pair[0] in OF_TORCH])
def test_in_training(way: str, name: str, tmp_path: Path) -> None:
    """Masks come from torch's generator, as the twin's do, and gradients follow them."""
    module, twin, x = build(CASES[name], training=True)
    made, names = WAYS[way](module, x, tmp_path)
    _, twins = WAYS[way](twin, x, tmp_path)
    assert operations(names, training=True) == operations(twins, training=True)
    results = []
    for run in (made, twin):
        leaf = x.clone().requires_grad_()
        torch.manual_seed(1)
        y = run(leaf * 1)
        results.append((y.detach(), torch.autograd.grad(y.square().sum(), leaf)[0]))
    for actual, expected in zip(*results, strict=True):
        assert_close(actual, expected, EXPORTED)


# SELU is the same in training, and an MLP a row of what is there by itself.
@pytest.mark.parametrize("name", sorted(CASES.keys() - FORMS - {"SELU", "SELU in place", "MLP"}))
def test_in_training_to_onnx(name: str, tmp_path: Path) -> None:
    module, twin, x = build(CASES[name], training=True)
    twin = NOT_IN_PLACE.get(name, lambda m: m)(twin)
    _, names = _onnx(module, x, tmp_path, dynamo=True)
    _, twins = _onnx(twin, x, tmp_path, dynamo=True)
    assert operations(names, training=True) == operations(twins, training=True)


@pytest.mark.parametrize("way", OF_TORCH)
def test_another_batch(way: str, tmp_path: Path) -> None:
    module, _, x = build(CASES["converted"], training=False)
    made, _ = WAYS[way](module, x, tmp_path)
    more = torch.cat([x, x + 1, x - 1])
    assert_close(made(more).detach(), module(more).detach(), EXPORTED)


LOAD = """
import sys
import torch

sys.modules["selfnorm"] = None  # importing it fails
KINDS = {
    "script": torch.jit.load,
    "trace": torch.jit.load,
    "export": lambda path: torch.export.load(path).module(),
    "AOTInductor": torch._inductor.aoti_load_package,
}
for folder in sys.argv[1:]:
    way = folder.rpartition("/")[2].partition(" of ")[0]
    model = KINDS[way](f"{folder}/model.pt" + "2" * (way in ("export", "AOTInductor")))
    torch.save(model(torch.load(f"{folder}/x")), f"{folder}/y")
"""


def test_files_need_no_selfnorm(tmp_path: Path) -> None:
    """Saved here, loaded and run where it cannot be imported."""
    expected: dict[Path, Tensor] = {}
    pairs = [(way, name) for way in ("script", "trace", "export") for name in CASES]
    if shutil.which("g++") or shutil.which("clang++"):
        pairs.append(("AOTInductor", "MLP"))
    for way, name in pairs:
        folder = tmp_path / f"{way} of {name}"
        folder.mkdir()
        module, _, x = build(CASES[name], training=False)
        WAYS[way](module, x, folder)
        torch.save(x, folder / "x")
        expected[folder] = module(x.clone()).detach()
    run_fresh(LOAD, *expected, warnings="ignore")
    for folder, result in expected.items():
        assert_close(torch.load(folder / "y").detach(), result, EXPORTED)


COPY = """
import sys
import torch

for path in sys.argv[1:]:
    model = torch.load(path, weights_only=False)
    torch.manual_seed(1)
    torch.save(model(torch.load(f"{path}.x")), f"{path}.y")
"""


@pytest.mark.parametrize("training", [False, True])
def test_pickles_and_copies_are_the_same_module(training: bool, tmp_path: Path) -> None:
    """With masks of torch's generator, or of the module's own, whose state goes along."""
    expected: dict[Path, Tensor] = {}
    for name, case in CASES.items():
        for own in (False, True):
            module, _, x = build(case, training=training)
            for part in module.modules():
                if own and hasattr(part, "generator"):
                    part.generator = torch.Generator().manual_seed(2)
            path = tmp_path / f"{name}-{own}"
            torch.save(module, path)
            torch.save(x, f"{path}.x")
            copied = copy.deepcopy(module)
            torch.manual_seed(1)
            expected[path] = module(x.clone()).detach()
            torch.manual_seed(1)
            assert_same(copied(x.clone()).detach(), expected[path])
    run_fresh(COPY, *expected, warnings="ignore")
    for path, result in expected.items():
        assert_same(torch.load(f"{path}.y").detach(), result)


@pytest.mark.parametrize(
    "module", [SELUAlphaDropout(0.3), AlphaDropout(0.3), FeatureAlphaDropout(0.3, spatial_dims=1)]
)
def test_a_generator_stays_behind_in_a_script(module: Any) -> None:
    """TorchScript cannot save one: masks then come from torch's."""
    module.generator = torch.Generator()
    scripted: Any = torch.jit.script(module)
    x = torch.randn(3, 4, 5)
    results = []
    for _ in range(2):
        torch.manual_seed(0)
        results.append(scripted(x))
    assert_same(*results)
    assert not torch.equal(results[0], scripted(x))
    buffer = io.BytesIO()
    torch.jit.save(scripted, buffer)


@pytest.mark.parametrize("p", [0, 1])
@pytest.mark.parametrize("kind", [SELUAlphaDropout, AlphaDropout, FeatureAlphaDropout])
def test_a_whole_number_is_a_probability_in_a_script(kind: Any, p: int) -> None:
    x = torch.randn(3, 4)
    assert_close(torch.jit.script(kind(p))(x), kind(p)(x), EXPORTED)


def test_a_deployed_elu_has_gemm_and_elu_alone(tmp_path: Path) -> None:
    needs("onnx", "onnxruntime", "onnxscript")
    module, _, x = build(CASES["MLP"], training=False)
    plain = selfnorm.deploy(module, elu=True)
    for dynamo in (True, False):
        made, names = _onnx(plain, x, tmp_path, dynamo=dynamo)
        assert names == ["Gemm", "Elu", "Gemm", "Elu", "Gemm"]
        assert_close(made(x), module(x).detach(), EXPORTED)


def test_onnx_expects_the_same_of_selu(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Of ONNX's node tests the one with SELU's constants; and its reference runs our file."""
    needs("onnx", "onnxruntime", "onnxscript")
    import onnx
    from onnx.backend.test.case.node import selu as node_tests
    from onnx.reference import ReferenceEvaluator

    found: dict[str, tuple[Tensor, Tensor]] = {}

    def record(node: Any, inputs: list[Any], outputs: list[Any], name: str) -> None:
        standard = not node.attribute
        (x,), (y,) = inputs, outputs
        if standard:
            found[name] = torch.from_numpy(x), torch.from_numpy(y)

    monkeypatch.setattr(node_tests, "expect", record)
    node_tests.Selu.export()
    node_tests.Selu.export_selu_default()
    x, expected = found.pop("test_selu_default")
    assert not found
    assert_close(selfnorm.selu(x), expected, EXPORTED)
    _onnx(SELU(), x, tmp_path, dynamo=True)
    evaluator = ReferenceEvaluator(onnx.load(tmp_path / "model.onnx"))
    (result,) = evaluator.run(None, {evaluator.input_names[0]: x.numpy()})
    assert_close(torch.from_numpy(result), expected, EXPORTED)
