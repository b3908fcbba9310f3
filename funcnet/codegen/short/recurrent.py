"""Recurrent layers, one step of each loop a few lines. Where a mask is false, a step leaves the carry as it is."""

from __future__ import annotations

from typing import Any

from funcnet.codegen.short.form import Simple
from funcnet.layers.recurrent_kernels import step_blocks

RNN = '''
def rnn_steps(x, weight{bias}, recurrent, h{mask}):
    """h' = {f}(x @ weight + h @ recurrent{plus_bias}) for every step of x: (steps, batch, n)."""
    z = (x.reshape(-1, x.shape[2]) @ weight).reshape(*x.shape[:2], -1)
    hidden = [h.copy()]
    for t in range(len(x)):
        new = {call}(z[t] + hidden[t] @ recurrent{plus_bias}{end})
        hidden.append({new})
    return np.array(hidden)
'''
RNN_VJP = '''
def rnn_steps_vjp(dy, hidden, recurrent, dh{mask}):
    """dz = {slope} dh', dh = dz @ recurrent.T, from the last step to the first."""
    back, dz = np.ascontiguousarray(recurrent.T), []
    for t in reversed(range(len(dy))):
        new = hidden[t + 1]
        dh = dh + dy[t]
        dz.append({factor} * dh)
        dh = {dh}
    return np.array(dz[::-1]), dh
'''
PROJECTED = "x.reshape(-1, x.shape[2]) @ weights"
IN_BLOCKS = """np.concatenate(
        [x[i : i + {steps}].reshape(-1, x.shape[2]) @ weights for i in range(0, len(x), {steps})], axis=1
    )"""
LSTM_GATES = '''
def lstm_gates(w):
    """The columns of i, f, o and g, apart; the first three by half, as their sigmoids take."""
    w = w.reshape(*w.shape[:-1], 4, -1)[..., [0, 1, 3, 2], :]
    w = w * np.array([[0.5], [0.5], [0.5], [1]], w.dtype)
    return np.ascontiguousarray(np.moveaxis(w, -2, 0))
'''
LSTM = '''
def lstm_steps(x, weight{bias}, recurrent, h, c{mask}):
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
        {keep}
    return np.array(hidden), c, np.array(saved)
'''
LSTM_VJP = '''
def lstm_steps_vjp(dy, hidden, saved, recurrent, dh, dc{mask}):
    """do = tanh(c') dh', dc' += o (1 - tanh(c')**2) dh', di = g dc', df = c dc', dg = i dc'."""
    back, dz = np.ascontiguousarray(recurrent.T), []
    for t in reversed(range(len(dy))):
        (i, f, o, g, c, tanh_c), new = saved[t], hidden[t + 1]
        dh = dh + dy[t]
{before}        dc = dc + (o - new * tanh_c) * dh  # new = o tanh(c')
        di, df, dg = i * g * (1 - i) * dc, f * c * (1 - f) * dc, (i - i * g * g) * dc
        dz.append([di, df, dg, (1 - o) * new * dh])
        dc = dc * f
        dh = np.concatenate(dz[-1], axis=1) @ back
{after}    return np.stack(dz[::-1], axis=1), dh, dc
'''
KEEP = """hidden.append(np.where(mask[t], o * np.tanh(c), hidden[t]))
        c = np.where(mask[t], c, old)"""
