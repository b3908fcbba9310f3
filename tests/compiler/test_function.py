"""``fn.compile`` and what stands behind it: what cannot be recorded, threads, forks, memory, bounded plans."""

import gc
import math
import multiprocessing
import pickle
import sys
import threading
import tracemalloc
import warnings
import weakref
from typing import Any

import attrs
import numpy as np
import pytest

import funcnet as fn
from funcnet import ops, tree
from funcnet.compiler import compared, fallback, function, guard, record
from funcnet.compiler.function import Compiled
from funcnet.compiler.program import Recycler
from tests.table import same

X, Y = fn.Key(1).normal((6, 4), np.float32), fn.Key(2).normal((6, 1), np.float32)
LOSS = fn.losses.MeanSquaredError()
TABLE = np.arange(12.0, dtype=np.float32)


@pytest.fixture(autouse=True)
def forget():
    """Every test hears its warnings."""
    fallback._warned.clear()


# ----- what cannot be recorded -----------------------------------------------------------------------------


def branch(x: Any) -> Any:
    return x if x.sum() > 0 else -x


def to_float(x: Any) -> Any:
    return x * float(x[0, 0])


def mask(x: Any) -> Any:
    y = np.where(x > 0, x, 0.0)
    return y + 0.0 * x[x > 0].sum()


def in_place(x: Any) -> Any:
    y = x * 1.0
    y[0] = 0.0
    return y


def added_in_place(x: Any) -> Any:
    y = x * 1.0
    y += 1.0
    return y


def outside(x: Any) -> Any:
    return np.asarray(x) * 2.0


def table(x: Any) -> Any:
    return TABLE[(x > 0).astype(np.int64)] * x


def written_out(x: Any) -> Any:
    return np.exp(x, out=np.empty_like(TABLE[:4]))


INSTEAD = "use np.where(condition, a, b), fn.ops.number(x) for a number, fn.ops.check(ok, error) for an error"
WHEN = "while it is recorded, when arrays have no values yet"
VALUE = f"branches on the value of an array, or turns it into a Python number {WHEN}; {INSTEAD}"
NEEDS = (
    f"needs the values of an array (to index a table, in np.asarray or in a function outside NumPy) {WHEN}; "
    "for a table use fn.ops.take(table, indices), for a list of arrays np.stack(arrays)"
)
REFUSED = {
    branch: ("return x if x.sum() > 0 else -x", VALUE),
    to_float: ("return x * float(x[0, 0])", VALUE),
    mask: ("return y + 0.0 * x[x > 0].sum()", f"uses a boolean mask as an index {WHEN}; use np.where(mask, a, b)"),
    in_place: ("y[0] = 0.0", f"writes into an array {WHEN}; make a new one, such as np.where(mask, a, b)"),
    added_in_place: ("y += 1.0", f"writes into an array in place {WHEN}; make a new one: x = x + y"),
    outside: ("return np.asarray(x) * 2.0", NEEDS),
    table: ("return TABLE[(x > 0).astype(np.int64)] * x", NEEDS),
}


def layer_of(f: Any) -> fn.Layer:
    """A layer whose forward pass is f; its backward pass is linear."""
    return fn.layer(
        lambda key, shape, dtype: ({}, {}),
        lambda params, state, x, ctx: (f(x).astype(x.dtype), state, x),
        lambda params, residuals, dy: ({}, dy * 2.0),
        lambda shape: shape,
    )


@pytest.mark.parametrize("f", REFUSED, ids=lambda f: f.__name__)
def test_a_layer_that_cannot_be_recorded_runs_as_it_is(f):
    net, opt = fn.serial(fn.Dense(4), layer_of(f), fn.Dense(1)), fn.optim.Adam(0.1)
    ts = fn.train_state(net, opt, fn.Key(0), (4,))
    fast = fn.train_step(net, LOSS, opt)
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        new, figures = fast(ts, (X, Y))
        fast(new, (X[:3], Y[:3]))  # recorded again, without another warning
    line, advice = REFUSED[f]
    (message,) = [str(warning.message) for warning in heard if warning.category is fn.CompileWarning]
    start = "apply of FunctionLayer is not compiled and runs slower: test_function.py:"
    assert message.startswith(start)
    assert message.partition(" `")[2] == f"{line}`: {advice}"
    plain, expected = fn.train_step(net, LOSS, opt, compile=False)(ts, (X, Y))
    assert figures == expected
    assert same(new.params, plain.params)


