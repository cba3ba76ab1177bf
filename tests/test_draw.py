"""Pictures and tables: what stands in them, and that nothing in a label can break them."""

from __future__ import annotations

import itertools
import random
import re
import sys
import time
import xml.etree.ElementTree as ElementTree

import networkx as nx
import pytest

from graphnet.draw import draw_svg, human, render_table, save_curves, to_dot

SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = [
    "<script>alert(1)</script>",
    "a & b &amp; c",
    "\"double\" and 'single'",
    "]]> --> <!--",
    "back\\slash\\N and \\",
    "Größe 模型 🧠 עברית",
    "bell\x07 null\x00 escape\x1b c1\x85",
    "lone surrogate \ud800 and \ufffe",
    "two\nlines\tand a tab",
]


def graph_of(*edges: tuple[str, str]) -> nx.MultiDiGraph:
    graph = nx.MultiDiGraph()
    graph.add_edges_from(edges, label="(N, 8)")
    return graph


def residual() -> nx.MultiDiGraph:
    graph = nx.MultiDiGraph()
    graph.add_node("x", kind="input", label=["x", "float32"])
    for name in ("conv", "norm", "relu", "add"):
        graph.add_node(name, kind="operator", label=[name, name.title()])
    graph.add_node("output:y", kind="output", label=["y"])
    for source, target in itertools.pairwise(graph):
        graph.add_edge(source, target, label="(N, 64, 32, 32)")
    graph.add_edge("x", "add", label="(N, 64, 32, 32)")
    return graph


def random_graph(seed: int, size: int = 40) -> nx.MultiDiGraph:
    draw = random.Random(seed)
    graph = nx.MultiDiGraph()
    for node in range(size):
        graph.add_node(node, label=["n" * draw.randint(1, 30)] * draw.randint(1, 4))
        for _ in range(draw.randint(0, 3) if node else 0):
            graph.add_edge(draw.randrange(node), node, label="x" * draw.randint(0, 20))
    return graph


def parse(svg: str) -> ElementTree.Element:
    return ElementTree.fromstring(svg)


def boxes(root: ElementTree.Element) -> list[tuple[float, float, float, float]]:
    """Left, top, right and bottom of every box."""
    places = []
    for rect in root.iter(f"{SVG}rect"):
        x, y, w, h = (float(rect.get(key, "nan")) for key in ("x", "y", "width", "height"))
        places.append((x, y, x + w, y + h))
    return places


def verticals(path: str) -> list[tuple[float, float, float]]:
    """The vertical pieces ``(x, top, bottom)`` of an edge."""
    pieces = []
    x = y = 0.0
    for command, text in re.findall(r"([MCV])([^MCV]*)", path):
        numbers = [float(number) for number in text.split()]
        if command == "V":
            pieces.append((x, y, numbers[0]))
            y = numbers[0]
        else:
            x, y = numbers[-2:]
    return pieces


# -- SVG


def test_every_node_stands_in_the_picture_with_its_lines_and_kind():
    root = parse(draw_svg(residual(), title="block"))
    kinds = [group.get("class") for group in root.iter(f"{SVG}g") if group.get("class")]
    assert sorted(kinds) == ["input", "operator", "operator", "operator", "operator", "output"]
    texts = [text.text for text in root.iter(f"{SVG}text")]
    for line in ("x", "float32", "conv", "Conv", "add", "y", "block"):
        assert line in texts
    assert root.find(f"{SVG}title").text == "block"


def test_every_edge_is_drawn_and_each_value_labelled_once():
    root = parse(draw_svg(residual()))
    heads = [path for path in root.iter(f"{SVG}path") if path.get("class") == "head"]
    shapes = [text for text in root.iter(f"{SVG}text") if text.get("class") == "shape"]
    assert len(heads) == 6
    assert len(shapes) == 5


def test_parallel_edges_are_told_apart():
    root = parse(draw_svg(graph_of(("x", "square"), ("x", "square"))))
    edges = [path.get("d") for path in root.iter(f"{SVG}path") if path.get("class") == "edge"]
    assert len(set(edges)) == 2


def test_inputs_are_above_and_outputs_below():
    root = parse(draw_svg(residual()))
    tops = [top for _, top, _, _ in boxes(root)]
    assert tops == sorted(tops)
    assert len(set(tops)) == len(tops)


def test_the_longest_path_of_a_residual_block_is_a_straight_spine():
    root = parse(draw_svg(residual()))
    assert len({(left + right) / 2 for left, _, right, _ in boxes(root)}) == 1


@pytest.mark.parametrize("seed", range(12))
def test_no_two_boxes_overlap_and_no_edge_crosses_a_box(seed):
    root = parse(draw_svg(random_graph(seed)))
    places = boxes(root)
    assert len(places) == 40
    for (l1, t1, r1, b1), (l2, t2, r2, b2) in itertools.combinations(places, 2):
        assert r1 <= l2 or r2 <= l1 or b1 <= t2 or b2 <= t1
    for path in root.iter(f"{SVG}path"):
        if path.get("class") == "edge":
            for x, y0, y1 in verticals(path.get("d")):
                assert not [p for p in places if p[0] < x < p[2] and y0 < p[3] and y1 > p[1]]


