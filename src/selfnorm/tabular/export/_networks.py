"""Networks inside a graph: layers, kernels, their blend, and what the outputs stand for."""

import numpy as np

from selfnorm.tabular._forward import Layers, layers_of, wide_of
from selfnorm.tabular._kernel import Waves, kernel_table
from selfnorm.tabular._model_file import Saved
from selfnorm.tabular.encoding._prediction import TINY
from selfnorm.tabular.encoding._several import LabelsTarget, NumbersTarget
from selfnorm.tabular.encoding._target import ClassTarget, Target
from selfnorm.tabular.export._graph import Graph
from selfnorm.theory._form import SELUForm

_KINDS = {bool: ("bool", np.bool_), int: ("int64", np.int64), float: ("double", np.float64)}


def add_networks(graph: Graph, saved: Saved, features: str) -> None:
    """From features, (rows, features) in float32, to the graph's outputs."""
    target = saved.target
    weights = np.ones(1) if saved.blend is None else np.asarray(saved.blend.weights)
    parts: list[str] = []
    for layers in layers_of(saved):
        share, weights = np.split(weights, [len(layers.linear[0][0])])
        if not share.any():
            continue
        outputs = graph.cast(_through(graph, layers, features), "double")
        said = _said(graph, target, outputs)
        counted = graph.node("Mul", said, share[:, None, None])
        parts.append(graph.node("ReduceSum", counted, graph.array([0], np.int64), keepdims=0))
    wide = graph.cast(features, "double")
    for at, share in zip(range(len(saved.wide)), weights, strict=True):
        if share:
            outputs = _regressed(graph, saved, at, wide)
            said = _said(graph, target, outputs)
            parts.append(graph.node("Mul", said, share))
    mixed = graph.node("Sum", *parts)
    sharpness = 1.0 if saved.blend is None else saved.blend.sharpness
    if isinstance(target, ClassTarget):
        _add_classes(graph, target, mixed, sharpness)
        return
    if isinstance(target, LabelsTarget):
        _add_labels(graph, target, mixed, sharpness)
        return
    if isinstance(target, NumbersTarget):
        _add_numbers(graph, target, mixed, sharpness)
        return
    number = graph.node("Squeeze", mixed, graph.array([1], np.int64))
    number = graph.node("Add", graph.node("Mul", number, sharpness * target.deviation), target.mean)
    if target.ends is not None:
        number = graph.node("Clip", number, *target.ends)
    graph.output(number, "prediction", "double")


def _said(graph: Graph, target: Target, outputs: str) -> str:
    """What networks are averaged by."""
    if isinstance(target, ClassTarget):
        return graph.node("Softmax", outputs, axis=-1)
    return graph.node("Sigmoid", outputs) if isinstance(target, LabelsTarget) else outputs


def _add_numbers(graph: Graph, target: NumbersTarget, mixed: str, sharpness: float) -> None:
    unit = graph.array(sharpness * np.asarray(target.deviations))
    numbers = graph.node("Add", graph.node("Mul", mixed, unit), graph.array(target.means))
    low, high = np.asarray(target.ends).T
    numbers = graph.node("Min", graph.node("Max", numbers, graph.array(low)), graph.array(high))
    graph.output(numbers, "prediction", "double", target.outputs)


def _add_labels(graph: Graph, target: LabelsTarget, mixed: str, sharpness: float) -> None:
    has = graph.node("Log", graph.node("Max", mixed, TINY))
    has_not = graph.node("Log", graph.node("Max", graph.node("Sub", 1.0, mixed), TINY))
    logits = graph.node("Mul", graph.node("Sub", has, has_not), sharpness)
    told = graph.node("Sigmoid", logits)
    labels = graph.cast(graph.node("Greater", told, 0.5), "int64")
    graph.output(labels, "label", "int64", target.outputs)
    graph.output(graph.cast(told, "float"), "probabilities", "float", target.outputs)


def _add_classes(graph: Graph, target: ClassTarget, mixed: str, sharpness: float) -> None:
    logits = graph.node("Mul", graph.node("Log", graph.node("Max", mixed, TINY)), sharpness)
    told = graph.node("Softmax", logits, axis=-1)
    kind, labels = _labels(graph, target)
    best = graph.node("ArgMax", told, axis=-1, keepdims=0)
    graph.output(graph.node("Gather", labels, best, axis=0), "label", kind)
    graph.output(graph.cast(told, "float"), "probabilities", "float", target.outputs)