@pytest.mark.parametrize("f", REFUSED, ids=lambda f: f.__name__)
def test_strict_raises(f):
    line, advice = REFUSED[f]
    with pytest.raises(fn.TraceError) as error:
        fn.compile(f, strict=True)(X)
    assert str(error.value).partition(" `")[2] == f"{line}`: {advice}"
    assert str(error.value).startswith("test_function.py:")


def test_a_backward_pass_alone_that_cannot_be_recorded():
    def vjp(params, residuals, dy):
        return {"w": np.sum(residuals * dy, axis=0)}, dy * params["w"] * (1.0 if dy.max() > -1e9 else 0.0)

    own = fn.layer(
        lambda key, shape, dtype: ({"w": key.normal(shape, dtype)}, {}),
        lambda params, state, x, ctx: (x * params["w"], state, x),
        vjp,
        lambda shape: shape,
    )
    net, opt = fn.serial(fn.Dense(4), own, fn.Dropout(0.3), fn.Dense(1)), fn.optim.SGD(0.1)
    ts = fn.train_state(net, opt, fn.Key(0), (4,))
    with pytest.warns(fn.CompileWarning, match=r"^vjp of FunctionLayer is not compiled"):
        new, _ = fn.train_step(net, LOSS, opt)(ts, (X, Y))
    assert same(new.params, fn.train_step(net, LOSS, opt, compile=False)(ts, (X, Y))[0].params)


def test_functions_of_numpy_that_it_knows_nothing_of():
    def f(x, y):
        parts = np.cumsum(x, axis=1), np.sort(x, axis=0), np.einsum("ij,kj->ik", x, x), np.pad(x, 1)
        return *parts, np.linalg.norm(y), np.argmax(x, axis=1), np.array_split(x, 4, axis=1)[0], np.var(x, axis=0)

    fast = Compiled(f, strict=True)
    fast(X, Y)
    assert all(np.array_equal(a, b) for a, b in zip(fast(X, Y), f(X, Y), strict=True))


def test_a_table_is_indexed_by_an_operation_of_its_own():
    def f(x, indices):
        return ops.take(TABLE, indices) * x[0, 0], ops.take(x, indices)

    indices = np.array([[0, 5], [2, 2]])
    assert same(fn.compile(f, strict=True)(X, indices), f(X, indices))
    assert f(X, indices)[1].shape == (2, 2, 4)


def test_a_function_that_cannot_be_recorded_at_all():
    def f(x):
        return math.exp(x[0, 0]) * x

    with pytest.warns(fn.CompileWarning, match=r"^f is not compiled and runs slower: test_function"):
        assert same(fn.compile(f)(X), f(X))


# ----- any pure function ---------------------------------------------------------------------------------------


def test_arguments_of_every_kind():
    def f(params, pair, rate, count, key, ctx, flag, nothing, name, spec):
        noise = key.normal((4,), np.float32) + (ctx.key.uniform((4,), np.float32) if ctx.train else 0.0)
        scaled = spec.apply({}, {}, pair[0], ctx)[0] if flag else pair[0]
        return {"w": params["w"] * rate + noise, name: scaled / (count + 1)}, nothing

    def arguments(i):
        return (
            {"w": np.full(4, i, np.float32)},
            (X, [Y]),
            0.5 + i,
            i,
            fn.Key(i),
            fn.Context(i % 2 == 0, fn.Key(9 + i)),
            i < 3,
            None,
            "out",
            fn.Relu(),
        )

    fast = fn.compile(f, strict=True)
    for i in (1, 2, 3, 4, 1):
        assert same(fast(*arguments(i)), f(*arguments(i)))


