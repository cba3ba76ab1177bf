"""The graph: everything some outputs reach, checked, ordered and named.

networkx, and the tables and pictures, are imported where they are used: they take longer than all
the rest, and most programs need none of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from graphnet.values import (
    Constant,
    GraphError,
    Input,
    Node,
    Parameter,
    Part,
    State,
    Value,
    declare,
    reach,
    snake_case,
    sources,
)
from ops.operator import known, show_shape

if TYPE_CHECKING:
    import networkx as nx

__all__ = ["Graph"]

#: How many nodes of a cycle an error names.
SHOWN = 8


class Graph:
    """A network: everything its outputs reach, checked, ordered and named.

    Args:
        inputs: optional; when given they must be exactly the inputs the outputs reach, which
            catches an input that was declared and then forgotten.
        outputs: values by the name under which ``forward`` returns them.

    Raises:
        GraphError: no outputs, a cycle, a name used twice, an input that no output reaches,
            or one that the outputs reach and the list lacks.

    Attributes:
        metadata: texts that travel with the graph, such as the licence of a model.

    >>> from ops import Linear, ReLU
    >>> x = Input("x", ("N", 4))
    >>> graph = Graph(y=Linear(2)(ReLU()(x)))
    >>> list(graph.nodes), list(graph.parameters)
    (['relu_1', 'linear_1'], ['linear_1.weight', 'linear_1.bias'])
    """

    def __init__(self, /, *inputs: Input, **outputs: Value) -> None:
        self._build(outputs, {})
        if inputs:
            self._check_inputs(inputs)

    def _build(self, outputs: dict[str, Value], names: dict[Part, str]) -> None:
        if not outputs:
            raise GraphError("expected at least one output, such as Graph(logits=logits)")
        for key, value in outputs.items():
            if not isinstance(value, Value):
                raise GraphError(
                    f"output {key!r}: expected a graph value, received {type(value).__name__}"
                )
        self.outputs = dict(outputs)
        self.metadata: dict[str, str] = {}
        parts = _in_order(reach(outputs.values()))
        self._names = _name_parts(parts, names)
        self.nodes = {self._names[p]: p for p in parts if isinstance(p, Node)}
        self.inputs: dict[str, Input] = self._leaves(parts, Input)
        self.parameters: dict[str, Parameter] = self._leaves(parts, Parameter)
        self.states: dict[str, State] = self._leaves(parts, State)
        self.constants: dict[str, Constant] = self._leaves(parts, Constant)
        self._check_states()

    def _leaves(self, parts: list[Part], kind: type[Any]) -> dict[str, Any]:
        return {self._names[part]: part for part in parts if isinstance(part, kind)}

    def _check_states(self) -> None:
        renewed: dict[Value, Node] = {}
        for node in self.nodes.values():
            for state in node.renews:
                if state in renewed:
                    raise GraphError(
                        f"state {self._names[state]!r} is renewed by both "
                        f"{self.describe(renewed[state])} and {self.describe(node)}"
                    )
                renewed[state] = node

    def _check_inputs(self, inputs: tuple[Input, ...]) -> None:
        reached = set(self.inputs.values())
        for value in inputs:
            if not isinstance(value, Input):
                raise GraphError(f"expected graphnet.Input, received {value!r}")
            if value not in reached:
                raise GraphError(
                    f"input {value.name!r} (declared at {value.declared_at}) is reached by no "
                    f"output of this graph; its outputs are {list(self.outputs)}"
                )
        for value in reached - set(inputs):
            raise GraphError(
                f"input {value.name!r} (declared at {value.declared_at}) is used but not listed"
            )

    def name_of(self, part: Part) -> str:
        """The name of a node or value in this graph: ``conv_1``, ``conv_1.weight``, ``bn_1:1``.

        Raises:
            GraphError: the graph does not hold it.
        """
        if isinstance(part, Value) and part.producer is not None:
            owner = self.name_of(part.producer)
            return owner if len(part.producer.outputs) == 1 else f"{owner}:{part.index}"
        try:
            return self._names[part]
        except KeyError:
            raise GraphError(f"{part!r} belongs to another graph") from None

    def describe(self, node: Node) -> str:
        """How errors call a node of this graph."""
        return node.describe(self._names[node])

    def select(self, *names: str) -> Graph:
        """The part of the graph that the named outputs need; all names stay as they are.

        Raises:
            GraphError: there is no such output.
        """
        for name in names:
            if name not in self.outputs:
                raise GraphError(f"expected outputs among {list(self.outputs)}, received {name!r}")
        if list(names) == list(self.outputs):
            return self
        return self._derive({name: self.outputs[name] for name in names}, self._names)

    def rewrite(
        self,
        replace: Callable[[Node, tuple[Value | None, ...]], tuple[Value, ...] | None],
        leaves: Mapping[Value, Value] | None = None,
    ) -> Graph:
        """A new graph in which ``replace`` decides what becomes of each node.

        ``replace(node, inputs)`` gets the node and its inputs in the new graph, in topological
        order.  It returns the values that stand in for the node's outputs, or None to keep the
        operator.  Names stay, and the shapes of what changes are inferred anew.  ``leaves`` says
        which values stand in for inputs, parameters, states and constants.
        """
        moved: dict[Value, Value] = dict(leaves or {})
        names: dict[Part, str] = dict(self._names)
        for name, node in self.nodes.items():
            inputs = tuple(None if v is None else moved.get(v, v) for v in node.inputs)
            outputs = replace(node, inputs)
            if outputs is None:
                if all(new is old for new, old in zip(inputs, node.inputs, strict=True)):
                    continue
                given = dict(zip(node.input_names, inputs, strict=True))
                variadic = type(node.operator).signature().variadic
                outputs = declare(
                    node.operator,
                    inputs if variadic else (),
                    {} if variadic else given,
                    name,
                    node.declared_at,
                ).outputs
            if len(outputs) < len(node.visible_outputs):
                raise GraphError(
                    f"{self.describe(node)}: expected {len(node.visible_outputs)} values in its "
                    f"place, received {len(outputs)}"
                )
            for old, new in zip(node.outputs, outputs, strict=False):  # renewed states may go
                moved[old] = new
                if new.producer is not None and new.producer not in names:
                    names[new.producer] = new.producer.name or name
        if not moved:
            return self
        outputs_now = {key: moved.get(value, value) for key, value in self.outputs.items()}
        return self._derive(outputs_now, names)

    def _derive(self, outputs: dict[str, Value], names: dict[Part, str]) -> Graph:
        graph = type(self).__new__(type(self))
        graph._build(outputs, names)
        graph.metadata = dict(self.metadata)
        return graph

    def values(self) -> Iterator[Value]:
        """Every value of the graph: leaves first, then outputs of nodes in topological order."""
        yield from self.inputs.values()
        yield from self.parameters.values()
        yield from self.states.values()
        yield from self.constants.values()
        for node in self.nodes.values():
            yield from node.outputs

    def to_networkx(self) -> nx.MultiDiGraph:
        """The graph as networkx sees it: parts by name, one edge per input of a node.

        Nodes carry ``part`` (the :class:`Node` or :class:`Value`), edges ``input`` and ``index``.

        >>> from ops import ReLU
        >>> list(Graph(y=ReLU()(Input("x", ("N", 4)))).to_networkx().edges())
        [('x', 'relu_1')]
        """
        import networkx as nx

        dag = nx.MultiDiGraph()
        for part, name in self._names.items():
            dag.add_node(name, part=part)
        for name, node in self.nodes.items():
            for role, value in zip(node.input_names, node.inputs, strict=True):
                if value is not None:
                    source = value if value.producer is None else value.producer
                    dag.add_edge(self._names[source], name, input=role, index=value.index)
        return dag

    def summary(self, batch: int = 1) -> str:
        """A table of the nodes: operator, output shape, parameters, FLOPs and bytes.

        FLOPs and bytes (of the outputs) are those of one forward pass of ``batch`` examples.
        """
        from graphnet.draw import human, render_table

        rows: list[tuple[str, ...]] = []
        counted: set[Value] = set()
        total_parameters = total_flops = total_bytes = 0
        for name, node in self.nodes.items():
            parameters = 0
            for value in node.inputs:
                if isinstance(value, Parameter) and value not in counted:
                    counted.add(value)
                    parameters += value.spec.elements
            specs = [None if v is None else v.spec.bind(batch) for v in node.inputs]
            flops = node.operator.flops(*specs)
            nbytes = sum(known(*(v.spec.bind(batch).nbytes for v in node.visible_outputs)))
            shapes = ", ".join(show_shape(v.shape) for v in node.visible_outputs)
            total_parameters += parameters
            total_flops += flops
            total_bytes += nbytes
            rows.append(
                (name, node.kind, shapes, f"{parameters:,}", human(flops), human(nbytes, "B"))
            )
        total = (
            "total",
            "",
            "",
            f"{total_parameters:,}",
            human(total_flops),
            human(total_bytes, "B"),
        )
        columns = ("node", "operator", "output shape", "parameters", "FLOPs", "bytes")
        return render_table(
            columns, rows, title=f"FLOPs and bytes at batch {batch}", total_row=total
        )

    def to_dot(self) -> str:
        """The graph in Graphviz's language."""
        from graphnet.draw import to_dot

        return to_dot(self._picture())

    def to_svg(self, title: str = "") -> str:
        """The graph as an SVG picture; needs no installed program."""
        from graphnet.draw import draw_svg

        return draw_svg(self._picture(), title=title)

    def _repr_svg_(self) -> str:
        return self.to_svg()

    def _picture(self) -> nx.MultiDiGraph:
        """Inputs, nodes and outputs as boxes; parameters are counted inside their node's box."""
        import networkx as nx

        picture = nx.MultiDiGraph()
        for name, value in self.inputs.items():
            picture.add_node(name, kind="input", label=[name, value.dtype])
        for name, node in self.nodes.items():
            learned = sum(v.spec.elements for v in node.inputs if isinstance(v, Parameter))
            lines = [name, node.kind, *([f"{learned:,} parameters"] if learned else [])]
            picture.add_node(name, kind="operator", label=lines)
            for read in node.inputs:
                if read is not None and (isinstance(read, Input) or read.producer is not None):
                    source = self._names[read.producer or read]
                    picture.add_edge(source, name, label=show_shape(read.shape))
        for name, output in self.outputs.items():
            key = f"output:{name}"
            picture.add_node(key, kind="output", label=[name])
            source = self._names[output.producer or output]
            if source in picture:
                picture.add_edge(source, key, label=show_shape(output.shape))
        return picture

    def __repr__(self) -> str:
        return f"<Graph of {len(self.nodes)} nodes: {list(self.inputs)} -> {list(self.outputs)}>"


