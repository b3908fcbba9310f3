"""The drawings of the course in the guide: graphs with their numbers, and arrays as grids of cells."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import funcnet as fn
from funcnet.key import Array
from funcnet.views import svg

SPECS = Path(__file__).resolve().parents[2] / "specs"
FORWARD, BACKWARD, THIRD = "#0072b2", "#b34700", "#007a5e"  # distinct to colour-blind readers, dark enough for text
TINTS = {"x": "#cfe5f3", "w": "#cfe9df", "y": "#f8dcc8"}
CELL = 15.0


class Node(NamedTuple):
    """A value of a graph: its name, the value, and the derivative of the loss with respect to it."""

    name: str
    value: float
    derivative: float


def graph(title: str, columns: Sequence[Sequence[Node]], weights: Sequence[Array], notes: dict[Any, Any]) -> str:
    """Nodes in columns, joined by lines as thick as their weights; notes are the weights to write, with derivatives."""
    wide, high, radius = 150.0, 70.0, 28.0
    height = high * max(map(len, columns)) + 44
    at = {}
    for i, column in enumerate(columns):
        for j in range(len(column)):
            at[i, j] = 46 + wide * i, (height - 36) / 2 + high * (j - (len(column) - 1) / 2) + 2
    parts = []
    for i, weight in enumerate(weights):
        for j, k in np.ndindex(weight.shape):
            (x1, y1), (x2, y2) = at[i, j], at[i + 1, k]
            parts.append(svg.line(x1, y1, x2, y2, "#9a9a9a", round(0.6 + 1.6 * min(abs(weight[j, k]), 1.2), 2)))
    for (i, j, k), (value, derivative) in notes.items():
        (x1, y1), (x2, y2) = at[i, j], at[i + 1, k]
        x, y = (x1 + x2) / 2, (y1 + y2) / 2
        parts += [svg.rect(round(x - 27, 1), round(y - 13, 1), 54, 26, 'fill="#ffffff"')]
        parts += [svg.text(x, y - 1, f"{value:g}", 11, "middle", FORWARD)]
        parts += [svg.text(x, y + 11, f"{derivative:.4g}", 11, "middle", BACKWARD)]
    for place, node in ((at[i, j], node) for i, column in enumerate(columns) for j, node in enumerate(column)):
        x, y = place
        parts += [svg.circle("node", x, y, radius, 'fill="#ffffff" stroke="#5c5c5c"')]
        parts += [svg.text(x, y - 11, node.name, 10, "middle", svg.QUIET)]
        parts += [svg.text(x, y + 3, f"{node.value:.4g}", 12, "middle", FORWARD, "bold")]
        parts += [svg.text(x, y + 17, f"{node.derivative:.4g}", 12, "middle", BACKWARD)]
    bottom = height - 12
    parts += [svg.text(16, bottom, "forward: the value", 12, "start", FORWARD, "bold")]
    parts += [svg.text(160, bottom, "backward: how the loss changes with it", 12, "start", BACKWARD)]
    return svg.document(max(92 + wide * (len(columns) - 1), 420), height, title, parts)


def neuron() -> str:
    """The neuron of the first page."""
    x, w, b, t = np.array([2.0, -1.0]), np.array([0.5, -1.0]), 0.5, 1.0
    y = float(w @ x + b)
    dy = 2 * (y - t)
    inputs = [Node(f"x{i}", x[i], w[i] * dy) for i in range(2)] + [Node("b", b, dy)]
    columns = [inputs, [Node("y", y, dy)], [Node("L", (y - t) ** 2, 1.0)]]
    weights = [np.array([*w, 1.0])[:, None], np.ones((1, 1))]
    notes = {(0, i, 0): (w[i], x[i] * dy) for i in range(2)}
    return graph("A neuron, forward and backward", columns, weights, notes)


def network() -> str:
    """4-3-3-1, its values and the derivatives of the squared error."""
    model = fn.load_spec(SPECS / "sine_4_3_3_1.json").model
    with np.load(SPECS / "sine_4_3_3_1.npz") as file:
        flat = {name.removeprefix("params/"): file[name] for name in file.files}
    params = fn.tree.unflatten({name: leaf for name, leaf in flat.items() if name.startswith("dense")})
    x = np.array([[1.0, 2.0, 3.0, 2.5]])
    t = np.sin(x).mean(axis=1, keepdims=True)
    y, _, residuals = model.apply(params, {}, x, fn.EVAL)
    dy = 2 * (y - t)
    trace = fn.backprop_trace(model, params, {}, x, dy)
    _, dx = model.vjp(params, residuals, dy)
    rows = [("x", x, dx), *((name, *trace[f"dense_{i}"][:2]) for i, name in enumerate(("h1", "h2", "y")))]
    columns = [
        [Node(name if value.size == 1 else f"{name}[{j}]", value[0, j], d[0, j]) for j in range(value.size)]
        for name, value, d in rows
    ]
    columns.append([Node("L", ((y - t) ** 2).item(), 1.0)])
    weights = [params[f"dense_{i}"]["weight"] for i in range(3)]
    last = trace["dense_2"][2]["weight"]
    notes = {(2, j, 0): (weights[2][j, 0], last[j, 0]) for j in range(3)}
    return graph("4-3-3-1, forward and backward", columns, [*weights, np.ones((1, 1))], notes)


def cells(
    x: float, y: float, shape: tuple[int, int], kind: str, name: str, marked: Iterable[tuple[int, int]] = ()
) -> list[str]:
    """An array as a grid of cells, its middle line at y, with its name and shape below; marked cells are dark."""
    rows, columns = shape
    top, marked = y - CELL * rows / 2, set(marked)
    colour = {"x": FORWARD, "w": THIRD, "y": BACKWARD}[kind]
    parts = [
        svg.rect(
            round(x + CELL * j, 1),
            round(top + CELL * i, 1),
            CELL,
            CELL,
            f'fill="{colour if (i, j) in marked else TINTS[kind]}" stroke="#ffffff"',
        )
        for i, j in np.ndindex(rows, columns)
    ]
    middle = x + CELL * columns / 2
    return [*parts, svg.text(middle, top + CELL * rows + 14, f"{name} {rows}x{columns}", 11, "middle")]


def equation(x: float, y: float, *terms: Any) -> list[str]:
    """Grids and signs in a row."""
    parts = []
    for term in terms:
        if isinstance(term, str):
            width = 14 + 8 * len(term)
            parts.append(svg.text(x + width / 2, y + 5, term, 15, "middle"))
            x += width
        else:
            parts += cells(x, y, *term)
            x += CELL * term[0][1]
    return parts


def vjp() -> str:
    """The affine layer of the second page, its three gradients, and one entry of each with all that it is made of."""
    row, column = [(1, j) for j in range(4)], [(i, 2) for i in range(4)]
    y = (5, 3), "y", "Y", [(1, 2)]
    parts = [svg.text(16, 22, "forward", 13, weight="bold"), svg.text(16, 164, "backward", 13, weight="bold")]
    x, w, b = ((5, 4), "x", "X", row), ((4, 3), "w", "W", column), ((1, 3), "w", "b", [(0, 2)])
    parts += equation(16, 76, y, "=", x, "@", w, "+", b)
    parts += [svg.text(330, 72, "an entry of Y: one sample, one neuron", 12)]
    dw = (4, 3), "w", "dW", [(1, 2)]
    turned, dy = ((4, 5), "x", "X^T", [(1, n) for n in range(5)]), ((5, 3), "y", "dY", [(n, 2) for n in range(5)])
    parts += equation(16, 218, dw, "=", turned, "@", dy)
    parts += [svg.text(330, 214, "an entry of dW: a sum over all samples", 12)]
    parts += equation(16, 330, ((1, 3), "w", "db", [(0, 2)]), "= sum", ((5, 3), "y", "dY", dy[3]))
    parts += [svg.text(330, 326, "an entry of db: a sum over all samples", 12)]
    dx, back = ((5, 4), "x", "dX", [(1, 1)]), ((3, 4), "w", "W^T", [(j, 1) for j in range(3)])
    parts += equation(16, 442, dx, "=", ((5, 3), "y", "dY", [(1, j) for j in range(3)]), "@", back)
    parts += [svg.text(330, 438, "an entry of dX: a sum over all neurons", 12)]
    return svg.document(596, 506, "The vjp of an affine layer", parts)


def windows() -> str:
    """The picture of the seventh page: how many windows each pixel is in, and two windows."""
    size, places, k = (6, 7), (4, 5), 3
    count = np.zeros(size, int)
    for i, j in np.ndindex(*places):
        count[i : i + k, j : j + k] += 1
    big, parts = 28.0, []
    for i, j in np.ndindex(*size):
        parts.append(svg.rect(20 + big * j, 44 + big * i, big, big, f'fill="{TINTS["x"]}" stroke="#ffffff"'))
        parts.append(svg.text(20 + big * (j + 0.5), 44 + big * (i + 0.65), str(count[i, j]), 12, "middle"))
    for i, j in np.ndindex(*places):
        parts.append(svg.rect(330 + big * j, 72 + big * i, big, big, f'fill="{TINTS["y"]}" stroke="#ffffff"'))
    for (i, j), colour in (((0, 0), BACKWARD), ((0, 1), FORWARD)):
        frame = f'fill="none" stroke="{colour}" stroke-width="2.5"'
        parts.append(svg.rect(20 + big * j + 1, 44 + big * i + 1, big * k - 2, big * k - 2, frame))
        parts.append(svg.rect(330 + big * j + 2, 72 + big * i + 2, big - 4, big - 4, frame))
    parts += [svg.text(20, 30, "x: the number of windows with this pixel", 12)]
    parts += [svg.text(330, 30, "y: an entry for each window", 12)]
    return svg.document(520, 226, "Windows of a convolution", parts)


def optimizers() -> str:
    """The loss of the fifth page, by optimizer."""
    x = np.linspace(-2, 2, 40)[:, None]
    data, rng = (x, np.sin(2 * x + 0.5)), np.random.default_rng(0)
    first = {"weight": rng.normal(size=(1, 8)), "bias": np.zeros(8)}
    start = {"dense_0": first, "dense_1": {"weight": rng.normal(size=(8, 1)) / 3, "bias": np.zeros(1)}}
    net, loss = fn.serial(fn.Dense(8), fn.Tanh(), fn.Dense(1)), fn.losses.MeanSquaredError()
    rules = (
        ("SGD, 0.1", fn.optim.SGD(0.1), FORWARD),
        ("with momentum 0.9", fn.optim.SGD(0.1, momentum=0.9), BACKWARD),
        ("Adam, 0.02", fn.optim.Adam(0.02), THIRD),
    )
    across, down = svg.Axis(0, 200, 56, 376), svg.Axis(np.log10(0.002), 0.0, 226, 40, log=True)
    parts = [*svg.grid(across, down, 226), svg.text(16, 22, "loss by step", 13, weight="bold")]
    for i, (name, rule, colour) in enumerate(rules):
        done = fn.fit(
            net, data, loss=loss, optimizer=rule, steps=200, batch_size="full", log_every=1, key=fn.Key(0), start=start
        )
        points = " ".join(f"{across(n):.1f},{down(row['loss']):.1f}" for n, row in enumerate(done.history))
        parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.8"/>')
        parts.append(svg.line(390, 60 + 20 * i, 410, 60 + 20 * i, colour, 2.5))
        parts.append(svg.text(416, 64 + 20 * i, name, 12))
    return svg.document(560, 252, "Three optimizers", parts)


DRAWINGS = {
    "neuron": neuron,
    "vjp": vjp,
    "network_4_3_3_1": network,
    "optimizers": optimizers,
    "windows": windows,
}
