"""Recurrent layers over whole sequences, and each as a cell, one step of it.

A cell takes ``(x, carry)`` and gives ``(y, carry)``; its equations stand here. A sequence layer has the same params,
projects all steps' inputs in one product, and leaves the loop over time to ``scans.py``.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import numpy as np
from attrs import field

from funcnet import ops
from funcnet.errors import ShapeError
from funcnet.initializers import GlorotUniform, Initializer, Orthogonal, Zeros
from funcnet.key import Array
from funcnet.layer import Context, Layer, Leaf, Params, Shape, State, Value, floating, is_shape
from funcnet.layers.scans import gru_scan, gru_scan_vjp, lstm_scan, lstm_scan_vjp, rnn_scan, rnn_scan_vjp
from funcnet.layers.sequence import cotangent_of, join_mask, kinds_of_sequence, sequence_shape, split_mask
from funcnet.spec import fields, frozen, positive, register

Carry = tuple[Array, ...]


@frozen
class Cell(Layer):
    """Base of the cells: one step of a recurrent layer.

    A subclass has the number of its gates, whether its carry is a pair, and ``step`` and ``step_vjp``.
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
        """The shape of the carry: ``(units,)``, or two of them."""
        return ((self.units,), (self.units,)) if self.pair else (self.units,)

    def owned(self, features: int) -> dict[str, Any]:
        """The leaves for inputs of so many features."""
        wide = self.gates * self.units
        leaves = {
            "weight": Leaf((features, wide), self.weight_init),
            "recurrent_weight": Leaf((self.units, wide), self.recurrent_init),
        }
        return leaves | ({"bias": Leaf((wide,), self.bias_init)} if self.use_bias else {})

    def project(self, params: Params, x: Array) -> Array:
        """What the input gives to the gates: ``x @ weight + bias``."""
        z = x @ params["weight"]
        return z + params["bias"] if self.use_bias else z

    def bias(self, params: Params) -> Any:
        """The bias, or None."""
        return params["bias"] if self.use_bias else None

    def step(self, params: Params, z: Array, carry: Carry) -> tuple[Carry, Any]:
        """The new carry, whose first array is the output, and what ``step_vjp`` needs."""
        raise TypeError(f"{type(self).__name__} does not define step(params, z, carry)")

    def step_vjp(self, params: Params, saved: Any, dcarry: Carry) -> tuple[Params, Array, Carry]:
        """The gradients of the recurrent params, and the cotangents of z and the carry."""
        raise TypeError(f"{type(self).__name__} does not define step_vjp(params, saved, dcarry)")

    def scan(self, params: Params, z: Array, carry: Carry, mask: Any, order: range) -> tuple[tuple[Array, ...], Any]:
        """``step`` at every step: the states of each array of the carry (time + 1, batch, units), in running order."""
        raise TypeError(f"{type(self).__name__} does not define scan(params, z, carry, mask, order)")

    def scan_vjp(
        self, params: Params, saved: Any, dy: Array, dcarry: Carry, mask: Any, order: range
    ) -> tuple[Params, Array, Carry]:
        """As ``step_vjp`` for all steps."""
        raise TypeError(f"{type(self).__name__} does not define scan_vjp(params, saved, dy, dcarry, mask, order)")

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
        new, saved = self.step(params, self.project(params, floating(self, x)), carry if self.pair else (carry,))
        return (new[0], new if self.pair else new[0]), state, (x, saved)

    def vjp(self, params: Params, residuals: Any, dy: Value) -> tuple[Params, Value]:
        x, saved = residuals
        dy, dcarry = dy
        dcarry = dcarry if isinstance(dcarry, tuple) else (dcarry,)
        if dy is not None:
            dcarry = (dy if dcarry[0] is None else dcarry[0] + dy, *dcarry[1:])
        known = next(part for part in dcarry if part is not None)
        dcarry = tuple(np.zeros_like(known) if part is None else part for part in dcarry)
        dparams, dz, dcarry = self.step_vjp(params, saved, dcarry)
        gradients = {"weight": x.T @ dz, **dparams}
        if self.use_bias:
            gradients["bias"] = np.sum(dz, axis=0)
        return gradients, (dz @ params["weight"].T, dcarry if self.pair else dcarry[0])


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

    def scan(self, params: Params, z: Array, carry: Carry, mask: Any, order: range) -> tuple[tuple[Array, ...], Any]:
        hidden = rnn_scan(
            z, self.bias(params), params["recurrent_weight"], carry[0], mask, order, self.activation == "relu"
        )
        return (hidden,), hidden

    def scan_vjp(
        self, params: Params, saved: Any, dy: Array, dcarry: Carry, mask: Any, order: range
    ) -> tuple[Params, Array, Carry]:
        hidden, weight = saved, params["recurrent_weight"]
        dz, dh = rnn_scan_vjp(dy, hidden, weight, dcarry[0], mask, order, self.activation == "relu")
        return {"recurrent_weight": over_steps(hidden, dz, order)}, dz, (dh,)


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

    def scan(self, params: Params, z: Array, carry: Carry, mask: Any, order: range) -> tuple[tuple[Array, ...], Any]:
        weight, (h, c) = params["recurrent_weight"], carry
        hidden, cells, gates, tanhs = lstm_scan(z, self.bias(params), weight, h, c, mask, order)
        return (hidden, cells), (hidden, cells, gates, tanhs)

    def scan_vjp(
        self, params: Params, saved: Any, dy: Array, dcarry: Carry, mask: Any, order: range
    ) -> tuple[Params, Array, Carry]:
        hidden, cells, gates, tanhs = saved
        weight, (dh, dc) = params["recurrent_weight"], dcarry
        dz, dh, dc = lstm_scan_vjp(dy, cells, gates, tanhs, weight, dh, dc, mask, order)
        return {"recurrent_weight": over_steps(hidden, dz, order)}, dz, (dh, dc)