def _in_order(parts: list[Part]) -> list[Part]:
    """Topological order; among the free choices, the order of declaration.

    Raises:
        GraphError: the parts form a cycle.
    """
    ordered = sorted(parts, key=lambda part: part.order)
    nodes = [part for part in ordered if isinstance(part, Node)]
    if all(source.order < node.order for node in nodes for source in sources(node)):
        return ordered
    # declared in order, and then given other inputs
    import networkx as nx

    dag = nx.DiGraph()
    dag.add_nodes_from(parts)
    for part in parts:
        if isinstance(part, Node):
            dag.add_edges_from((source, part) for source in sources(part))
    try:
        return list(nx.lexicographical_topological_sort(dag, key=lambda part: part.order))
    except nx.NetworkXUnfeasible:
        circle = [edge[0] for edge in nx.find_cycle(dag)]
        shown = " -> ".join(map(repr, circle[:SHOWN]))
        raise GraphError(
            f"expected a graph without cycles, received a cycle of {len(circle)}: {shown} -> ..."
        ) from None


def _name_parts(parts: list[Part], known: dict[Part, str]) -> dict[Part, str]:
    """A name for every part: the user's own, ``conv_1`` by operator, ``conv_1.weight`` by use."""
    names: dict[Part, str] = {}
    owners: dict[str, Part] = {}
    counts: Counter[str] = Counter()

    def give(part: Part, name: str) -> None:
        other = owners.setdefault(name, part)
        if other is not part:
            raise GraphError(
                f"name {name!r} is used twice: declared at {other.declared_at} "
                f"and at {part.declared_at}"
            )
        names[part] = name

    for part in parts:
        if part in known or part.name:
            give(part, known.get(part) or part.name or "")
    for part in parts:
        if not isinstance(part, Node):
            continue
        if part not in names:
            stem = snake_case(part.kind)
            while True:
                counts[stem] += 1
                name = f"{stem}_{counts[stem]}"
                if name not in owners:
                    break
            give(part, name)
        for role, value in zip(part.input_names, part.inputs, strict=True):
            if value is not None and value.producer is None and value not in names:
                give(value, f"{names[part]}.{role}")
    for part in parts:  # a leaf that is an output itself, used by no node
        if part not in names:
            stem = snake_case(type(part).__name__)
            counts[stem] += 1
            give(part, f"{stem}_{counts[stem]}")
    return names
