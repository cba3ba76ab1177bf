"""One operator of a graph, as the rule that writes it sees it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import onnx
from onnx import NodeProto, numpy_helper

from ops.operator import Spec

__all__ = ["DOMAIN", "OPERATOR", "Draft", "Names"]

#: The domain of functions that stand for operators which the standard has not.
DOMAIN = "graphnet"

#: The property of a function that says which operator it stands for.
OPERATOR = "graphnet.operator"


#: What indices may be for most operators.
INDICES = ("int32", "int64")


class Names:
    """Names that are taken; each is given once.

    >>> names = Names(["x"])
    >>> names.fresh("x"), names.fresh("x"), names.fresh("y")
    ('x_2', 'x_3', 'y')
    """

    def __init__(self, taken: Iterable[str]) -> None:
        self._taken = set(taken)
        self._numbers: dict[str, int] = {}

    def take(self, names: Iterable[str]) -> None:
        """Give no other part these names."""
        self._taken.update(names)

    def fresh(self, name: str) -> str:
        """The name, or the name with a number where it is taken."""
        found = name
        while found in self._taken:
            number = self._numbers[name] = self._numbers.get(name, 1) + 1
            found = f"{name}_{number}"
        self._taken.add(found)
        return found


class Draft:
    """The ONNX nodes that one operator is written as.

    Attributes:
        opset: the version of the operator set that is written.
        inputs: the names of its inputs, empty for one that is absent.
        outputs: the names its outputs are to have.
        specs: of the inputs.
        results: the specs of the outputs.
        nodes: what has been written so far.
        as_function: whether they become a function although there is one node only, since it would
            be read as another operator.
    """

    def __init__(
        self,
        name: str,
        opset: int,
        inputs: list[str],
        outputs: list[str],
        specs: list[Spec | None],
        results: list[Spec],
        names: Names,
    ) -> None:
        self.opset = opset
        self.inputs = inputs
        self.outputs = outputs
        self.specs: list[Any] = specs
        self.results = results
        self.nodes: list[NodeProto] = []
        self.as_function = False
        self._name = name
        self._names = names

    def node(
        self,
        kind: str,
        inputs: Iterable[str],
        outputs: Iterable[str] | None = None,
        **attributes: Any,
    ) -> str:
        """Write a node; the one with the outputs of the operator has its name.

        Args:
            kind: the ONNX operator.
            inputs: names, empty for one that is left out.
            outputs: names; a new one when None.
            attributes: those that are None are left out.

        Returns:
            The name of its first output.
        """
        names = list(inputs)
        while names and not names[-1]:
            names.pop()
        results = [self.name(kind.lower())] if outputs is None else list(outputs)
        label = self._name if self.outputs[0] in results else ""
        given = {key: value for key, value in attributes.items() if value is not None}
        self.nodes.append(onnx.helper.make_node(kind, names, results, label, **given))
        return results[0]

    def constant(self, array: np.ndarray, role: str) -> str:
        """Write an array as a constant, and return its name."""
        name = self.name(role)
        tensor = numpy_helper.from_array(np.ascontiguousarray(array).reshape(array.shape), name)
        self.nodes.append(onnx.helper.make_node("Constant", [], [name], value=tensor))
        return name

    def name(self, role: str) -> str:
        """A new name for a value inside this operator."""
        return self._names.fresh(f"{self._name}.{role}")

    def mean(self, name: str, axes: np.ndarray, keepdims: int = 1) -> str:
        """The mean of a value over some axes."""
        if self.opset < 18:
            return self.node("ReduceMean", [name], axes=axes.tolist(), keepdims=keepdims)
        return self.node("ReduceMean", [name, self.constant(axes, "axes")], keepdims=keepdims)

    def total(self, name: str, axes: np.ndarray, keepdims: int = 1) -> str:
        """The sum of a value over some axes."""
        return self.node("ReduceSum", [name, self.constant(axes, "axes")], keepdims=keepdims)

    def as_indices(self, name: str, index: int, allowed: tuple[str, ...] = INDICES) -> str:
        """An input of indices in a dtype that ONNX takes."""
        if self.specs[index].dtype in allowed:
            return name
        return self.node("Cast", [name], to=int(onnx.TensorProto.INT64))

    def indexed(self, allowed: tuple[str, ...] = INDICES) -> list[str]:
        """The inputs, the second of which holds indices."""
        x, indices, *others = self.inputs
        return [x, self.as_indices(indices, 1, allowed), *others]