GRU_GATES = '''
def gru_gates(w):
    """The columns of r, z and n, apart."""
    return np.ascontiguousarray(np.moveaxis(w.reshape(*w.shape[:-1], 3, -1), -2, 0))
'''
GRU = '''
def gru_steps(x, weight{bias}, recurrent{inner_bias}, h{mask}):
    """h' = (1 - z) n + z h, r, z = sigma(a), n = tanh(a_n + {factor})"""
    weights, recurrent = gru_gates(weight), gru_gates(recurrent)
    a = {projected}{plus_bias}
    a = a.reshape(3, *x.shape[:2], -1)  # x @ weight, by gate and step
    hidden, saved = [h.copy()], []
    for t in range(len(x)):
        h = hidden[t]
{product}        saved.append([r, z, inner, n])
        hidden.append({new})
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
def gru_steps_vjp(dy, hidden, saved, recurrent, dh{mask}):
    """dn = (1 - n**2) (1 - z) dh', dz = z (1 - z) (h - n) dh', dr = r (1 - r) {factor}"""
    back, d = np.ascontiguousarray(np.roll(recurrent, dh.shape[1], axis=1).T), []  # of n, r and z
    for t in reversed(range(len(dy))):
        (r, z, inner, n), h = saved[t], hidden[t]
        dh = dh + dy[t]
{before}{product}{after}    return np.stack(d[::-1], axis=1), dh
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
    if not _alike(x, h):
        return None
    f, call, end = ("relu", "np.maximum", ", 0") if relu else ("tanh", "np.tanh", "")
    new = "new" if mask is None else "np.where(mask[t], new, hidden[t])"
    text = RNN.format(f=f, call=call, end=end, new=new, mask=_mask(mask), **_bias(bias, " + bias"))
    return Simple("rnn_steps", given(nodes, args[:6]), text)


def rnn_vjp(nodes: list[Any], args: list[str]) -> Simple | None:
    """``rnn_scan_vjp``."""
    dy, hidden, _, dh, mask, relu = nodes
    if not _alike(dy, hidden, dh):
        return None
    slope, factor = ("[h' > 0]", "(new > 0)") if relu else ("(1 - h'**2)", "(1 - new * new)")
    back = "dz[-1] @ back"
    if mask is not None:
        factor, back = f"{factor} * mask[t]", f"np.where(mask[t], {back}, dh)"
    text = RNN_VJP.format(slope=slope, factor=factor, dh=back, mask=_mask(mask))
    return Simple("rnn_steps_vjp", given(nodes, args[:5]), text)


def lstm(nodes: list[Any], args: list[str]) -> Simple | None:
    """``lstm_scan``."""
    x, _, bias, _, h, c, mask = nodes
    if not _alike(x, h, c):
        return None
    text = LSTM.format(
        projected=_projected(x, 4 * _size(h)),
        keep="hidden.append(o * np.tanh(c))" if mask is None else KEEP,
        mask=_mask(mask),
        **_bias(bias, " + lstm_gates(bias)[:, None]"),
    )
    return Simple("lstm_steps", given(nodes, args), text, (LSTM_GATES,))


def lstm_vjp(nodes: list[Any], args: list[str]) -> Simple | None:
    """``lstm_scan_vjp``."""
    dy, hidden, _, _, dh, dc, mask = nodes
    if not _alike(dy, hidden, dh, dc):
        return None
    text = LSTM_VJP.format(mask=_mask(mask), **_passed(mask, "dh", "dc"))
    return Simple("lstm_steps_vjp", given(nodes, args), text)


def gru(nodes: list[Any], args: list[str]) -> Simple | None:
    """``gru_scan``."""
    x, _, bias, _, inner_bias, h, mask, after = nodes
    if not _alike(x, h):
        return None
    plus = " + inner_bias" if inner_bias is not None else " + 0.0"
    new = "(h - n) * z + n"
    text = GRU.format(
        projected=_projected(x, 3 * _size(h)),
        factor=f"r (h @ u{' + inner_bias' * (inner_bias is not None)})" if after else "(r h) @ u",
        product=AFTER.format(plus_inner_bias=plus) if after else BEFORE,
        inner_bias="" if inner_bias is None else ", inner_bias",
        new=new if mask is None else f"np.where(mask[t], {new}, h)",
        mask=_mask(mask),
        **_bias(bias, " + gru_gates(bias)[:, None]"),
    )
    return Simple("gru_steps", given(nodes, args[:7]), text, (GRU_GATES,))


def gru_vjp(nodes: list[Any], args: list[str]) -> Simple | None:
    """``gru_scan_vjp``."""
    dy, hidden, _, _, dh, mask, after = nodes
    if not _alike(dy, hidden, dh):
        return None
    factor = "(h @ u) dn" if after else "h (dn @ u.T)"
    product = AFTER_VJP if after else BEFORE_VJP
    text = GRU_VJP.format(factor=factor, product=product, mask=_mask(mask), **_passed(mask, "dh"))
    return Simple("gru_steps_vjp", given(nodes, args[:6]), text)


def given(nodes: list[Any], args: list[str]) -> list[str]:
    """The arguments that are not None."""
    return [arg for node, arg in zip(nodes, args, strict=False) if node is not None]


def _alike(*nodes: Any) -> bool:
    """Whether arrays have one dtype, and rows whose entries are side by side, as those of the library's memory are."""
    rows = all(node.strides is not None and abs(node.strides[-1]) <= abs(node.strides[-2]) for node in nodes)
    return rows and len({node.dtype for node in nodes}) == 1


def _size(h: Any) -> int:
    return int(h.shape[0] * h.shape[1])


def _bias(bias: Any, plus: str) -> dict[str, str]:
    return {"bias": "", "plus_bias": ""} if bias is None else {"bias": ", bias", "plus_bias": plus}


def _mask(mask: Any) -> str:
    return "" if mask is None else ", mask"


def _passed(mask: Any, *names: str) -> dict[str, str]:
    """The lines before and after a step back that pass the cotangents of masked steps on."""
    if mask is None:
        return {"before": "", "after": ""}
    margin = " " * 8
    return {
        "before": "".join(
            f"{margin}{name}, past_{name} = {name} * mask[t], np.where(mask[t], 0, {name})\n" for name in names
        ),
        "after": "".join(f"{margin}{name} = {name} + past_{name}\n" for name in names),
    }


def _projected(x: Any, numbers: int) -> str:
    """The products with the inputs, in the blocks of steps of the library."""
    whole = step_blocks(x.shape[0], numbers)
    form = PROJECTED if len(whole) == 1 else IN_BLOCKS
    return form.format(steps=whole[0].stop)