@pytest.mark.parametrize("seed", range(4))
def test_everything_lies_inside_the_picture(seed):
    root = parse(draw_svg(random_graph(seed)))
    _, _, width, height = map(float, root.get("viewBox").split())
    places = boxes(root)
    shift = re.search(r"translate\((\d+) (\d+)\)", draw_svg(random_graph(seed)))
    dx, dy = float(shift[1]), float(shift[2])
    assert min(left for left, *_ in places) + dx >= 0
    assert max(right for _, _, right, _ in places) + dx <= width
    assert max(bottom for *_, bottom in places) + dy <= height


def test_the_same_graph_gives_the_same_picture():
    assert draw_svg(random_graph(3)) == draw_svg(random_graph(3))


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_only_text(text):
    graph = nx.MultiDiGraph()
    graph.add_node("a", label=[text, text])
    graph.add_edge("a", text, label=text)
    svg = draw_svg(graph, title=text)
    root = parse(svg)
    svg.encode("utf-8")
    assert {element.tag.removeprefix(SVG) for element in root.iter()} <= {
        "svg", "title", "style", "path", "text", "g", "rect"
    }  # fmt: skip
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f]", svg)
    if text.isprintable():
        assert root.find(f"{SVG}title").text == text


def test_a_long_line_is_shortened_and_kept_whole_in_the_tooltip():
    graph = nx.MultiDiGraph()
    graph.add_node("a", label=["a" * 300])
    root = parse(draw_svg(graph))
    (name,) = [text.text for text in root.iter(f"{SVG}text")]
    assert len(name) < 60
    assert name.endswith("…")
    assert root.find(f".//{SVG}g/{SVG}g/{SVG}title").text == "a" * 300


def test_the_picture_needs_nothing_from_outside_and_knows_dark_mode():
    svg = draw_svg(residual())
    assert "prefers-color-scheme: dark" in svg
    assert re.findall(r"https?://[^\s\"]+", svg) == ["http://www.w3.org/2000/svg"]
    assert "<script" not in svg
    style = parse(svg).find(f"{SVG}style").text
    rules = re.findall(r"^(\S[^{]*){", style, re.MULTILINE)
    assert rules
    for rule in rules:  # a page may hold other pictures, which these rules must not reach
        assert rule.startswith((".graphnet-drawing", "@media"))


def test_an_empty_graph_is_an_empty_picture():
    assert boxes(parse(draw_svg(nx.MultiDiGraph()))) == []


def test_a_cycle_is_refused():
    with pytest.raises(ValueError, match="without cycles"):
        draw_svg(graph_of(("a", "b"), ("b", "a")))


@pytest.mark.parametrize("draw", [draw_svg, to_dot])
def test_an_unknown_kind_is_refused(draw):
    graph = nx.MultiDiGraph()
    graph.add_node("a", kind="parameter")
    with pytest.raises(ValueError, match=r"node 'a': expected kind .* received 'parameter'"):
        draw(graph)


@pytest.mark.parametrize("skips", ["none", "nested", "from the start", "to the end"])
def test_five_thousand_nodes_in_a_chain_take_seconds(skips):
    graph = nx.MultiDiGraph()
    nx.add_path(graph, range(5000))
    ends = {
        "none": [],
        "nested": [(n, 4999 - n) for n in range(2400)],
        "from the start": [(0, n) for n in range(2, 5000)],
        "to the end": [(n, 4999) for n in range(4998)],
    }
    graph.add_edges_from(ends[skips])
    start = time.perf_counter()
    svg = draw_svg(graph)
    assert time.perf_counter() - start < 20
    assert svg.count("<rect") == 5000


# -- Graphviz


def test_dot_names_every_node_and_edge():
    dot = to_dot(residual())
    assert dot.startswith("digraph {")
    assert dot.endswith("}")
    assert len(re.findall(r"^    n\d+ \[label=", dot, re.MULTILINE)) == 6
    assert len(re.findall(r"^    n\d+ -> n\d+", dot, re.MULTILINE)) == 6
    assert r'label="conv\nConv"' in dot


@pytest.mark.parametrize("text", HOSTILE)
def test_dot_quotes_hostile_text(text):
    graph = nx.MultiDiGraph()
    graph.add_node("a", label=[text])
    graph.add_edge("a", "b", label=text)
    string = r'"(?:[^"\\\n]|\\.)*"'
    attribute = rf"\w+=(?:\w+|{string})"
    line = rf"n\d+( -> n\d+)?( \[{attribute}(, {attribute})*\])?;"
    first, _, *statements, last = to_dot(graph).splitlines()
    assert (first, last) == ("digraph {", "}")
    assert len(statements) == 3
    for statement in statements:
        assert re.fullmatch(line, statement.strip())