def test_a_policy_gradient_with_its_own_derivative():
    def loss_and_gradient(params, states, actions, returns):
        logits = states @ params["w"]
        log_p = ops.log_softmax(logits)
        chosen = (actions[:, None] == np.arange(3)).astype(states.dtype)
        value = -np.mean(np.sum(chosen * log_p, axis=1) * returns)
        d = (np.exp(log_p) - chosen) * (returns / len(states))[:, None]
        return ops.number(value), {"w": states.T @ d}

    args = (
        {"w": fn.Key(3).normal((4, 3))},
        fn.Key(4).normal((8, 4)),
        fn.Key(5).integers(3, (8,)),
        fn.Key(6).normal((8,)),
    )
    assert same(fn.compile(loss_and_gradient, strict=True)(*args)[1], loss_and_gradient(*args)[1])
    assert fn.compile(loss_and_gradient)(*args)[0] == loss_and_gradient(*args)[0]


def test_errors_that_depend_on_values_keep_their_words():
    net, loss, opt = fn.serial(fn.Dense(3)), fn.losses.SoftmaxCrossEntropy(), fn.optim.SGD(0.1)
    step, ts = fn.train_step(net, loss, opt), fn.train_state(net, opt, fn.Key(0), (4,))
    labels = np.array([0, 1, 2, 0, 1, 2])
    ts, _ = step(ts, (X, labels))
    for _ in range(2):
        with pytest.raises(fn.DataError) as error:
            step(ts, (X, labels + 1))
        assert str(error.value).endswith(
            "expected labels from 0 to 2, got 3 at row 2; "
            "renumber the labels, or give the last layer one unit for each class"
        )
    assert step(ts, (X, labels))[1]["loss"] > 0


def test_listeners_hear_every_layer_of_a_compiled_step():
    net, opt = fn.serial(fn.Dense(3), fn.Tanh(), fn.Dense(1)), fn.optim.SGD(0.1)
    step, ts, heard = fn.train_step(net, LOSS, opt), fn.train_state(net, opt, fn.Key(0), (4,)), []
    expected, _ = step(ts, (X, Y))
    with fn.listen(lambda call: heard.append((call.method, call.path))):
        found, _ = step(ts, (X, Y))
    assert [path for method, path in heard if method == "vjp"] == ["dense_1", "tanh_0", "dense_0", ""]
    assert same(found.params, expected.params)


# ----- memory ------------------------------------------------------------------------------------------------------


def large() -> tuple[Any, Any, Any]:
    net, opt = fn.serial(fn.Dense(200), fn.Relu(), fn.Dense(1)), fn.optim.Adam(0.01)
    return net, opt, fn.train_state(net, opt, fn.Key(0), (200,))


def test_what_is_kept_does_not_change_while_the_step_runs_on():
    net, opt, ts = large()
    x, y = fn.Key(3).normal((8, 200), np.float32), fn.Key(4).normal((8, 1), np.float32)
    step, plain = fn.train_step(net, LOSS, opt), fn.train_step(net, LOSS, opt, compile=False)
    kept, part, other = [ts], [], ts
    for _ in range(12):
        kept.append(step(kept[-1], (x, y))[0])
        part.append(kept[-1].params["dense_0"]["weight"][3])
    copies = [tree.map(np.array, (s.params, s.opt_state)) for s in kept]
    last, rows = kept[-1], [np.array(row) for row in part]
    for state in kept:
        assert all(leaf.flags.owndata for leaf in tree.leaves((state.params, state.opt_state)))
    for s, (params, opt_state) in zip(kept, copies, strict=True):
        assert same((s.params, s.opt_state), (params, opt_state))
    for _ in range(12):
        other, _ = plain(other, (x, y))
    assert same(other.params, last.params)
    del kept
    for _ in range(6):
        last, _ = step(last, (x, y))  # memory is used again; a row that is kept keeps its whole array
    assert all(np.array_equal(a, b) for a, b in zip(part, rows, strict=True))


def test_memory_is_used_again_only_when_nobody_refers_to_it():
    take = Recycler((4,), np.dtype(np.float32))
    first = take()
    place, view, second = first.ctypes.data, first[1:], take()
    assert second is not first
    del first
    assert take().ctypes.data != place  # the view keeps it
    del view
    assert take().ctypes.data == place