@register("gru_cell")
@frozen
class GRUCell(Cell):
    """One step of the gated recurrent unit: ``h' = (1 - z) n + z h``.

    ``r, z = σ(x_r + h_r), σ(x_z + h_z)`` and ``n = tanh(x_n + r h_n)``, where x and h with a subscript are the parts
    of ``x @ weight + bias`` and ``h @ recurrent_weight`` in this order, as in PyTorch; h_n has a bias of its own.
    Without ``reset_after`` it is the original, ``n = tanh(x_n + (r h) @ recurrent_weight_n)``.

    Input    ((n,), (units,)): x and the carry h
    Output   ((units,), (units,)): h' twice, as output and as carry
    Params   weight (n, 3 units), recurrent_weight (units, 3 units), bias (3 units,), recurrent_bias (units,)
    VJP      dn = (1 - z) dh',   dz = (h - n) dh',   dr = h_n d(r h_n),   and z dh' goes on
    Source   Cho et al. (2014); ``reset_after`` as in the version of cuDNN and PyTorch
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

    def scan(self, params: Params, z: Array, carry: Carry, mask: Any, order: range) -> tuple[tuple[Array, ...], Any]:
        inner_bias = params["recurrent_bias"] if self.use_bias and self.reset_after else None
        weight, (h,) = params["recurrent_weight"], carry
        hidden, gates, inner = gru_scan(z, self.bias(params), inner_bias, weight, h, mask, order, self.reset_after)
        return (hidden,), (hidden, gates, inner)

    def scan_vjp(
        self, params: Params, saved: Any, dy: Array, dcarry: Carry, mask: Any, order: range
    ) -> tuple[Params, Array, Carry]:
        hidden, gates, inner = saved
        weight, two = params["recurrent_weight"], 2 * self.units
        dz, dinner, dh = gru_scan_vjp(dy, hidden, gates, inner, weight, dcarry[0], mask, order, self.reset_after)
        first = over_steps(hidden, dz[:, :, :two], order)
        if not self.reset_after:
            last = rows(inner).T @ rows(dz[:, :, two:][:: order.step])
            return {"recurrent_weight": np.concatenate([first, last], axis=-1)}, dz, (dh,)
        dparams = {"recurrent_weight": np.concatenate([first, over_steps(hidden, dinner, order)], axis=-1)}
        if self.use_bias:
            dparams["recurrent_bias"] = np.sum(dinner, axis=(0, 1))
        return dparams, dz, (dh,)


def rows(x: Array) -> Array:
    """All axes but the last as one."""
    return x.reshape(x.shape[0] * x.shape[1], x.shape[2])


def over_steps(hidden: Array, dz: Array, order: range) -> Array:
    """``Σ_t h_tᵀ dz_t`` in one product, h_t the state that step t began with; hidden is in running order."""
    return rows(hidden[:-1]).T @ rows(dz[:: order.step])


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
        """One step of this layer, with the same params."""
        return self.cell_class(**{f.name: getattr(self, f.name) for f in fields(self.cell_class)})

    def parts(self, in_shape: Shape) -> tuple[tuple[int, ...], bool]:
        """The shape of the sequence, and whether it has a mask; a carry is checked."""
        if not self.carry:
            return sequence_shape(self, in_shape)
        pair = isinstance(in_shape, tuple) and len(in_shape) == 2 and not is_shape(in_shape)
        if not pair or in_shape[1] != self.cell.carry_shape:
            raise ShapeError(
                f"expected the pair of a sequence and a carry {self.cell.carry_shape}, got {in_shape}; "
                "give (x, carry), or leave out carry=True",
                layer=type(self).__name__,
            )
        return sequence_shape(self, in_shape[0])

    def in_kinds(self, in_shape: Shape) -> Any:
        kinds = kinds_of_sequence(in_shape[0] if self.carry else in_shape)
        return (kinds, ("f", "f") if self.cell.pair else "f") if self.carry else kinds

    def leaves(self, in_shape: Shape) -> dict[str, Any]:
        return self.cell.owned(self.parts(in_shape)[0][1])

    def out_shape(self, in_shape: Shape) -> Shape:
        (time, _), masked = self.parts(in_shape)
        y: Shape = (self.units,)
        if self.return_sequences:
            y = ((time, self.units), (time,)) if masked else (time, self.units)
        return (y, self.cell.carry_shape) if self.carry else y

    def apply(self, params: Params, state: State, x: Value, ctx: Context) -> tuple[Value, State, Any]:
        cell = self.cell
        x, start = x if self.carry else (x, None)
        x, mask = split_mask(self, x)
        steps = np.swapaxes(floating(self, x), 0, 1)
        time, batch = steps.shape[:2]
        z = (rows(steps) @ params["weight"]).reshape(time, batch, cell.gates * self.units)
        if start is None:
            start = (np.zeros_like(z[0, :, : self.units]),) * (2 if cell.pair else 1)
        turned = None if mask is None else np.expand_dims(np.swapaxes(mask, 0, 1), -1)
        order = range(time - 1, -1, -1) if self.reverse else range(time)
        states, saved = cell.scan(params, z, start if isinstance(start, tuple) else (start,), turned, order)
        last = tuple(one[-1] for one in states)
        y = last[0]
        if self.return_sequences:
            y = np.swapaxes(states[0][1:][:: order.step], 0, 1)
            y = y if mask is None else join_mask(np.where(np.expand_dims(mask, -1), y, 0.0), mask)
        carry = last if cell.pair else last[0]
        return (y, carry) if self.carry else y, state, (steps, turned, saved)

    def vjp(self, params: Params, residuals: Any, dy: Value) -> tuple[Params, Value]:
        cell = self.cell
        steps, mask, saved = residuals
        time, batch = steps.shape[:2]
        order = range(time - 1, -1, -1) if self.reverse else range(time)
        dy, given = dy if self.carry else (dy, None)
        given = given if isinstance(given, tuple) else (given,) * (2 if cell.pair else 1)
        none = np.zeros_like(saved[0][0] if isinstance(saved, tuple) else saved[0])
        dcarry = [none if part is None else part for part in given]
        dy = cotangent_of(dy) if self.return_sequences else dy
        if self.return_sequences and dy is not None:
            dsteps = np.swapaxes(dy, 0, 1)
            dsteps = dsteps if mask is None else np.where(mask, dsteps, 0.0)
        else:
            dsteps = np.broadcast_to(none[None], (time, batch, self.units))
            dcarry[0] = dcarry[0] if dy is None else dcarry[0] + dy
        dparams, dz, dstart = cell.scan_vjp(params, saved, dsteps, tuple(dcarry), mask, order)
        gradients = {"weight": rows(steps).T @ rows(dz), **dparams}
        if self.use_bias:
            gradients["bias"] = np.sum(rows(dz), axis=0)
        dx = np.swapaxes((rows(dz) @ params["weight"].T).reshape(steps.shape), 0, 1)
        dx = join_mask(dx, None) if mask is None else (dx, None)
        return gradients, (dx, dstart if cell.pair else dstart[0]) if self.carry else dx


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

    With ``reverse`` it runs from the end; outputs stay in the input's order. Steps that a mask leaves out keep the
    carry as it was and give 0.
    """

    cell_class: ClassVar[type[Cell]] = RNNCell

    activation: Literal["tanh", "relu"] = "tanh"


