"""Two networks, two optimizers, one loop of one's own: a generative adversarial network from apply and vjp alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import funcnet as fn
from funcnet import losses, optim
from tests.table import same

MEAN, STD = 3.0, 0.5
BATCH = 64
GENERATOR = fn.serial(fn.Dense(8), fn.Tanh(), fn.Dense(1))
CRITIC = fn.serial(fn.Dense(16), fn.LeakyRelu(0.2), fn.Dense(16), fn.LeakyRelu(0.2), fn.Dense(1))
LOSS = losses.SigmoidCrossEntropy()
RULES = {"generator": optim.Adam(1e-3, b1=0.5), "critic": optim.RMSprop(2e-3)}
REAL, FAKE = np.ones((BATCH, 1), np.float32), np.zeros((BATCH, 1), np.float32)


def start(key: fn.Key) -> dict[str, Any]:
    nets = {"generator": GENERATOR, "critic": CRITIC}
    params = {name: net.init(key.fold(name), (1,))[0] for name, net in nets.items()}
    return {"params": params, "rules": {name: RULES[name].init(params[name]) for name in nets}}


def judge(critic: Any, x: Any, target: Any) -> tuple[float, Any, Any]:
    """The loss of the critic's verdict on x, and its gradients with respect to the critic and to x."""
    logits, _, residuals = CRITIC.apply(critic, {}, x, fn.EVAL)
    value, loss_residuals = LOSS.apply(logits, target)
    dcritic, dx = CRITIC.vjp(critic, residuals, LOSS.vjp(loss_residuals))
    return float(value), dcritic, dx


def update(name: str, now: dict[str, Any], grads: Any) -> dict[str, Any]:
    updates, rule = RULES[name].update(grads, now["rules"][name], now["params"][name])
    params = fn.apply_updates(now["params"][name], updates)
    return {"params": {**now["params"], name: params}, "rules": {**now["rules"], name: rule}}


def play(now: dict[str, Any], key: fn.Key) -> dict[str, Any]:
    """One move of each: the critic tells real from fake, the generator is told how to be taken for real."""
    real = (MEAN + STD * key.fold("real").normal((BATCH, 1))).astype(np.float32)
    z = key.fold("noise").normal((BATCH, 1), np.float32)
    fake, _, residuals = GENERATOR.apply(now["params"]["generator"], {}, z, fn.EVAL)
    _, on_real, _ = judge(now["params"]["critic"], real, REAL)
    _, on_fake, _ = judge(now["params"]["critic"], fake, FAKE)
    now = update("critic", now, fn.tree.map(np.add, on_real, on_fake))
    _, _, dfake = judge(now["params"]["critic"], fake, REAL)
    dgenerator, _ = GENERATOR.vjp(now["params"]["generator"], residuals, dfake)
    return update("generator", now, dgenerator)


def train(key: fn.Key, steps: int) -> dict[str, Any]:
    now = start(key)
    for step in range(steps):
        now = play(now, key.fold("step", step))
    return now


def sample(now: dict[str, Any]) -> Any:
    z = fn.Key(99).normal((20_000, 1), np.float32)
    return fn.predict(GENERATOR, now["params"]["generator"], {}, z)


@pytest.mark.slow
def test_the_generator_learns_the_distribution() -> None:
    before = sample(start(fn.Key(0)))
    assert abs(before.mean() - MEAN) > 1.0
    after = sample(train(fn.Key(0), 3000))
    assert after.mean() == pytest.approx(MEAN, abs=0.1)
    assert after.std() == pytest.approx(STD, abs=0.12)


def test_the_same_key_is_the_same_game_to_the_bit() -> None:
    first, again, other = train(fn.Key(1), 50), train(fn.Key(1), 50), train(fn.Key(2), 50)
    assert same(first, again)
    assert not same(first["params"], other["params"])
    for name in RULES:
        assert same(first["rules"][name]["step"], np.int64(50))


def test_the_gradient_through_the_critic_into_the_generator() -> None:
    """The two vjps compose as the two networks in sequence do."""
    params = {
        "generator": GENERATOR.init(fn.Key(3), (1,), np.float64)[0],
        "critic": CRITIC.init(fn.Key(4), (1,), np.float64)[0],
    }
    z, target = fn.Key(5).normal((BATCH, 1)), np.ones((BATCH, 1))

    def loss(generator: Any) -> float:
        fake = GENERATOR.apply(generator, {}, z, fn.EVAL)[0]
        return judge(params["critic"], fake, target)[0]

    fake, _, residuals = GENERATOR.apply(params["generator"], {}, z, fn.EVAL)
    value, dcritic, dfake = judge(params["critic"], fake, target)
    dgenerator, _ = GENERATOR.vjp(params["generator"], residuals, dfake)
    fn.check_gradient(loss, params["generator"], dgenerator)
    whole = fn.serial(generator=GENERATOR, critic=CRITIC)
    expected = fn.value_and_grad(whole, LOSS)(params, {}, z, target, fn.EVAL)
    assert same((value, {}, {"generator": dgenerator, "critic": dcritic}), expected)
