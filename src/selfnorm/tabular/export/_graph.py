"""A graph of ONNX nodes, written one after the other."""

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
from onnx import NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

OPSET = 17
ML_OPSET = 2
_IR = 8  # what runtimes of 2022 read
_ML = "ai.onnx.ml"
_KINDS = {
    "double": TensorProto.DOUBLE,
    "float": TensorProto.FLOAT,
    "int64": TensorProto.INT64,
    "bool": TensorProto.BOOL,
    "string": TensorProto.STRING,
}


class Graph:
    """Nodes, the arrays that they read, inputs and outputs; a value is known by its name.

    Args:
        taken: Names that values of the graph must not have.
    """

    def __init__(self, taken: Collection[str] = ()) -> None:
        self._taken = set(taken)
        self._nodes: list[NodeProto] = []
        self._arrays: list[TensorProto] = []
        self._inputs: list[ValueInfoProto] = []
        self._outputs: list[ValueInfoProto] = []
        self._made = 0

    def input(self, name: str, kind: str, told: str) -> str:
        """An input of a value a row."""
        shape = ["rows"]
        self._inputs.append(helper.make_tensor_value_info(name, _KINDS[kind], shape, told))
        return name

    def output(self, value: str, name: str, kind: str, *more: int) -> str:
        """An output: a value under another name, of rows times more dimensions."""
        while name in self._taken:
            name += "_"
        self._nodes.append(helper.make_node("Identity", [value], [name]))
        shape = ["rows", *more]
        self._outputs.append(helper.make_tensor_value_info(name, _KINDS[kind], shape))
        return name

    def array(self, values: Any, kind: Any = np.float64) -> str:
        """An array that the file holds."""
        name = self._name()
        self._arrays.append(numpy_helper.from_array(np.asarray(values, kind), name))
        return name

    def texts(self, values: Sequence[str]) -> str:
        """An array of text."""
        name = self._name()
        self._arrays.append(numpy_helper.from_array(np.array(values, dtype=object), name))
        return name

    def node(self, operation: str, *values: Any, **attributes: Any) -> str:
        """The value of an operation; numbers among what it reads become arrays of float64."""
        read = [one if isinstance(one, str) else self.array(one) for one in values]
        name = self._name()
        domain = _ML if operation == "LabelEncoder" else ""
        node = helper.make_node(operation, read, [name], domain=domain, **attributes)
        self._nodes.append(node)
        return name

    def cast(self, value: str, kind: str) -> str:
        """The value in another kind of numbers."""
        return self.node("Cast", value, to=_KINDS[kind])

    def model(self, told: str) -> Any:
        """All of it as what a file holds."""
        parts = self._inputs, self._outputs, self._arrays
        graph = helper.make_graph(self._nodes, "selfnorm", *parts)
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(_ML, ML_OPSET)]
        return helper.make_model(
            graph, opset_imports=opsets, ir_version=_IR, producer_name="selfnorm", doc_string=told
        )

    def _name(self) -> str:
        """A name that nothing has."""
        while True:
            self._made += 1
            if (name := f"v{self._made}") not in self._taken:
                return name