def _labels(graph: Graph, target: ClassTarget) -> tuple[str, str]:
    """The classes, and the kind of them."""
    first = target.classes[0]
    if isinstance(first, str):
        return "string", graph.texts(target.classes)
    name, kind = _KINDS[type(first)]
    return name, graph.array(target.classes, kind)


def _through(graph: Graph, layers: Layers, rows: str) -> str:
    """The outputs of members, (members, rows, outputs), in float32."""
    for at, (weight, bias) in enumerate(layers.linear):
        product = graph.node("MatMul", rows, graph.array(weight.swapaxes(1, 2), np.float32))
        rows = graph.node("Add", product, graph.array(bias[:, None], np.float32))
        if at < len(layers.linear) - 1:
            rows = _selu(graph, layers.form, rows)
    return rows


def _selu(graph: Graph, form: SELUForm, rows: str) -> str:
    bent = graph.node("Selu", rows)
    if form == SELUForm():
        return bent
    linear, factor, shift = (graph.array(one, np.float32) for one in form)
    line = graph.node("Mul", rows, linear)
    return graph.node("Sum", line, graph.node("Mul", bent, factor), shift)


def _regressed(graph: Graph, saved: Saved, at: int, features: str) -> str:
    """What an infinitely wide network says, (rows, outputs), in float64.

    The rows that it has learned from are there as the model file has them, in float32; runtimes
    prepare them once, when they load the graph.
    """
    network = wide_of(saved)[at]
    columns = graph.array(np.flatnonzero(network.reads), np.int64)
    rows = graph.node("Gather", features, columns, axis=1)
    learned = graph.cast(graph.array(saved.state[f"infinite.{at}.rows"], np.float32), "double")
    kernel = network.kernel
    if isinstance(kernel, Waves):
        value = _of_waves(graph, kernel, int(network.reads.sum()), rows, learned)
    else:
        value = _of_layers(graph, rows, learned)
    told = graph.node("MatMul", value, graph.array(network.coefficients))
    return graph.node("Add", told, graph.array(network.offset))


def _of_waves(graph: Graph, kernel: Waves, features: int, rows: str, learned: str) -> str:
    """The kernel of infinitely many waves, (rows, rows learned from)."""
    axis = graph.array([1], np.int64)

    def half_square(rows: str) -> str:
        square = graph.node("ReduceSum", graph.node("Mul", rows, rows), axis, keepdims=1)
        return graph.node("Mul", square, 0.5)

    rows, learned = (graph.node("Mul", one, kernel.unit(features)) for one in (rows, learned))
    product = graph.node("MatMul", rows, graph.node("Transpose", learned, perm=[1, 0]))
    power = graph.node("Sub", product, half_square(rows))
    others = graph.node("Transpose", half_square(learned), perm=[1, 0])
    return graph.node("Exp", graph.node("Min", graph.node("Sub", power, others), 0.0))


def _of_layers(graph: Graph, rows: str, learned: str) -> str:
    """The kernel of layers, (rows, rows learned from)."""
    table = kernel_table()
    axis = graph.array([1], np.int64)

    def norm(rows: str) -> str:
        square = graph.node("ReduceSum", graph.node("Mul", rows, rows), axis, keepdims=1)
        return graph.node("Sqrt", graph.node("Add", square, 1.0))  # of the column of ones

    norms = norm(learned)
    product = graph.node("MatMul", rows, graph.node("Transpose", learned, perm=[1, 0]))
    cosine = graph.node("Div", graph.node("Add", product, 1.0), norm(rows))
    cosine = graph.node("Div", cosine, graph.node("Transpose", norms, perm=[1, 0]))

    half = graph.node("Sub", 0.5, graph.node("Mul", graph.node("Abs", cosine), 0.5))
    root = graph.node("Sqrt", graph.node("Sqrt", graph.node("Max", half, 0.0)))
    pieces = table.pieces
    place = graph.node("Mul", root, table.factor)
    piece = graph.cast(graph.node("Min", place, float(pieces - 1)), "int64")
    inside = graph.node("Sub", place, graph.cast(piece, "double"))
    below = graph.node("Less", cosine, 0.0)
    offset = graph.node("Mul", graph.cast(below, "int64"), graph.array(pieces, np.int64))
    piece = graph.node("Add", piece, offset)
    first, *others = (graph.array(one) for one in table.parabolas / table.of_equal)
    value = graph.node("Gather", first, piece, axis=0)
    for coefficients in others:
        more = graph.node("Gather", coefficients, piece, axis=0)
        value = graph.node("Add", graph.node("Mul", value, inside), more)
    return value
