"""Recurrent layers without a mask, one step of each loop a few lines."""

from __future__ import annotations

from typing import Any

from funcnet.codegen.short.form import Simple
from funcnet.layers.recurrent_kernels import step_blocks

RNN = '''
def rnn_steps(x, weight{bias}, recurrent, h):
    """h' = {f}(x @ weight + h @ recurrent{plus_bias}) for every step of x: (steps, batch, n)."""
    z = (x.reshape(-1, x.shape[2]) @ weight).reshape(*x.shape[:2], -1)
    hidden = [h.copy()]
    for t in range(len(x)):
        hidden.append({call}(z[t] + hidden[t] @ recurrent{plus_bias}{end}))
    return np.array(hidden)
'''
RNN_VJP = '''
def rnn_steps_vjp(dy, hidden, recurrent, dh):
    """dz = {slope} dh', dh = dz @ recurrent.T, from the last step to the first."""
    back, dz = np.ascontiguousarray(recurrent.T), []
    for t in reversed(range(len(dy))):
        new = hidden[t + 1]
        dz.append({factor} * (dh + dy[t]))
        dh = dz[-1] @ back
    return np.array(dz[::-1]), dh
'''
PROJECTED = "x.reshape(-1, x.shape[2]) @ {weights}"
IN_BLOCKS = """np.concatenate(
        [x[i : i + {steps}].reshape(-1, x.shape[2]) @ {weights} for i in range(0, len(x), {steps})], axis=1
    )"""
LSTM_GATES = '''
def lstm_gates(w):
    """The columns of i, f, o and g, apart; the first three by half, as their sigmoids take."""
    w = w.reshape(*w.shape[:-1], 4, -1)[..., [0, 1, 3, 2], :]
    w = w * np.array([[0.5], [0.5], [0.5], [1]], w.dtype)
    return np.ascontiguousarray(np.moveaxis(w, -2, 0))
'''
LSTM = '''
def lstm_steps(x, weight{bias}, recurrent, h, c):
    """c' = f c + i g, h' = o tanh(c'), i, f, o = sigma(z), g = tanh(z); x: (steps, batch, n)"""
    weights, recurrent = lstm_gates(weight), lstm_gates(recurrent)
    z = {projected}{plus_bias}
    z = z.reshape(4, *x.shape[:2], -1)  # x @ weight, by gate and step
    hidden, saved = [h.copy()], []
    for t in range(len(x)):
        a = np.tanh(z[:, t] + hidden[t] @ recurrent)
        i, f, o = 0.5 * a[:3] + 0.5  # sigma(z) = tanh(z / 2) / 2 + 1 / 2
        g, old = a[3], c
        c = i * g + f * c
        saved.append([i, f, o, g, old, np.tanh(c)])
        hidden.append(o * np.tanh(c))
    return np.array(hidden), c, np.array(saved)
'''
LSTM_VJP = '''
def lstm_steps_vjp(dy, hidden, saved, recurrent, dh, dc):
    """do = tanh(c') dh', dc' += o (1 - tanh(c')**2) dh', di = g dc', df = c dc', dg = i dc'."""
    back, dz = np.ascontiguousarray(recurrent.T), []
    for t in reversed(range(len(dy))):
        (i, f, o, g, c, tanh_c), new = saved[t], hidden[t + 1]
        dh = dh + dy[t]
        dc = dc + (o - new * tanh_c) * dh  # new = o tanh(c')
        di, df, dg = i * g * (1 - i) * dc, f * c * (1 - f) * dc, (i - i * g * g) * dc
        dz.append([di, df, dg, (1 - o) * new * dh])
        dc = dc * f
        dh = np.concatenate(dz[-1], axis=1) @ back
    return np.stack(dz[::-1], axis=1), dh, dc
'''
GRU_GATES = '''
def gru_gates(w):
    """The columns of r, z and n, apart."""
    return np.ascontiguousarray(np.moveaxis(w.reshape(*w.shape[:-1], 3, -1), -2, 0))
'''
GRU = '''
def gru_steps(x, weight{bias}, recurrent{inner_bias}, h):
    """h' = (1 - z) n + z h, r, z = sigma(a), n = tanh(a_n + {factor})"""
    weights, recurrent = gru_gates(weight), gru_gates(recurrent)
    a = {projected}{plus_bias}
    a = a.reshape(3, *x.shape[:2], -1)  # x @ weight, by gate and step
    hidden, saved = [h.copy()], []
    for t in range(len(x)):
        h = hidden[t]
{product}        saved.append([r, z, inner, n])
        hidden.append((h - n) * z + n)
    return np.array(hidden), np.array(saved)
'''
AFTER = """\
        through = h @ recurrent
        r, z = 0.5 * np.tanh(0.5 * (a[:2, t] + through[:2])) + 0.5
        inner = through[2]{plus_inner_bias}
        n = np.tanh(a[2, t] + r * inner)
"""
BEFORE = """\
        r, z = 0.5 * np.tanh(0.5 * (a[:2, t] + h @ recurrent[:2])) + 0.5
        inner = r * h
        n = np.tanh(a[2, t] + inner @ recurrent[2])
"""
GRU_VJP = '''
def gru_steps_vjp(dy, hidden, saved, recurrent, dh):
    """dn = (1 - n**2) (1 - z) dh', dz = z (1 - z) (h - n) dh', dr = r (1 - r) {factor}"""
    back, d = np.ascontiguousarray(np.roll(recurrent, dh.shape[1], axis=1).T), []  # of n, r and z
    for t in reversed(range(len(dy))):
        (r, z, inner, n), h = saved[t], hidden[t]
        dh = dh + dy[t]
{product}    return np.stack(d[::-1], axis=1), dh
'''
AFTER_VJP = """\
        dn = (1 - n * n) * (1 - z)
        dr, dz = r * (1 - r) * inner * dn, (h - n) * (1 - z) * z
        d.append([dn * r * dh, dr * dh, dz * dh, dn * dh])
        dh = dh * z + np.concatenate(d[-1][:3], axis=1) @ back
"""
BEFORE_VJP = """\
        dz, dn = (h - n) * (1 - z) * z * dh, (1 - n * n) * (1 - z) * dh
        through = dn @ back[: h.shape[1]]
        dr = r * (1 - r) * h * through
        d.append([np.zeros_like(dn), dr, dz, dn])
        rest = np.concatenate([dn, dr, dz], axis=1)[:, h.shape[1] :]
        dh = dh * z + through * r + rest @ back[h.shape[1] :]
"""