def test_dot_escapes_what_graphviz_would_read_as_commands_and_entities():
    graph = nx.MultiDiGraph()
    graph.add_node("a", label=[r"\N", "&lt;"])
    assert r'label="\\N\n&amp;lt;"' in to_dot(graph)


# -- tables


ROWS = [("conv_1", "1,728", 3_500_000), ("[bold]relu[/bold]", "0", 12)]


def test_a_table_holds_title_headings_rows_and_total():
    text = render_table(
        ("node", "parameters", "FLOPs"), ROWS, "model", ("total", "1,728", 3_500_012)
    )
    lines = text.splitlines()
    assert lines[0].strip() == "model"
    assert lines[1].split() == ["node", "parameters", "FLOPs"]
    assert lines[3].split() == ["conv_1", "1,728", "3500000"]
    assert lines[-1].split() == ["total", "1,728", "3500012"]
    assert set(lines[-2].strip()) == {"─"}


def test_numbers_are_aligned_to_the_right_and_words_to_the_left():
    lines = render_table(("node", "parameters", "FLOPs"), ROWS).splitlines()
    assert [
        line.index(name) for line, name in zip(lines[2:], ("conv_1", "[bold]"), strict=True)
    ] == [1, 1]
    assert len({len(line) for line in (lines[0], *lines[2:])}) == 1


def test_brackets_in_a_cell_are_no_markup_and_colours_no_part_of_the_text():
    text = render_table(("[red]node",), [("[bold]relu[/bold]",)], "[i]title")
    for written in ("[red]node", "[bold]relu[/bold]", "[i]title"):
        assert written in text
    assert "\x1b" not in text


def test_a_width_breaks_long_entries_and_none_breaks_nothing():
    rows = [("a" * 300, "b" * 300)]
    assert max(map(len, render_table(("x", "y"), rows).splitlines())) > 600
    narrow = render_table(("x", "y"), rows, width=60)
    assert max(map(len, narrow.splitlines())) <= 60
    assert narrow.count("a") == 300


@pytest.mark.parametrize("arguments", [([("a",)],), ([], "", ("total",))])
def test_a_row_of_another_length_is_refused(arguments):
    with pytest.raises(ValueError, match="expected 2 entries in a row, received 1"):
        render_table(("x", "y"), *arguments)


@pytest.mark.parametrize(
    ("n", "unit", "text"),
    [
        (0, "B", "0 B"),
        (999, "", "999"),
        (1000, "", "1.0 k"),
        (999_949, "", "999.9 k"),
        (999_950, "", "1.0 M"),
        (1_234_567, "B", "1.2 MB"),
        (-2.5e9, "FLOP", "-2.5 GFLOP"),
        (0.00125, "s", "1.2 ms"),
        (3.4e-8, "s", "34.0 ns"),
        (0.5, "s", "500.0 ms"),
        (1.5, "", "1.5"),
        (1e-12, "s", "0.0 ns"),
        (float("inf"), "B", "inf B"),
    ],
)
def test_numbers_as_people_read_them(n, unit, text):
    assert human(n, unit) == text


# -- curves


HISTORY = [
    {"epoch": 1, "train_loss": 2.0, "train_accuracy": 0.3, "validation_accuracy": 0.35, "lr": 0.1},
    {"epoch": 2, "train_loss": 1.0, "train_accuracy": 0.6, "validation_accuracy": None, "lr": 0.1},
    {"epoch": 3, "train_loss": 0.5, "train_accuracy": 0.8, "validation_accuracy": 0.7, "lr": 0.1},
]


@pytest.mark.parametrize("history", [HISTORY, HISTORY[:1]])
def test_curves_are_a_picture_with_labels_on_both_sides(tmp_path, history):
    pytest.importorskip("matplotlib")
    path = tmp_path / "curves.svg"
    save_curves(history, path)
    text = path.read_text(encoding="utf-8")
    parse(text)
    for word in ("loss", "accuracy", "epoch", "train", "validation"):
        assert f"<!-- {word} -->" in text  # matplotlib writes each text as a comment by its glyphs
    assert "<!-- lr -->" not in text


def test_the_ending_of_the_path_gives_the_format(tmp_path):
    pytest.importorskip("matplotlib")
    save_curves(HISTORY, tmp_path / "curves.png")
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_an_empty_history_is_refused(tmp_path):
    pytest.importorskip("matplotlib")
    with pytest.raises(ValueError, match="at least one epoch"):
        save_curves([], tmp_path / "curves.png")


def test_without_matplotlib_the_error_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    monkeypatch.setitem(sys.modules, "matplotlib.backends.backend_agg", None)
    with pytest.raises(ImportError, match=r"pip install matplotlib"):
        save_curves(HISTORY, tmp_path / "curves.png")