def test_memory_does_not_grow():
    net, opt, ts = large()
    x, y = fn.Key(3).normal((8, 200), np.float32), fn.Key(4).normal((8, 1), np.float32)
    step = fn.train_step(net, LOSS, opt)
    for _ in range(10):
        ts, _ = step(ts, (x, y))
    tracemalloc.start()
    for _ in range(300):
        ts, _ = step(ts, (x, y))
    grown, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert grown < 10 * 200 * 200 * 4


def test_inputs_of_any_layout_and_read_only():
    """Compiled is plain to the bit; layouts differ as NumPy's products do, which before 2.3 are not by BLAS for gaps.

    No bias stands before the BatchNorm: its gradient is 0 but for rounding, and Adam's step has the size of its sign.
    """
    net, opt = fn.serial(fn.Dense(5, use_bias=False), fn.BatchNorm(), fn.Dense(1)), fn.optim.Adam(0.1)
    step, ts = fn.train_step(net, LOSS, opt), fn.train_state(net, opt, fn.Key(0), (4,))
    plain = fn.train_step(net, LOSS, opt, compile=False)
    expected, _ = step(ts, (X, Y))
    wide = np.zeros((12, 8), np.float32)
    wide[::2, ::2] = X
    for x in (np.asfortranarray(X), wide[::2, ::2], X[::-1].copy()[::-1], X.astype(np.float64), X.tolist()):
        if isinstance(x, np.ndarray):
            x.flags.writeable = False
        found = step(ts, (x, Y))
        assert same(found, plain(ts, (x, Y)))
        pairs = zip(tree.leaves(found[0].params), tree.leaves(expected.params), strict=True)
        assert all(np.allclose(a, b, rtol=1e-5) for a, b in pairs)


# ----- threads, forks, bounds ---------------------------------------------------------------------------------------


def test_arguments_that_lie_otherwise_have_a_plan_of_their_own():
    """An intermediate array lies as they do, and is added up in that order."""

    def f(x: Any) -> Any:
        y = np.tanh(x)
        return (y * y).sum(), y.T.reshape(-1).cumsum()

    x = fn.Key(3).normal((64, 70), np.float32)
    gaps = np.repeat(x, 2, axis=1)[:, ::2]
    fast = Compiled(f, strict=True)
    for value in (x, np.asfortranarray(x), gaps, x[::-1], x):
        assert same(fast(value), f(value))
    assert len(fast.plans.known) == 4


def test_reductions_of_arrays_that_run_backwards():
    """The order of a sum is the plain one; NumPy before 2.2 has another one, and a wrong ``np.max``, with ``out=``."""

    def f(x: Any) -> Any:
        y = np.exp(x)[:, ::-1]
        whole = [(np.sum(z), np.prod(z), np.max(z), np.min(z), np.any(z)) for z in (x, y)]
        return whole, [(np.sum(z, axis), np.prod(z, axis), np.max(z, axis)) for z in (x, y) for axis in (0, 1)]

    x = fn.Key(3).normal((7, 9), np.float32)
    fast = Compiled(f, strict=True)
    for value in (x[::-1], x[:, ::-1], x[::-2, ::-1], x.T[::-1], (3 * x).astype(np.int64)[::-1], x):
        assert same(fast(value), f(value))


