"""Recurrent layers over whole sequences, and their cells, which do one step.

A cell maps ``(x, carry)`` to ``(y, carry)``; its docstring has the equations. A sequence layer has the same params,
projects the inputs of all steps in one product, and leaves the loop over time to ``recurrent_kernels.py``.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import numpy as np
from attrs import field

from funcnet import ops, tree
from funcnet.errors import NotDefined, ShapeError
from funcnet.initializers import GlorotUniform, Initializer, Orthogonal, Zeros
from funcnet.key import Array
from funcnet.layers.base import Context, Layer, Leaf, Params, State
from funcnet.layers.limits import check_made
from funcnet.layers.recurrent_kernels import gru_scan, gru_scan_vjp, lstm_scan, lstm_scan_vjp, rnn_scan, rnn_scan_vjp
from funcnet.layers.sequence import cotangent_of, join_mask, kinds_of_sequence, real, sequence_shape, split_mask
from funcnet.ranges import Range, Ranges
from funcnet.shapes import Shape, Value, floating, is_shape
from funcnet.spec.base import fields, register
from funcnet.spec.fields import frozen, positive

Carry = tuple[Array, ...]


@frozen
class Cell(Layer):
    """Base of the cells: one step of a recurrent layer.

    A subclass defines the number of gates, whether the carry is a pair, ``step`` and ``step_vjp``.
    """

    gates: ClassVar[int] = 1
    pair: ClassVar[bool] = False

    units: int = field(validator=positive)
    use_bias: bool = True
    weight_init: Initializer = GlorotUniform()
    recurrent_init: Initializer = Orthogonal()
    bias_init: Initializer = Zeros()

    @property
    def carry_shape(self) -> Shape:
        """The shape of the carry: ``(units,)``, or a pair of it."""
        return ((self.units,), (self.units,)) if self.pair else (self.units,)

    def owned(self, features: int) -> dict[str, Any]:
        """The leaves for inputs with a number of features."""
        wide = self.gates * self.units
        leaves = {
            "weight": Leaf((features, wide), self.weight_init),
            "recurrent_weight": Leaf((self.units, wide), self.recurrent_init),
        }
        return leaves | ({"bias": Leaf((wide,), self.bias_init)} if self.use_bias else {})

    def bias(self, params: Params) -> Any:
        """The bias, or None."""
        return params["bias"] if self.use_bias else None

    def step(self, params: Params, z: Array, carry: Carry) -> tuple[Carry, Any]:
        """The new carry, whose first array is the output, and the residuals for ``step_vjp``."""
        raise NotDefined(f"{type(self).__name__} does not define step(params, z, carry)")

    def step_vjp(self, params: Params, saved: Any, dcarry: Carry) -> tuple[Params, Array, Carry]:
        """The gradients of the recurrent params, and the cotangents of z and the carry."""
        raise NotDefined(f"{type(self).__name__} does not define step_vjp(params, saved, dcarry)")

    def scan(self, params: Params, x: Array, carry: Carry, mask: Any) -> tuple[Array, Carry, Any]:
        """``step`` at every step of x (time, batch, n): ``(states, last carry, residuals for scan_vjp)``.

        The states are (time + 1, batch, units); the first is the given one.
        """
        raise NotDefined(f"{type(self).__name__} does not define scan(params, x, carry, mask)")

    def scan_vjp(self, params: Params, saved: Any, dy: Array, dcarry: Carry, mask: Any) -> tuple[Params, Array, Carry]:
        """As ``step_vjp``, for all steps; the cotangent of z is (gates, time, batch, units)."""
        raise NotDefined(f"{type(self).__name__} does not define scan_vjp(params, saved, dy, dcarry, mask)")

    def features(self, in_shape: Shape) -> int:
        """The features of the input, after checking the pair of input and carry."""
        fits = isinstance(in_shape, tuple) and not is_shape(in_shape) and len(in_shape) == 2
        if not fits or not is_shape(in_shape[0]) or len(in_shape[0]) != 1 or in_shape[1] != self.carry_shape:
            raise ShapeError(
                f"expected the pair of an input (features,) and a carry {self.carry_shape}, got {in_shape}; "
                "give (x, carry)",
                layer=type(self).__name__,
            )
        return int(in_shape[0][0])

    def leaves(self, in_shape: Shape) -> dict[str, Any]:
        return self.owned(self.features(in_shape))

    def out_shape(self, in_shape: Shape) -> Shape:
        self.features(in_shape)
        return ((self.units,), self.carry_shape)

    def apply(self, params: Params, state: State, x: Value, ctx: Context) -> tuple[Value, State, Any]:
        x, carry = x
        z = floating(self, x) @ params["weight"]
        z = z + params["bias"] if self.use_bias else z
        new, saved = self.step(params, z, carry if self.pair else (carry,))
        return (new[0], new if self.pair else new[0]), state, (x, saved)

    def vjp(self, params: Params, residuals: Any, dy: Value) -> tuple[Params, Value]:
        x, saved = residuals
        dy, given = dy
        given = given if isinstance(given, tuple) else (given,) * (2 if self.pair else 1)
        none = nothing(x, self.units)
        dh, *others = (none if part is None else part for part in given)
        dcarry = (dh if dy is None else dh + dy, *others)
        dparams, dz, dcarry = self.step_vjp(params, saved, dcarry)
        gradients = {"weight": x.T @ dz, **dparams}
        if self.use_bias:
            gradients["bias"] = np.sum(dz, axis=0)
        return tree.ordered(params, gradients), (dz @ params["weight"].T, dcarry if self.pair else dcarry[0])


@register("rnn_cell")
@frozen
class RNNCell(Cell):
    """One step of the simple recurrent layer: ``h' = tanh(x @ weight + h @ recurrent_weight + bias)``, or relu.

    Input    ((n,), (units,)): x and the carry h
    Output   ((units,), (units,)): h' twice, as output and as carry
    Params   weight (n, units), recurrent_weight (units, units), bias (units,)
    VJP      dz = f'(z) dh';   dweight = xᵀ dz,   drecurrent_weight = hᵀ dz,   dbias = Σ dz,
             dx = dz weightᵀ,   dh = dz recurrent_weightᵀ
    Source   Elman (1990)
    """

    activation: Literal["tanh", "relu"] = "tanh"

    def step(self, params: Params, z: Array, carry: Carry) -> tuple[Carry, Any]:
        (h,) = carry
        z = z + h @ params["recurrent_weight"]
        new = np.maximum(z, 0.0) if self.activation == "relu" else np.tanh(z)
        return (new,), (h, new)

    def step_vjp(self, params: Params, saved: Any, dcarry: Carry) -> tuple[Params, Array, Carry]:
        h, new = saved
        dz = dcarry[0] * (np.greater(new, 0.0) if self.activation == "relu" else 1.0 - new * new)
        return {"recurrent_weight": h.T @ dz}, dz, (dz @ params["recurrent_weight"].T,)

    def scan(self, params: Params, x: Array, carry: Carry, mask: Any) -> tuple[Array, Carry, Any]:
        weights = params["weight"], self.bias(params), params["recurrent_weight"]
        hidden = rnn_scan(x, *weights, carry[0], mask, self.activation == "relu")
        return hidden, (hidden[-1],), hidden

    def scan_vjp(self, params: Params, saved: Any, dy: Array, dcarry: Carry, mask: Any) -> tuple[Params, Array, Carry]:
        dz, dh = rnn_scan_vjp(dy, saved, params["recurrent_weight"], dcarry[0], mask, self.activation == "relu")
        dz = np.expand_dims(dz, 0)
        return {"recurrent_weight": over_steps(saved[:-1], dz)}, dz, (dh,)


@register("lstm_cell")
@frozen
class LSTMCell(Cell):
    """One step of long short-term memory: ``c' = f c + i g``, ``h' = o tanh(c')``.

    ``i, f, g, o = σ(z_i), σ(z_f), tanh(z_g), σ(z_o)`` with ``z = x @ weight + h @ recurrent_weight + bias``, whose
    columns are the four gates in this order, as in PyTorch.

    Input    ((n,), ((units,), (units,))): x and the carry (h, c)
    Output   ((units,), ((units,), (units,))): h', and the carry (h', c')
    Params   weight (n, 4 units), recurrent_weight (units, 4 units), bias (4 units,)
    VJP      do = tanh(c') dh',   dc += o (1 - tanh²(c')) dh';   di = g dc,   df = c dc,   dg = i dc,   and f dc goes on
    Source   Hochreiter and Schmidhuber (1997), with the forget gate of Gers et al. (2000)
    """

    gates: ClassVar[int] = 4
    pair: ClassVar[bool] = True

    def step(self, params: Params, z: Array, carry: Carry) -> tuple[Carry, Any]:
        h, c = carry
        i, f, g, o = np.split(z + h @ params["recurrent_weight"], 4, axis=-1)
        i, f, g, o = ops.sigmoid(i), ops.sigmoid(f), np.tanh(g), ops.sigmoid(o)
        new = f * c + i * g
        squashed = np.tanh(new)
        return (o * squashed, new), (h, c, i, f, g, o, squashed)

    def step_vjp(self, params: Params, saved: Any, dcarry: Carry) -> tuple[Params, Array, Carry]:
        h, c, i, f, g, o, squashed = saved
        dh, dc = dcarry
        dc = dc + dh * (o * (1.0 - squashed * squashed))
        di, df, dg, do = dc * g * (i * (1.0 - i)), dc * c * (f * (1.0 - f)), dc * i * (1.0 - g * g), dh * squashed
        dz = np.concatenate([di, df, dg, do * (o * (1.0 - o))], axis=-1)
        return {"recurrent_weight": h.T @ dz}, dz, (dz @ params["recurrent_weight"].T, dc * f)

    def scan(self, params: Params, x: Array, carry: Carry, mask: Any) -> tuple[Array, Carry, Any]:
        weights = params["weight"], self.bias(params), params["recurrent_weight"]
        hidden, last, saved = lstm_scan(x, *weights, carry[0], carry[1], mask)
        return hidden, (hidden[-1], last), (hidden, saved)

    def scan_vjp(self, params: Params, saved: Any, dy: Array, dcarry: Carry, mask: Any) -> tuple[Params, Array, Carry]:
        hidden, saved = saved
        dz, dh, dc = lstm_scan_vjp(dy, hidden, saved, params["recurrent_weight"], dcarry[0], dcarry[1], mask)
        return {"recurrent_weight": over_steps(hidden[:-1], dz)}, dz, (dh, dc)


@register("gru_cell")
@frozen
class GRUCell(Cell):
    """One step of the gated recurrent unit: ``h' = (1 - z) n + z h``.

    ``r, z = σ(x_r + h_r), σ(x_z + h_z)`` and ``n = tanh(x_n + r h_n)``, where x and h with a subscript are the parts
    of ``x @ weight + bias`` and ``h @ recurrent_weight`` in this order, as in PyTorch; h_n has a separate bias.
    Without ``reset_after`` it is the original, ``n = tanh(x_n + (r h) @ recurrent_weight_n)``.

    Input    ((n,), (units,)): x and the carry h
    Output   ((units,), (units,)): h' twice, as output and as carry
    Params   weight (n, 3 units), recurrent_weight (units, 3 units), bias (3 units,), recurrent_bias (units,)
    VJP      dn = (1 - z) dh',   dz = (h - n) dh',   dr = h_n d(r h_n),   and z dh' goes on
    Source   Cho et al. (2014); ``reset_after`` as in cuDNN and PyTorch
    """

    gates: ClassVar[int] = 3

    reset_after: bool = True

    def owned(self, features: int) -> dict[str, Any]:
        leaves = super().owned(features)
        extra = {"recurrent_bias": Leaf((self.units,), self.bias_init)}
        return leaves | (extra if self.use_bias and self.reset_after else {})

    def step(self, params: Params, z: Array, carry: Carry) -> tuple[Carry, Any]:
        (h,) = carry
        weight, two = params["recurrent_weight"], 2 * self.units
        gates = ops.sigmoid(z[:, :two] + h @ weight[:, :two])
        r, u = gates[:, : self.units], gates[:, self.units :]
        if self.reset_after:
            inner = h @ weight[:, two:]
            inner = inner + params["recurrent_bias"] if self.use_bias else inner
            n = np.tanh(z[:, two:] + r * inner)
        else:
            inner = r * h
            n = np.tanh(z[:, two:] + inner @ weight[:, two:])
        return ((1.0 - u) * n + u * h,), (h, r, u, n, inner)

    def step_vjp(self, params: Params, saved: Any, dcarry: Carry) -> tuple[Params, Array, Carry]:
        h, r, u, n, inner = saved
        (dh,) = dcarry
        weight, two = params["recurrent_weight"], 2 * self.units
        dn = dh * (1.0 - u) * (1.0 - n * n)
        du = dh * (h - n) * (u * (1.0 - u))
        if self.reset_after:
            dinner = dn * r
            dr = dn * inner * (r * (1.0 - r))
            dlast, through = h.T @ dinner, dinner @ weight[:, two:].T
        else:
            dreset = dn @ weight[:, two:].T
            dr = dreset * h * (r * (1.0 - r))
            dlast, through = inner.T @ dn, dreset * r
        dgates = np.concatenate([dr, du], axis=-1)
        dparams = {"recurrent_weight": np.concatenate([h.T @ dgates, dlast], axis=-1)}
        if self.reset_after and self.use_bias:
            dparams["recurrent_bias"] = np.sum(dinner, axis=0)
        dh = dh * u + through + dgates @ weight[:, :two].T
        return dparams, np.concatenate([dgates, dn], axis=-1), (dh,)

    def scan(self, params: Params, x: Array, carry: Carry, mask: Any) -> tuple[Array, Carry, Any]:
        weights = params["weight"], self.bias(params), params["recurrent_weight"]
        inner_bias = params["recurrent_bias"] if self.use_bias and self.reset_after else None
        hidden, saved = gru_scan(x, *weights, inner_bias, carry[0], mask, self.reset_after)
        return hidden, (hidden[-1],), (hidden, saved)

    def scan_vjp(self, params: Params, saved: Any, dy: Array, dcarry: Carry, mask: Any) -> tuple[Params, Array, Carry]:
        hidden, saved = saved
        both, dh = gru_scan_vjp(dy, hidden, saved, params["recurrent_weight"], dcarry[0], mask, self.reset_after)
        old, reset, dinner, dz = hidden[:-1], saved[:, 2], both[:1], both[1:]
        last = over_steps(old, dinner) if self.reset_after else over_steps(reset, dz[2:])
        dparams = {"recurrent_weight": np.concatenate([over_steps(old, dz[:2]), last], axis=-1)}
        if self.reset_after and self.use_bias:
            dparams["recurrent_bias"] = over_batch(dinner)
        return dparams, dz, (dh,)


def nothing(x: Array, units: int) -> Array:
    """Zeros (batch, units) for the batch of x (batch, n)."""
    return np.broadcast_to(np.zeros_like(x[:, :1]), (x.shape[0], units))


def rows(x: Array) -> Array:
    """Time and batch as one axis."""
    return x.reshape(*x.shape[:-3], x.shape[-3] * x.shape[-2], x.shape[-1])


def apart(weight: Array, gates: int) -> Array:
    """``(n, gates · units)`` as ``(gates, n, units)``."""
    return np.swapaxes(weight.reshape(weight.shape[0], gates, weight.shape[1] // gates), 0, 1)


def together(parts: Array) -> Array:
    """``(gates, n, units)`` as ``(n, gates · units)``."""
    gates, n, units = parts.shape
    return np.swapaxes(parts, 0, 1).reshape(n, gates * units)


def over_steps(h: Array, dz: Array) -> Array:
    """``Σ_t h_tᵀ dz_t`` in one product per gate; h_t is the array that step t multiplies with the weight."""
    return together(np.matmul(rows(h).T, rows(dz)))


def over_batch(dz: Array) -> Array:
    """``Σ dz`` over time and batch."""
    gates, time, batch, units = dz.shape
    return np.sum(dz.reshape(gates, time * batch, units), axis=1).reshape(gates * units)


# ----- whole sequences -------------------------------------------------------------------------------------


@frozen
class Recurrent(Layer):
    """Base of the recurrent layers over sequences; a subclass names its cell."""

    cell_class: ClassVar[type[Cell]]

    units: int = field(validator=positive)
    return_sequences: bool = True
    reverse: bool = False
    carry: bool = False
    use_bias: bool = True
    weight_init: Initializer = GlorotUniform()
    recurrent_init: Initializer = Orthogonal()
    bias_init: Initializer = Zeros()

    @property
    def cell(self) -> Cell:
        """The cell of this layer, with the same params."""
        return self.cell_class(**{f.name: getattr(self, f.name) for f in fields(self.cell_class)})

    def parts(self, in_shape: Shape) -> tuple[tuple[int, ...], bool]:
        """The shape of the sequence, and whether it has a mask; a carry is checked."""
        if not self.carry:
            return sequence_shape(self, in_shape)
        pair = isinstance(in_shape, tuple) and len(in_shape) == 2 and not is_shape(in_shape)
        if not pair or in_shape[1] != self.cell.carry_shape:
            raise ShapeError(
                f"expected the pair of a sequence and a carry {self.cell.carry_shape}, got {in_shape}; "
                "give (x, carry), or leave out carry",
                layer=type(self).__name__,
            )
        return sequence_shape(self, in_shape[0])

    def in_kinds(self, in_shape: Shape) -> Any:
        kinds = kinds_of_sequence(in_shape[0] if self.carry else in_shape)
        return (kinds, ("f", "f") if self.cell.pair else "f") if self.carry else kinds

    def leaves(self, in_shape: Shape) -> dict[str, Any]:
        return self.cell.owned(self.parts(in_shape)[0][1])

    def out_range(self, given: Ranges) -> Ranges:
        return None if self.carry else Range(-1.0, 1.0)

    def out_shape(self, in_shape: Shape) -> Shape:
        (time, _), masked = self.parts(in_shape)
        check_made(self, (time, self.cell_class.gates, self.units), "gates")
        y: Shape = (self.units,)
        if self.return_sequences:
            y = ((time, self.units), (time,)) if masked else (time, self.units)
        return (y, self.cell.carry_shape) if self.carry else y

    def apply(self, params: Params, state: State, x: Value, ctx: Context) -> tuple[Value, State, Any]:
        cell = self.cell
        x, start = x if self.carry else (x, None)
        x, mask = split_mask(self, x)
        steps = self.turned(real(floating(self, x), mask))
        if start is None:
            start = (nothing(steps[0], self.units),) * (2 if cell.pair else 1)
        elif not cell.pair:
            start = (start,)
        steps_mask = None if mask is None else np.expand_dims(self.turned(mask), -1)
        hidden, last, saved = cell.scan(params, steps, start, steps_mask)
        y = last[0]
        if self.return_sequences:
            y = np.swapaxes(hidden[:0:-1] if self.reverse else hidden[1:], 0, 1)
            y = join_mask(real(y, mask), mask)
        carry = last if cell.pair else last[0]
        return (y, carry) if self.carry else y, state, (steps, steps_mask, saved)

    def turned(self, x: Array) -> Array:
        """``(batch, time, …)`` as ``(time, batch, …)``, in the order of the layer's steps."""
        steps = np.swapaxes(x, 0, 1)
        return steps[::-1] if self.reverse else steps

    def vjp(self, params: Params, residuals: Any, dy: Value) -> tuple[Params, Value]:
        cell = self.cell
        steps, mask, saved = residuals
        dy, given = dy if self.carry else (dy, None)
        given = given if isinstance(given, tuple) else (given,) * (2 if cell.pair else 1)
        none = nothing(steps[0], self.units)
        dcarry = [none if part is None else part for part in given]
        dy = cotangent_of(dy) if self.return_sequences else dy
        if self.return_sequences and dy is not None:
            dsteps = self.turned(dy)
            dsteps = dsteps if mask is None else np.where(mask, dsteps, 0.0)
        else:
            dsteps = np.broadcast_to(none, (steps.shape[0], *none.shape))
            dcarry[0] = dcarry[0] if dy is None else dcarry[0] + dy
        dparams, dz, dstart = cell.scan_vjp(params, saved, dsteps, tuple(dcarry), mask)
        gradients = {"weight": over_steps(steps, dz), **dparams}
        if self.use_bias:
            gradients["bias"] = over_batch(dz)
        dx = np.sum(np.matmul(rows(dz), np.swapaxes(apart(params["weight"], cell.gates), 1, 2)), axis=0)
        dx = dx.reshape(steps.shape)
        dx = np.swapaxes(dx[::-1] if self.reverse else dx, 0, 1)
        value: Value = dx if mask is None else (dx, None)
        gradients = tree.ordered(params, gradients)
        return gradients, (value, dstart if cell.pair else dstart[0]) if self.carry else value


@register("rnn")
@frozen
class RNN(Recurrent):
    """The simple recurrent layer over sequences: ``h_t = tanh(x_t @ weight + h_{t-1} @ recurrent_weight + bias)``.

    Input    (time, n), or the pair with a mask (time,); with ``carry`` the pair of that and the first carry
    Output   (time, units), with the mask if there was one; without ``return_sequences`` (units,), the last real step;
             with ``carry`` the pair of that and the last carry
    Params   weight (n, units), recurrent_weight (units, units), bias (units,)
    VJP      that of the cell, from the last step to the first
    Source   Elman (1990)

    With ``reverse`` it runs from the end; outputs stay in the input's order. Masked steps leave the carry unchanged
    and output 0.
    """

    cell_class: ClassVar[type[Cell]] = RNNCell

    activation: Literal["tanh", "relu"] = "tanh"

    def out_range(self, given: Ranges) -> Ranges:
        return None if self.carry else Range(low=0.0) if self.activation == "relu" else Range(-1.0, 1.0)


@register("lstm")
@frozen
class LSTM(Recurrent):
    """Long short-term memory over sequences: ``LSTMCell`` at every step; see there for the equations.

    Input    (time, n), or the pair with a mask (time,); with ``carry`` the pair of that and the first carry (h, c)
    Output   (time, units), with the mask if there was one; without ``return_sequences`` (units,), the last real step;
             with ``carry`` the pair of that and the last carry
    Params   weight (n, 4 units), recurrent_weight (units, 4 units), bias (4 units,): gates i, f, g, o
    VJP      that of the cell, from the last step to the first
    Source   Hochreiter and Schmidhuber (1997)

    With ``reverse`` it runs from the end; outputs stay in the input's order. Masked steps leave the carry unchanged
    and output 0.

    >>> fn.LSTM(32).out_shape((20, 8))
    (20, 32)
    >>> fn.LSTM(32, return_sequences=False).out_shape((20, 8))
    (32,)
    """

    cell_class: ClassVar[type[Cell]] = LSTMCell


@register("gru")
@frozen
class GRU(Recurrent):
    """The gated recurrent unit over sequences: ``GRUCell`` at every step; see there for the equations.

    Input    (time, n), or the pair with a mask (time,); with ``carry`` the pair of that and the first carry
    Output   (time, units), with the mask if there was one; without ``return_sequences`` (units,), the last real step;
             with ``carry`` the pair of that and the last carry
    Params   weight (n, 3 units), recurrent_weight (units, 3 units), bias (3 units,): r, z, n; recurrent_bias (units,)
    VJP      that of the cell, from the last step to the first
    Source   Cho et al. (2014)

    With ``reverse`` it runs from the end; outputs stay in the input's order. Masked steps leave the carry unchanged
    and output 0.
    """

    cell_class: ClassVar[type[Cell]] = GRUCell

    reset_after: bool = True