def rnn(nodes: list[Any], args: list[str]) -> Simple | None:
    """``rnn_scan``."""
    x, _, bias, _, h, mask, relu = nodes
    if mask is not None or not _alike(x, h):
        return None
    f, call, end = ("relu", "np.maximum", ", 0") if relu else ("tanh", "np.tanh", "")
    text = RNN.format(f=f, call=call, end=end, **_bias(bias, " + bias"))
    return Simple("rnn_steps", _without(args[:5], 2, bias), text)


def rnn_vjp(nodes: list[Any], args: list[str]) -> Simple | None:
    """``rnn_scan_vjp``."""
    dy, hidden, _, dh, mask, relu = nodes
    if mask is not None or not _alike(dy, hidden, dh):
        return None
    slope, factor = ("[h' > 0]", "(new > 0)") if relu else ("(1 - h'**2)", "(1 - new * new)")
    return Simple("rnn_steps_vjp", args[:4], RNN_VJP.format(slope=slope, factor=factor))


def lstm(nodes: list[Any], args: list[str]) -> Simple | None:
    """``lstm_scan``."""
    x, _, bias, _, h, c, mask = nodes
    if mask is not None or not _alike(x, h, c):
        return None
    text = LSTM.format(projected=_projected(x, 4 * _size(h)), **_bias(bias, " + lstm_gates(bias)[:, None]"))
    return Simple("lstm_steps", _without(args[:6], 2, bias), text, (LSTM_GATES,))


def lstm_vjp(nodes: list[Any], args: list[str]) -> Simple | None:
    """``lstm_scan_vjp``."""
    dy, hidden, _, _, dh, dc, mask = nodes
    return Simple("lstm_steps_vjp", args[:6], LSTM_VJP) if mask is None and _alike(dy, hidden, dh, dc) else None


def gru(nodes: list[Any], args: list[str]) -> Simple | None:
    """``gru_scan``."""
    x, _, bias, _, inner_bias, h, mask, after = nodes
    if mask is not None or not _alike(x, h):
        return None
    plus = " + inner_bias" if inner_bias is not None else " + 0.0"
    text = GRU.format(
        projected=_projected(x, 3 * _size(h)),
        factor=f"r (h @ u{' + inner_bias' * (inner_bias is not None)})" if after else "(r h) @ u",
        product=AFTER.format(plus_inner_bias=plus) if after else BEFORE,
        inner_bias="" if inner_bias is None else ", inner_bias",
        **_bias(bias, " + gru_gates(bias)[:, None]"),
    )
    given = _without(_without(args[:6], 4, inner_bias), 2, bias)
    return Simple("gru_steps", given, text, (GRU_GATES,))


def gru_vjp(nodes: list[Any], args: list[str]) -> Simple | None:
    """``gru_scan_vjp``."""
    dy, hidden, _, _, dh, mask, after = nodes
    if mask is not None or not _alike(dy, hidden, dh):
        return None
    factor = "(h @ u) dn" if after else "h (dn @ u.T)"
    return Simple("gru_steps_vjp", args[:5], GRU_VJP.format(factor=factor, product=AFTER_VJP if after else BEFORE_VJP))


def _alike(*nodes: Any) -> bool:
    """Whether arrays have one dtype, and rows whose entries are side by side, as those of the library's memory are."""
    rows = all(node.strides is not None and abs(node.strides[-1]) <= abs(node.strides[-2]) for node in nodes)
    return rows and len({node.dtype for node in nodes}) == 1


def _size(h: Any) -> int:
    return int(h.shape[0] * h.shape[1])


def _bias(bias: Any, plus: str) -> dict[str, str]:
    return {"bias": "", "plus_bias": ""} if bias is None else {"bias": ", bias", "plus_bias": plus}


def _without(args: list[str], i: int, node: Any) -> list[str]:
    """The arguments without the i-th if it is None."""
    return args if node is not None else [*args[:i], *args[i + 1 :]]


def _projected(x: Any, numbers: int) -> str:
    """The products with the inputs, in the blocks of steps of the library."""
    whole = step_blocks(x.shape[0], numbers)
    form = PROJECTED if len(whole) == 1 else IN_BLOCKS
    return form.format(weights="weights", steps=whole[0].stop)