def test_arguments_of_other_types_have_a_plan_of_their_own():
    def f(x: Any, n: Any) -> Any:
        return x * n, x.sum(), n / 2

    x, fast = np.array([[1.0, 2.0], [3.0, 5.0]]), Compiled(f, strict=True)
    dtypes = np.float64, np.int64, np.uint64, ">f8", np.float32, np.int32, bool  # some follow others of as many bytes
    values = [x.astype(dtype) for dtype in dtypes]
    for n in (3, 0.1, np.float32(0.1), np.float64(0.1)):
        for value in [*values, *values[::-1]]:
            found, expected = fast(value, n), f(value, n)
            assert same(found[:2], expected[:2]), (value.dtype, n)
            assert [y.dtype for y in found[:2]] == [y.dtype for y in expected[:2]]
            assert found[2] == expected[2]
            assert isinstance(found[2], float) or np.ndim(found[2]) == 0


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        (np.array([0.0, 1.0]), np.array([0.0, 1.0]), True),
        (np.array([-0.0, 1.0]), np.array([0.0, 1.0]), False),
        (np.array([np.nan, -0.0]), np.array([-np.nan, -0.0]), True),
        (np.array([np.nan, 0.0]), np.array([np.nan, -0.0]), False),
        (np.array([1.0, np.nextafter(1.0, 2.0)]), np.array([1.0, 1.0]), False),
        (np.float32(1.0), np.array(1.0, np.float32), True),
        (np.float32(1.0), np.float64(1.0), False),
        (np.ones((1, 2)), np.ones((2, 1)), False),
        (np.array([complex(0.0, -0.0)]), np.array([0j]), False),
        (np.array([complex(math.nan, -0.0)]), np.array([complex(-math.nan, -0.0)]), True),
        (0.0, -0.0, False),
        (1, 1.0, False),
        (math.nan, math.nan, True),
        (fn.Tanh(), fn.Tanh(), True),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, True),
        ({"a": 1}, {"a": 1, "b": 2}, False),
        ((1, 2), [1, 2], False),
        (None, 0, False),
    ],
)
def test_what_is_alike_in_a_first_comparison(a: Any, b: Any, expected: bool):
    assert compared.alike(a, b) == expected


def test_eight_threads_at_once():
    net, opt = fn.serial(fn.Dense(64), fn.Tanh(), fn.Dropout(0.2), fn.Dense(1)), fn.optim.Adam(0.01)
    step = fn.train_step(net, LOSS, opt)

    def work(i: int) -> Any:
        ts = fn.train_state(net, opt, fn.Key(i), (4,))
        rows = 4 + i % 3  # different shapes at the same time
        for _ in range(30):
            ts, _ = step(ts, (X[:rows], Y[:rows]))
            fn.predict(net, ts.params, ts.state, X[:rows])
        return ts.params

    found: dict[int, Any] = {}
    threads = [threading.Thread(target=lambda i=i: found.setdefault(i, work(i))) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(same(found[i], work(i)) for i in range(8))


def child(queue: Any) -> None:
    net, opt = fn.serial(fn.Dense(8), fn.Dense(1)), fn.optim.SGD(0.1)
    queue.put(fn.train_step(net, LOSS, opt)(fn.train_state(net, opt, fn.Key(0), (4,)), (X, Y))[1]["loss"])


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="this system cannot fork")
def test_a_fork_after_threaded_steps():
    test_eight_threads_at_once()
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # a fork of a process with threads, which is the point
        process = context.Process(target=child, args=(queue,))
        process.start()
    value = queue.get(timeout=60)
    process.join()
    here: Any = type("Queue", (), {"put": lambda self, value: setattr(self, "value", value)})()
    child(here)
    assert value == here.value


def test_two_steps_interleaved():
    nets = fn.serial(fn.Dense(8), fn.Dense(1)), fn.serial(fn.Dense(8), fn.Relu(), fn.Dense(1))
    opt = fn.optim.Adam(0.1)
    for compiled in (True, False):
        states = [fn.train_state(net, opt, fn.Key(0), (4,)) for net in nets]
        steps = [fn.train_step(net, LOSS, opt, compile=compiled) for net in nets]
        for _ in range(5):
            states = [step(ts, (X, Y))[0] for step, ts in zip(steps, states, strict=True)]
        if compiled:
            first = states
    assert all(same(a.params, b.params) for a, b in zip(first, states, strict=True))


def test_plans_are_bounded():
    fast = Compiled(lambda x: x * 2.0)
    for n in range(function.MOST_PLANS):
        assert len(fast(np.ones(n))) == n
    with pytest.warns(fn.CompileWarning, match=r"^<lambda> is called with more than 32 shapes; it is not compiled"):
        fast(np.ones(function.MOST_PLANS))
    for n in range(function.MOST_PLANS, function.MOST_PLANS + 10):
        assert len(fast(np.ones(n))) == n
    assert len(fast.plans.known) == function.MOST_PLANS


