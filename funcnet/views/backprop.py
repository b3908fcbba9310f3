"""The values of backpropagation inside a network."""

from __future__ import annotations

from funcnet import ops
from funcnet.layers.base import EVAL, Context, Layer, Params, State, apply_child, vjp_child
from funcnet.layers.calls import Call, listen
from funcnet.shapes import Value


def backprop_trace(
    net: Layer, params: Params, state: State, x: Value, dy: Value, ctx: Context = EVAL
) -> dict[str, tuple[Value, Value, Params]]:
    """The values of backpropagation: ``{path: (output, cotangent of the output, dparams)}`` in forward order.

    A network of one layer has the empty path, and a wrapper's inner layer has the wrapper's path.

    >>> net = fn.serial(fn.Dense(3), fn.Tanh())
    >>> params, state = net.init(fn.Key(0), (2,), np.float64)
    >>> x, dy = np.ones((5, 2)), np.ones((5, 3))
    >>> for path, (y, cotangent, dparams) in fn.backprop_trace(net, params, state, x, dy).items():
    ...     print(path, y.shape, cotangent.shape, sorted(dparams))
    dense_0 (5, 3) (5, 3) ['bias', 'weight']
    tanh_0 (5, 3) (5, 3) []
    """
    outputs: dict[str, Value] = {}
    backward: dict[str, tuple[Value, Params]] = {}

    def notice(event: Call) -> None:
        if event.method == "apply":
            outputs.pop(event.path, None)  # a wrapper takes the place of its last inner layer
            outputs[event.path] = event.result[0]
        elif event.method == "vjp":
            backward[event.path] = (event.args[2], event.result[0])

    with listen(notice), ops.quiet():
        _, _, residuals = apply_child("", net, params, state, x, ctx)
        vjp_child("", net, params, residuals, dy)
    if len(outputs) > 1:
        del outputs[""]  # the network as a whole
    return {path: (output, *backward.get(path, (None, {}))) for path, output in outputs.items()}
