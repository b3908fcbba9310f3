"""Record PyTorch's recurrent layers: ``python tests/golden/make_recurrent.py`` writes ``recurrent.npz``.

As ``make_golden.py``, in the same environment. PyTorch has two biases for each gate; where they are added up ours is
their sum, so PyTorch gets ours as the first and zeros as the second, but for n of the GRU.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch  # type: ignore[import-not-found]
from make_golden import leaf, normal, save, under
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence  # type: ignore[import-not-found]

GATES = {"rnn": 1, "rnn_relu": 1, "lstm": 4, "gru": 3}
KINDS = {"rnn": torch.nn.RNN, "rnn_relu": torch.nn.RNN, "lstm": torch.nn.LSTM, "gru": torch.nn.GRU}


def params(kind: str, features: int, units: int, seed: int) -> dict[str, Any]:
    wide = GATES[kind] * units
    made = {
        "weight": normal(seed, features, wide, std=0.5),
        "recurrent_weight": normal(seed + 1, units, wide, std=0.5),
        "bias": normal(seed + 2, wide, std=0.5),
    }
    return made | ({"recurrent_bias": normal(seed + 3, units, std=0.5)} if kind == "gru" else {})


def weights(kind: str, p: dict[str, Any], units: int) -> list[Any]:
    second = torch.zeros_like(p["bias"])
    if kind == "gru":
        second = torch.cat([second[: 2 * units], p["recurrent_bias"]])
    return [p["weight"].T, p["recurrent_weight"].T, p["bias"], second]


def case(
    name: str,
    kind: str,
    layers: list[dict[str, Any]],
    x: Any,
    units: int,
    *,
    both: bool = False,
    lengths: list[int] | None = None,
    carry: list[Any] | None = None,
    last: bool = False,
) -> dict[str, Any]:
    """``layers`` are the params of each layer, or with ``both`` those forward and backward of one."""
    net = KINDS[kind](
        x.shape[2],
        units,
        num_layers=1 if both else len(layers),
        batch_first=True,
        bidirectional=both,
        dtype=torch.float64,
        **({"nonlinearity": "relu"} if kind == "rnn_relu" else {}),
    )
    tensors = [{path: leaf(value) for path, value in p.items()} for p in layers]
    names = [n for n, _ in net.named_parameters()]
    given = dict(zip(names, [w for p in tensors for w in weights(kind, p, units)], strict=True))
    tensor_x = leaf(x)
    carries = None if carry is None else [leaf(c) for c in carry]
    start = None if carries is None else [c[None] for c in carries]
    start = tuple(start) if start and len(start) > 1 else (start[0] if start else None)
    packed = tensor_x
    if lengths is not None:
        packed = pack_padded_sequence(tensor_x, torch.tensor(lengths), batch_first=True, enforce_sorted=False)
    out, end = torch.func.functional_call(net, given, (packed, start) if start is not None else (packed,))
    if lengths is not None:
        out, _ = pad_packed_sequence(out, batch_first=True, total_length=x.shape[1])
    end = list(end) if isinstance(end, tuple) else [end]
    y = torch.cat(list(end[0]), dim=-1) if last else out
    dy = normal(100, *y.shape)
    scalar = (y * torch.tensor(dy)).sum()
    record: dict[str, Any] = {"x": x, "y": y.detach().numpy(), "dy": dy}
    if lengths is not None:
        record["mask"] = np.arange(x.shape[1]) < np.array(lengths)[:, None]
    if carries is not None:
        assert carry is not None
        for i, (one, given_carry) in enumerate(zip(end, carry, strict=True)):
            dcarry = normal(110 + i, *one[0].shape)
            scalar = scalar + (one[0] * torch.tensor(dcarry)).sum()
            record |= {f"carry/{i}": given_carry, f"end/{i}": one[0].detach().numpy(), f"dend/{i}": dcarry}
    scalar.backward()
    record["dx"] = tensor_x.grad.numpy()
    for i, (p, t) in enumerate(zip(layers, tensors, strict=True)):
        record |= under(f"params/{i}", p) | under(f"dparams/{i}", {path: v.grad.numpy() for path, v in t.items()})
    if carries is not None:
        record |= {f"dcarry/{i}": c.grad.numpy() for i, c in enumerate(carries)}
    return under(name, record)


def main() -> None:
    arrays: dict[str, Any] = {}
    x = normal(4000, 3, 5, 2)
    for seed, kind in enumerate(KINDS):
        one, two = params(kind, 2, 3, 5000 + 10 * seed), params(kind, 3, 3, 6000 + 10 * seed)
        back = params(kind, 2, 3, 7000 + 10 * seed)
        start = [normal(4001 + i, 3, 3) for i in range(2 if kind == "lstm" else 1)]
        arrays |= case(f"{kind}_plain", kind, [one], x, 3)
        arrays |= case(f"{kind}_last", kind, [one], x, 3, last=True)
        arrays |= case(f"{kind}_two_layers", kind, [one, two], x, 3)
        arrays |= case(f"{kind}_masked", kind, [one], x, 3, lengths=[5, 1, 3])
        arrays |= case(f"{kind}_masked_last", kind, [one], x, 3, lengths=[2, 5, 4], last=True)
        arrays |= case(f"{kind}_carry", kind, [one], x, 3, carry=start)
        arrays |= case(f"{kind}_masked_carry", kind, [one], x, 3, lengths=[5, 2, 1], carry=start)
        arrays |= case(f"{kind}_both", kind, [one, back], x, 3, both=True)
        arrays |= case(f"{kind}_both_masked", kind, [one, back], x, 3, both=True, lengths=[1, 5, 3])
        arrays |= case(f"{kind}_both_last", kind, [one, back], x, 3, both=True, lengths=[4, 5, 2], last=True)
    save("recurrent", arrays)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