def test_forty_layers_and_a_short_last_batch():
    layers = [layer for _ in range(20) for layer in (fn.Dense(6), fn.Tanh())]
    net, opt = fn.serial(*layers, fn.Dense(1)), fn.optim.Adam(0.01)
    x, y = fn.Key(1).normal((50, 4), np.float32), fn.Key(2).normal((50, 1), np.float32)
    result = fn.fit(net, (x, y), loss=LOSS, optimizer=opt, epochs=3, batch_size=16, key=fn.Key(0))
    ts = fn.train_state(net, opt, fn.Key(0), (4,))
    step = fn.train_step(net, LOSS, opt, compile=False)
    for epoch in range(3):
        order = fn.Key(0).fold("epoch", epoch).permutation(50)
        for begin in range(0, 50, 16):
            rows = order[begin : begin + 16]
            ts, _ = step(ts, (x[rows], y[rows]))
    assert same(result.train_state.params, ts.params)


# ----- never slower, never more memory than it needs --------------------------------------------------------------


SCALE = [2.0]


def scaled(x: Any) -> Any:
    return np.tanh(x) * SCALE[0]


def test_two_shapes_that_take_turns_need_no_search(monkeypatch):
    """The last batch of an epoch is often smaller; neither plan outlives a change of what the function reads."""
    fast, whole, rest = Compiled(scaled, strict=True), X, X[:2]
    for _ in range(4):  # the first three results are compared
        fast(whole), fast(rest)
    with monkeypatch.context() as patched:
        patched.setattr(fast.plans, "find", lambda args: pytest.fail("a known shape was looked up"))
        for _ in range(3):
            for x in (whole, rest, rest, whole):
                assert same(fast(x), scaled(x))
    monkeypatch.setitem(globals(), "SCALE", [3.0])
    for _ in range(3):
        for x in (whole, rest):
            assert same(fast(x), np.tanh(x) * 3.0)


def test_thirty_three_shapes_are_not_recorded_again_and_again(monkeypatch):
    made = []
    monkeypatch.setattr(function, "record", lambda *args, **how: made.append(1) or record.record(*args, **how))
    fast = Compiled(lambda x: np.tanh(x) * 2.0)
    for n in range(1, 33):
        fast(np.ones(n))
    with pytest.warns(fn.CompileWarning, match="more than 32 shapes"):
        fast(np.ones(33))
    for n in [*range(1, 34)] * 4:
        assert np.array_equal(fast(np.ones(n)), np.tanh(np.ones(n)) * 2.0)
    assert len(made) == 32
    for _ in range(function.STALE):  # one shape is left alone so long that another takes its place
        for n in range(1, 32):
            fast(np.ones(n))
    fast(np.ones(33))
    assert len(made) == 33
    assert len(fast.plans.known) == 32


def test_unpickled_arrays_take_the_fast_way():
    fast = Compiled(lambda x: x * 2.0)
    fast(X)
    again = pickle.loads(pickle.dumps(X))
    assert again.dtype is not X.dtype
    assert fast.quickly(again) is not guard.MISS
    assert fast.quickly(X.astype(np.float64)) is guard.MISS
    assert fast.quickly(np.asfortranarray(X)) is guard.MISS


def test_plans_of_one_function_share_one_memory_and_go_with_the_step():
    net, opt = fn.serial(fn.Dense(300), fn.Tanh(), fn.Dense(1)), fn.optim.Adam()
    ts = fn.train_state(net, opt, fn.Key(0), (4,))
    step = fn.train_step(net, LOSS, opt)
    for rows in (3, 6, 2, 5, 6, 3):
        ts, _ = step(ts, (X[:rows], Y[:rows]))
    (run,) = [
        cell.cell_contents for cell in step.func.__wrapped__.__closure__ if isinstance(cell.cell_contents, Compiled)
    ]
    (space,) = run.idle
    assert len(run.plans.known) == 4
    assert space.memory.nbytes == max(recorded.program.nbytes for recorded in run.plans.known.values())
    kept = weakref.ref(space.memory), weakref.ref(run)
    del step, run, space
    gc.collect()
    assert [one() for one in kept] == [None, None]


def test_racing_first_calls_of_user_code():
    fast = fn.compile(lambda x: np.tanh(x) * 2.0)
    errors: list[Any] = []

    def work() -> None:
        try:
            for _ in range(5):
                assert np.array_equal(fast(X), np.tanh(X) * 2.0)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []


