"""``fn.compile``: a pure function, recorded once for each structure, shape and dtype of its arguments."""

from __future__ import annotations

import contextlib
import functools
import gc
import inspect
import threading
import types
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from funcnet import originals
from funcnet.compiler.compared import alike, culprits
from funcnet.compiler.fallback import runs_as_it_is, warn
from funcnet.compiler.foreign import from_signal, random_states, same_states, set_random_states
from funcnet.compiler.guard import MISS, Guard, signature
from funcnet.compiler.hidden import Hidden
from funcnet.compiler.numpy_functions import named, replaced
from funcnet.compiler.plan import Plan
from funcnet.compiler.program import Program, Recycler
from funcnet.compiler.record import Recording, record
from funcnet.compiler.steady import Unlike
from funcnet.compiler.tracer import as_float
from funcnet.errors import FuncnetError, TraceError
from funcnet.layers.calls import listening
from funcnet.originals import REPLACED

MOST_PLANS = 32
"""The most plans that one function keeps"""
STALE = 10 * MOST_PLANS
"""A plan unused for this many changes of shape may be replaced"""
FIRST_CALLS = 3
"""The first calls of a plan with user code, which are compared with the function: one call may hide a difference"""
MOST_CHANGES = 3
"""How often the hidden inputs of user code may change before the function is no longer recorded"""


class Recorded:
    """A program and the guard that tests whether arguments fit it."""

    def __init__(self, recording: Recording, args: tuple[Any, ...], without: frozenset[str], hidden: Hidden) -> None:
        self.program = Program(Plan(recording.graph, without))
        self.flat = Guard(hidden.foreign).of(args, named(recording.tracer.functions.values()))
        self.hidden = hidden if hidden.foreign else None  # the inputs that must not change
        self.recording = (
            recording if hidden.foreign else None
        )  # until its first calls have been compared with the function
        self.unsure = FIRST_CALLS
        self.warnings = recording.tracer.warnings
        self.used = 0