@register("lstm")
@frozen
class LSTM(Recurrent):
    """Long short-term memory over sequences: ``LSTMCell``, which has the equations, at every step.

    Input    (time, n), or the pair with a mask (time,); with ``carry`` the pair of that and the first carry (h, c)
    Output   (time, units), with the mask if there was one; without ``return_sequences`` (units,), the last real step;
             with ``carry`` the pair of that and the last carry
    Params   weight (n, 4 units), recurrent_weight (units, 4 units), bias (4 units,): gates i, f, g, o
    VJP      that of the cell, from the last step to the first
    Source   Hochreiter and Schmidhuber (1997)

    With ``reverse`` it runs from the end; outputs stay in the input's order. Steps that a mask leaves out keep the
    carry as it was and give 0.
    """

    cell_class: ClassVar[type[Cell]] = LSTMCell


@register("gru")
@frozen
class GRU(Recurrent):
    """The gated recurrent unit over sequences: ``GRUCell``, which has the equations, at every step.

    Input    (time, n), or the pair with a mask (time,); with ``carry`` the pair of that and the first carry
    Output   (time, units), with the mask if there was one; without ``return_sequences`` (units,), the last real step;
             with ``carry`` the pair of that and the last carry
    Params   weight (n, 3 units), recurrent_weight (units, 3 units), bias (3 units,): r, z, n; recurrent_bias (units,)
    VJP      that of the cell, from the last step to the first
    Source   Cho et al. (2014)

    With ``reverse`` it runs from the end; outputs stay in the input's order. Steps that a mask leaves out keep the
    carry as it was and give 0.
    """

    cell_class: ClassVar[type[Cell]] = GRUCell

    reset_after: bool = True