def test_a_thousand_unrolled_steps_and_a_deep_result():
    def f(state):
        for _ in range(1000):
            state = {name: leaf * 0.5 + 1.0 for name, leaf in state.items()}
        return state

    state = {"a": np.ones(3), "b": np.zeros(2)}
    assert same(fn.compile(f, strict=True)(state), f(state))

    def deep(x):
        result = x * 2.0
        for _ in range(100):
            result = (result,)
        return result

    found = fn.compile(deep, strict=True)(X)
    for _ in range(100):
        (found,) = found
    assert np.array_equal(found, X * 2.0)


def test_user_specs_of_equal_value_do_not_share_what_equality_does_not_see():
    losses = []
    for factor in (1.0, 3.0):
        net = fn.serial(Scaled(factor), fn.Dense(1))
        opt = fn.optim.SGD(0.1)
        ts = fn.train_state(net, opt, fn.Key(0), (4,))
        losses.append(fn.train_step(net, LOSS, opt)(ts, (X, Y))[1]["loss"])
        assert losses[-1] == fn.train_step(net, LOSS, opt, compile=False)(ts, (X, Y))[1]["loss"]
    assert losses[0] != losses[1]


@attrs.frozen
class Scaled(fn.Layer):
    """A factor that does not take part in comparisons."""

    factor: Any = attrs.field(eq=False, repr=False)

    def out_shape(self, in_shape):
        return in_shape

    def apply(self, params, state, x, ctx):
        return x * self.factor, state, None

    def vjp(self, params, residuals, dy):
        return {}, dy * self.factor


Z = np.arange(12.0).reshape(3, 4) ** 2
DECIDING = {
    "diff n": (lambda x, k: np.diff(x, n=k).mean(), Z[2], 1, 2),
    "diff n, shape": (lambda x, k: np.diff(x, n=k) * 2.0, Z[2][:3], 1, 2),
    "std axis": (lambda x, k: np.std(x, axis=k).mean(), Z, 1, 0),
    "median axis": (lambda x, k: np.median(x, axis=k).mean(), Z, 1, 0),
    "norm axis": (lambda x, k: np.linalg.norm(x, axis=k).mean(), Z, 1, 0),
    "take axis": (lambda x, k: np.take(x, [0, 1], axis=k).mean(), Z, 1, 0),
    "diagonal offset": (lambda x, k: np.diagonal(x, offset=k).mean(), np.outer(Z[0], Z[0]), 1, 0),
    "diag k": (lambda x, k: np.diag(x, k).mean(), Z[0], 1, 2),
    "vander N": (lambda x, k: np.vander(x, k).mean(), Z[0], 1, 3),
    "tensordot axes": (
        lambda a, k: np.tensordot(a, a.swapaxes(0, 2), k).mean(),
        np.arange(27.0).reshape(3, 3, 3),
        1,
        2,
    ),
}


@pytest.mark.filterwarnings("ignore::funcnet.CompileWarning")
@pytest.mark.parametrize(("f", "a", "first", "later"), DECIDING.values(), ids=DECIDING)
def test_a_number_that_decides_a_shape_is_not_recorded(f: Any, a: Any, first: Any, later: Any) -> None:
    for kind in (int, np.int64, np.array):
        g = fn.compile(f)
        for i in range(4):
            assert np.array_equal(g(a + i, kind(first)), f(a + i, first))
        assert np.array_equal(g(a, kind(later)), f(a, later))


def looked_up(t: Any, labels: Any) -> Any:
    t[labels]  # a check: IndexError for labels out of range
    return t * 2.0


def weighted(t: Any, weights: Any) -> Any:
    try:
        np.average(t, weights=weights)
    except ZeroDivisionError:
        return t * 0.0
    return t * 1.0


def divided(t: Any, k: Any) -> Any:
    try:
        1 / k
    except ZeroDivisionError:
        return t * 0.0
    return t * 1.0


T = np.array([1.0, 2.0, 3.0])
RAISES = {
    "index": (looked_up, np.array([0, 1]), np.array([0, 9])),
    "average": (weighted, T + 1, T * 0),
    "division": (divided, 2.0, 0.0),
}