class Plans:
    """The plans of one function, and the hidden inputs that they depend on."""

    def __init__(
        self,
        f: Callable[..., Any],
        names: tuple[str, ...] = (),
        strict: bool = False,
        without: frozenset[str] = frozenset(),
        patient: bool = False,
        reads: tuple[Any, ...] = (),
        name: str = "",
    ) -> None:
        self.name = name or getattr(f, "__name__", "the function")
        self.f, self.names, self.strict, self.without = f, names, strict, without
        self.reads = reads or (f,)
        self.seen: set[Any] | None = set() if patient else None  # a form is recorded the second time it is seen
        self.known: OrderedDict[Any, Recorded | None] = OrderedDict()
        self.plain = ""  # why the function is no longer recorded
        self.hidden: Hidden | None = None
        self.changes = self.asked = 0
        self.lock = threading.RLock()  # held to record and to compare: both call the function and undo its changes

    def find(self, args: tuple[Any, ...]) -> Recorded | None:
        """The plan for the arguments, made if needed; None where the function runs uncompiled."""
        if self.plain:
            return None
        if name := originals.replaced() or replaced():
            warn(runs_as_it_is(self.name, f"{name} has been replaced"))
            return None
        form = signature(args)
        if form is None:
            self._refuse(TraceError("expected arrays, numbers, keys and constants, in dicts and tuples, as arguments"))
            return None
        if self.known.get(form, MISS) is None or not self._watched():
            return None
        self.asked += 1
        if form in self.known:
            self.known.move_to_end(form)
        elif not self._make(form, args):
            return None
        found = self.known.get(form)
        if found is not None:
            found.used = self.asked
        return found

    def _watched(self) -> bool:
        """Whether all hidden inputs of the function can be watched; plans whose hidden inputs changed are dropped."""
        hidden = self.hidden
        if hidden is None:
            hidden = self.hidden = Hidden(*self.reads)
        elif not hidden.unchanged():
            names = ", ".join(hidden.changed())
            for form in [form for form, recorded in self.known.items() if recorded is not None]:
                del self.known[form]
            self.changes += 1
            self.hidden = hidden = Hidden(*self.reads)
            if self.changes > MOST_CHANGES:
                self._refuse(TraceError(f"reads {names}, which changes from call to call; pass it in as an argument"))
                return False
        if hidden.problem:
            self._refuse(TraceError(f"{hidden.problem}; pass the value in as an argument"))
            return False
        return True

    def _refuse(self, error: TraceError) -> None:
        """Never record the function again."""
        if self.strict:
            raise error
        self.plain = str(error)
        warn(runs_as_it_is(self.name, error))

    def _make(self, form: Any, args: tuple[Any, ...]) -> bool:
        """Record the function for arguments of a new form, unless it is the first call of a patient function."""
        if self.seen is not None and form not in self.seen:
            if len(self.seen) >= MOST_PLANS:
                self.seen.clear()
            self.seen.add(form)
            return False
        if len(self.known) >= MOST_PLANS:
            oldest = next(iter(self.known))
            recorded = self.known[oldest]
            if recorded is not None and self.asked - recorded.used < STALE:
                warn(
                    f"{self.name} is called with more than {MOST_PLANS} shapes; it is not compiled for the others "
                    "and runs slower: pad batches or sequences to a few lengths"
                )
                return False
            del self.known[oldest]
        try:
            made = self._record(args)
        except TraceError as error:
            if self.strict:
                raise
            warn(runs_as_it_is(self.name, error))
            made = None
        if self.plain:
            return False
        self.known[form] = made
        return True

    def _record(self, args: tuple[Any, ...]) -> Recorded | None:
        """Record the function; a function that changes its hidden inputs is refused for good.

        Raises   TraceError where it cannot be recorded
        """
        hidden = self.hidden
        assert hidden is not None
        states = random_states() if hidden.foreign else None
        try:
            with no_collections():
                recording = record(self.f, args, self.names, self.strict, hidden.foreign, careful=hidden.foreign)
                recorded = Recorded(recording, args, self.without, hidden)
            if states is not None:
                moved = random_states()
                if not same_states(states, moved):
                    raise TraceError("draws random numbers from a global generator; draw them from a key, fn.Key(0)")
        finally:
            changed = hidden.changed() if hidden.foreign else []
            hidden.restore()
            if states is not None:
                set_random_states(states)
        if changed:
            names = ", ".join(changed)
            self._refuse(TraceError(f"changes {names} while it runs; return it, and pass it in as an argument"))
            return None
        return recorded


