"""What the processes of test_workers.py run: they import no more than they need."""

import numpy as np

import funcnet as fn
from funcnet import losses, optim
from funcnet.experiments.digests import digest
from funcnet.training.threads import limited

NET = fn.serial(fn.Dense(24), fn.LayerNorm(), fn.Gelu(), fn.Dropout(0.2), fn.Dense(5))
LOSS = losses.SoftmaxCrossEntropy()
OPT = optim.chain(optim.ClipByGlobalNorm(1.0), optim.AdamW(0.01))
X = fn.Key(1).normal((48, 10), np.float32)
Y = np.arange(48) % 5
WEIGHT = fn.Key(2).uniform((48,), np.float32)


def trained(steps=12):
    """The digest of everything after some steps."""
    ts = fn.train_state(NET, OPT, fn.Key(7), (10,))
    step = fn.train_step(NET, LOSS, OPT)
    with limited(1):
        for _ in range(steps):
            ts, _ = step(ts, (X, Y, WEIGHT))
    return digest({"params": ts.params, "opt_state": ts.opt_state})


def shard_gradients(args):
    """The gradients of one shard, with the whole batch's divisor and the key of its place."""
    params, state, shard, count = args
    begin, end = (len(X) * s // count for s in (shard, shard + 1))
    ctx = fn.Context(True, fn.Key(7).fold("step", 0, "shard", shard))
    f = fn.value_and_grad(NET, LOSS)
    with limited(1):
        rows = slice(begin, end)
        return f(params, state, X[rows], Y[rows], ctx, WEIGHT[rows], divisor=LOSS.divisor(Y, WEIGHT))[2]