@pytest.mark.filterwarnings("ignore::funcnet.CompileWarning")
@pytest.mark.parametrize(("f", "good", "bad"), RAISES.values(), ids=RAISES)
def test_an_unused_call_still_raises(f: Any, good: Any, bad: Any) -> None:
    def outcome(h: Any) -> Any:
        try:
            return h(T, bad).tolist()
        except Exception as error:
            return repr(error)

    g = fn.compile(f)
    for _ in range(4):
        assert np.array_equal(g(T, good), f(T, good))
    assert outcome(g) == outcome(f)


@ops.primitive()
def inliers(x: Any) -> Any:
    return x[np.abs(x) < 10]


@pytest.mark.filterwarnings("ignore::funcnet.CompileWarning")
def test_a_primitive_whose_shape_depends_on_values_is_found_out() -> None:
    def f(x: Any) -> Any:
        return x - inliers(x).mean()

    x, g = np.arange(5.0), fn.compile(f)
    for _ in range(4):
        assert np.array_equal(g(x), f(x))
    x[0] = 100.0
    assert np.array_equal(g(x), f(x))


def test_a_name_that_another_module_brings_into_printed_programs_is_refused() -> None:
    named = {"__name__": "elsewhere", "LARGE": 3, "ops": ops}
    with pytest.raises(ValueError, match=r"brings LARGE of elsewhere .* a LARGE of funcnet\.layers\.attention_k"):
        exec('@ops.primitive(needs=("LARGE",))\ndef larger(x): return x + LARGE', dict(named))
    with pytest.raises(ValueError, match=r"primitive attend brings attend of elsewhere .* rename it"):
        exec("@ops.primitive()\ndef attend(x): return x", dict(named))
    assert ops.PRIMITIVES["attend"].function.__module__ == "funcnet.layers.attention_kernels"


@pytest.mark.filterwarnings("ignore::funcnet.CompileWarning")
def test_arguments_that_are_equal_and_not_alike() -> None:
    def three(q: Any, k: Any, v: Any) -> Any:
        return q - v if q is k else q + k + v

    def keys(d: Any) -> Any:
        return [np.arange(2) * k for k in d]

    def sign(x: Any, c: Any) -> Any:
        return x * math.copysign(1.0, c.imag)

    g, a, b = fn.compile(three), np.arange(3.0), np.arange(3.0) * 10
    for _ in range(4):
        assert np.array_equal(g(a, b, b), three(a, b, b))
    assert np.array_equal(g(a, a, b), three(a, a, b))
    g = fn.compile(keys)
    for _ in range(4):
        g({1: a})
    assert g({1.0: a})[0].dtype == np.float64
    g = fn.compile(sign)
    for _ in range(4):
        g(a, complex(1, 0.0))
    assert np.array_equal(g(a, complex(1, -0.0)), sign(a, complex(1, -0.0)))
    g = fn.compile(lambda dt: dt * 2)
    for _ in range(4):
        g(np.timedelta64(3, "s"))
    assert g(np.timedelta64(3, "m")) == np.timedelta64(6, "m")


@attrs.frozen
class Loss(fn.losses.ElementwiseLoss):
    """A loss that reads a global."""

    def term(self, prediction: Any, target: Any) -> Any:
        return GAIN * (prediction - target) ** 2

    def slope(self, prediction: Any, target: Any) -> Any:
        return GAIN * 2.0 * (prediction - target)


GAIN = 1.0


@pytest.mark.filterwarnings("ignore::funcnet.CompileWarning")
def test_a_compiled_function_inside_another_tells_what_it_reads(monkeypatch: Any) -> None:
    net = fn.Dense(1)
    params, state = net.init(fn.Key(0), (3,), np.float64)
    inner = fn.value_and_grad(net, Loss())
    g = fn.compile(lambda params, x, y: inner(params, state, x, y, fn.EVAL)[0])
    x, y = np.ones((4, 3)), np.zeros((4, 1))
    first = float(g(params, x, y))
    for _ in range(3):
        g(params, x, y)
    monkeypatch.setattr(sys.modules[__name__], "GAIN", 100.0)
    assert float(g(params, x, y)) == pytest.approx(100.0 * first)