@contextlib.contextmanager
def no_collections() -> Iterator[None]:
    """Pause the garbage collector while many long-lived objects are made."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


class Space(dict[Program, Callable[..., Any]]):
    """Scratch memory for one call at a time, as large as the largest plan needs, and the programs bound to it."""

    def __init__(self, take: dict[Any, Recycler], given: Sequence[Callable[..., float]]) -> None:
        super().__init__()
        self.take, self.given = take, given
        self.memory = np.empty(0, np.uint8)

    def __missing__(self, program: Program) -> Callable[..., Any]:
        if program.nbytes > self.memory.size:
            self.clear()
            self.memory = np.empty(program.nbytes, np.uint8)
        count: dict[Any, int] = {}
        take = []
        for form in program.new:  # plans share the memory of results of one form
            count[form] = count.get(form, 0) + 1
            key = form, count[form]
            if key not in self.take:
                self.take[key] = Recycler(*form)
            take.append(self.take[key])
        self[program] = run = program.bind(self.memory, take, self.given)
        return run


class Compiled:
    """A pure function of arrays, numbers, keys and dicts of them, run as a straight line of NumPy calls.

    Anything else in the arguments (None, strings, booleans, specs) is a constant that a plan depends on. Plans may
    be shared; each instance has its own scratch memory, and its own functions for the blanks of the plans, ``given``.
    """

    def __init__(
        self,
        f: Callable[..., Any],
        strict: bool = False,
        without: frozenset[str] = frozenset(),
        plans: Plans | None = None,
        given: Sequence[Callable[..., float]] = (),
    ) -> None:
        self.plans = plans or Plans(f, strict=strict, without=without)
        self.f, self.given = f, tuple(map(as_float, given))
        self.last: Recorded | None = None
        self.before: Recorded | None = None  # the plan that ran before it: the last batch of an epoch is often smaller
        self.idle: list[Space] = []  # a call takes a space for as long as it runs, so threads never share one
        self.recyclers: dict[Any, Recycler] = {}
        self.by_name: dict[Any, Compiled] = {}
        functools.update_wrapper(self, f)

    @property
    def roots(self) -> tuple[Any, ...]:
        """The functions and specs that it runs, whose hidden inputs it depends on."""
        return self.plans.reads

    def __get__(self, owner: Any, kind: Any = None) -> Any:
        return self if owner is None else types.MethodType(self, owner)

    def __reduce__(self) -> str:
        name: str = self.f.__qualname__  # pickled by name, like a function
        return name

    def __call__(self, *args: Any, **named: Any) -> Any:
        """The function's result."""
        if named:
            return self._named(args, named)
        result = self.quickly(*args)
        return self.slowly(args) if result is MISS else result

    def quickly(self, *args: Any) -> Any:
        """The result of the plan that ran last, or the one before it, if the arguments fit it, else MISS."""
        last = self.last
        if last is None or REPLACED or listening():
            return MISS
        flat = last.flat(*args)
        if flat is None:
            last, before = self.before, last
            flat = None if last is None else last.flat(*args)
            if last is None or flat is None:
                return MISS
            self.last, self.before = last, before
        if last.hidden is not None:
            return self._carefully(last, args, flat) if last.hidden.unchanged() else MISS
        try:  # as _run does, whose call would take as long as a small array's product
            space = self.idle.pop()
        except IndexError:
            space = Space(self.recyclers, self.given)
        try:
            return space[last.program](*flat)
        finally:
            self.idle.append(space)

    def _run(self, program: Program, flat: tuple[Any, ...]) -> Any:
        """Run a program in an idle space."""
        try:
            space = self.idle.pop()
        except IndexError:
            space = Space(self.recyclers, self.given)
        try:
            return space[program](*flat)
        finally:
            self.idle.append(space)

    def slowly(self, args: tuple[Any, ...]) -> Any:
        """Find or make the plan for the arguments, and run it."""
        if listening():
            return self.f(*args)
        try:
            with self.plans.lock:
                recorded = self.plans.find(args)
        except (FuncnetError, Warning):
            raise
        except Exception as error:  # raised by the function itself, or by its recording
            if from_signal(error) or self.plans.strict:
                raise
            result = self.f(*args)
            self._as_it_is(f"{type(error).__name__}: {error}")
            return result
        if recorded is not self.last:
            self.last, self.before = recorded, self.last
        if recorded is None:
            return self.f(*args)
        flat = recorded.flat(*args)
        if flat is None:
            return self.f(*args)
        if recorded.hidden is not None:
            return self._carefully(recorded, args, flat)
        return self._run(recorded.program, flat)

    # ----- user code ---------------------------------------------------------------------------------------------

    def _carefully(self, recorded: Recorded, args: tuple[Any, ...], flat: tuple[Any, ...]) -> Any:
        """Run a plan with user code in it; its first results are compared with the function's."""
        if recorded.recording is not None:
            with self.plans.lock:
                recording = recorded.recording
                if recording is not None and not self.plans.plain:
                    return self._compared(recorded, recording, args, flat)
        try:
            return self._run(recorded.program, flat)
        except Unlike as error:
            self._as_it_is(str(error))
            return self.f(*args)
        except Exception as error:
            if from_signal(error):
                raise
            result = self.f(*args)  # raises the same error, or catches it and so cannot be recorded
            self._as_it_is(f"{type(error).__name__}: {error}")
            return result

    def _compared(self, recorded: Recorded, recording: Recording, args: tuple[Any, ...], flat: tuple[Any, ...]) -> Any:
        """Run a plan and its function; return the plan's result if they agree, else the function's."""
        hidden = recorded.hidden
        assert hidden is not None
        states = random_states() if hidden.foreign else None
        reason = ""
        given = [(array, array.copy()) for array in flat if isinstance(array, np.ndarray)]
        try:
            found = self._run(recorded.program, flat)
        except Exception as error:
            if from_signal(error):
                raise
            reason, found = str(error) if isinstance(error, Unlike) else f"{type(error).__name__}: {error}", None
        if not reason and hidden.changed():
            reason = f"it changes {', '.join(hidden.changed())} while it runs"
        hidden.restore()
        for array, was in given:
            if array.tobytes() != was.tobytes():
                reason = reason or "it writes into its arguments"
                array[...] = was
        if states is not None:
            set_random_states(states)
        expected = self.f(*args)
        if not reason and not alike(found, expected, recording.graph.outputs):
            reason = "its recording gives other values: it may read something that changes, or branch on a value"
        if reason:
            self._as_it_is(reason, self._undone(lambda: culprits(recording, flat)))
            return expected
        for text in recorded.warnings:
            warn(text)
        recorded.unsure -= 1
        if not recorded.unsure:
            recorded.recording = None
        return found

    def _undone(self, f: Callable[[], str]) -> str:
        """The result of ``f()``, with all changes by user code undone."""
        hidden, states = Hidden(*self.plans.reads), random_states()
        try:
            return f()
        finally:
            hidden.restore()
            set_random_states(states)

    def _as_it_is(self, reason: str, names: str = "") -> None:
        """From now on, run the function uncompiled."""
        self.last = self.before = None
        self.plans.known.clear()
        self.plans._refuse(TraceError(f"{names}: {reason}" if names else reason))

    def _named(self, args: tuple[Any, ...], named: dict[str, Any]) -> Any:
        """A call with keyword arguments, passed by position where the function allows that."""
        bound = inspect.signature(self.f).bind(*args, **named)
        if not bound.kwargs:
            return self(*bound.args)
        names = len(bound.args), *bound.kwargs
        if names not in self.by_name:
            count, keys = len(bound.args), tuple(bound.kwargs)

            @functools.wraps(self.f)
            def by_position(*values: Any) -> Any:
                return self.f(*values[:count], **dict(zip(keys, values[count:], strict=True)))

            plans = Plans(by_position, strict=self.plans.strict, without=self.plans.without, reads=(self.f,))
            self.by_name[names] = Compiled(by_position, plans=plans)
        return self.by_name[names](*bound.args, *bound.kwargs.values())


def compile(f: Callable[..., Any], *, strict: bool = False) -> Callable[..., Any]:
    """The same pure function of arrays and dicts, faster: recorded at the first call, and for each new shape.

    Arrays, floats, integers and keys in the arguments, and in dicts, tuples and Contexts among them, may
    change from call to call; anything else is a constant. Hidden inputs (globals, closures, attributes) are
    checked before every call, and the function is recorded anew when they have changed. A function that cannot
    be recorded, because it branches on a value for instance, runs uncompiled after a warning that names the
    line; with ``strict`` it raises. The first three results for each shape are compared with the function's own.
    Raises   TraceError

    >>> fast = fn.compile(lambda params, x: np.tanh(x @ params["w"]))
    >>> params, x = {"w": np.ones((2, 3))}, np.zeros((4, 2))
    >>> fast(params, x).shape  # recorded
    (4, 3)
    >>> fast(params, x + 1.0).shape  # replayed
    (4, 3)
    """
    return Compiled(f, strict=strict)
