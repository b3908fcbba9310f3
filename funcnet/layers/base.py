"""The interface of every layer, and the functions through which combinators call their children.

A layer is a triple of pure functions:

    init  (key, in_shape, dtype)        -> (params, state)
    apply (params, state, x, ctx)       -> (y, state, residuals)
    vjp   (params, residuals, dy)       -> (dparams, dx)

``vjp`` is the vector-Jacobian product: given the cotangent ``dy`` (the gradient of some scalar with
respect to ``y``) it returns the gradients with respect to the parameters and the input. ``residuals``
is whatever ``apply`` keeps for it. Two triples in sequence are a triple again, so a whole network has
one forward and one backward function. Arguments are never written to.

Shapes exclude the batch axis and nest like the values they describe: ``(28, 28, 1)`` for one array,
a tuple of shapes for a tuple of arrays, a dict for a dict.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple, NoReturn, TypeVar

import attrs
import numpy as np
import numpy.typing as npt

from funcnet import ops, tree
from funcnet.errors import (
    ArgumentError,
    FuncnetError,
    KeyRequired,
    NonFiniteError,
    NotDefined,
    Problem,
    ShapeError,
    SpecError,
)
from funcnet.hints import explained
from funcnet.initializers import Initializer
from funcnet.key import Array, Key
from funcnet.layers.calls import LISTENER, Call, listen
from funcnet.layers.limits import check_made, most_made
from funcnet.layers.misfit import RAW, misfit_of_apply, misfit_of_vjp
from funcnet.ranges import Range, Ranges
from funcnet.shapes import Shape, Value, batched, kinds_like, merged_kinds
from funcnet.signatures import check_functions, returned
from funcnet.spec.base import Spec, nested, specs_in
from funcnet.spec.class_fields import fields
from funcnet.spec.fields import frozen
from funcnet.spec.rules import declares

Params = dict[str, Any]
State = dict[str, Any]

MAX_PARAMETERS = 2**31  # 8 GB in float32: beyond it a size in the spec is far likelier a mistake


class Leaf(NamedTuple):
    """One array of a layer: its shape, how it starts, and whether it is trained."""

    shape: tuple[int, ...]
    initializer: Initializer
    kind: Literal["param", "state"] = "param"


class Triple(NamedTuple):
    """A layer as three bare functions."""

    init: Callable[..., tuple[Params, State]]
    apply: Callable[..., tuple[Value, State, Any]]
    vjp: Callable[..., tuple[Params, Value]]


@attrs.frozen
class Context:
    """How a forward pass runs: training or not, and the key of its random draws.

    >>> fn.EVAL == fn.Context()
    True
    >>> ctx = fn.Context(train=True, key=fn.Key(0))
    >>> ctx.child("dropout_0").key == fn.Key(0).fold("dropout_0")
    True
    """

    __parts__ = ("train", "key")

    train: bool = False
    key: Key | None = None

    def child(self, name: str) -> Context:
        """The context of a child, whose key is folded by its name."""
        if self.key is None or not name:
            return self
        try:
            return Context(self.train, self.key.fold(name))
        except AttributeError:
            check_key(self.key)
            raise

    def draw(self) -> Key:
        """The key for this layer's random numbers.

        A wrapper has the same key as its inner layer, so it folds in another word: ``ctx.draw().fold("wrapper")``.
        Raises   KeyRequired when the context has no key
        """
        if self.key is None:
            raise KeyRequired(
                "draws random numbers in training and the context has no key; "
                "expected Context(train=True, key=fn.Key(seed)), got key=None"
            )
        check_key(self.key)
        return self.key


Context.__init__ = explained(Context.__init__)  # type: ignore[method-assign]


def check_dtype(dtype: Any) -> None:
    """Refuse what is no float type.

    Raises   FuncnetError
    """
    try:
        fits = np.dtype(dtype).kind == "f"
    except TypeError:
        fits = False
    if not fits:
        raise FuncnetError(f"expected a float dtype, such as np.float32, got {dtype!r:.60}")


def check_key(key: Any) -> None:
    """Refuse a value that is not a key, such as a bare seed."""
    if not isinstance(key, Key):
        raise FuncnetError(f"expected a key, such as fn.Key(0), got {key!r:.60}")


EVAL = Context()


@frozen
class Layer(Spec):
    """Base of every layer. A subclass declares ``leaves`` and ``out_shape`` and writes ``apply`` and ``vjp``."""

    kind: ClassVar[str] = "layer"
    stepwise: ClassVar[bool] = False
    """Whether a step of the output depends on that step of the input alone (in a combinator: but for its children)"""

    if not TYPE_CHECKING:

        def __getitem__(self, at: Any) -> NoReturn:
            raise ArgumentError(f"{type(self).__name__} is not indexed; its layers are net.children, a dict by name")

    def leaves(self, in_shape: Shape) -> dict[str, Any]:
        """``{name: Leaf}``, the layer's params and state; nested by child in a combinator."""
        return {}

    @property
    def children(self) -> Mapping[str, Layer]:
        """``{name: Layer}``. A wrapper's inner layer has the empty name, which adds no path segment."""
        return {}

    def out_shape(self, in_shape: Shape) -> Shape:
        """The shape of ``y`` for an input of shape ``in_shape``, or a ShapeError."""
        raise NotDefined(f"{type(self).__name__} does not define out_shape(in_shape)")

    def in_kinds(self, in_shape: Shape) -> Any:
        """The kinds of the input's arrays, nested like ``in_shape``: "f" floats, "i" integers, "b" booleans.

        A layer that takes padded sequences ``(x, mask)`` itself says ("f", "b") of them.
        """
        layer = fitting(self, "out_shape", (in_shape,)) if self.stepwise else self
        return kinds_like(in_shape, "f") if layer is self else layer.in_kinds(in_shape)

    def out_range(self, given: Ranges) -> Ranges:
        """The range of ``y`` in evaluation for inputs in a given range; None if it is not known."""
        return None

    @explained
    def init(self, key: Key, in_shape: Shape, dtype: npt.DTypeLike = np.float32) -> tuple[Params, State]:
        """Starting ``(params, state)``; each leaf draws from the key folded by its path."""
        check_key(key)
        check_dtype(dtype)
        self.out_shape(in_shape)
        with sized(self, in_shape):
            leaves = self.leaves(in_shape)
        made = {name: _drawn(name, leaf, key.fold(name), dtype) for name, leaf in leaves.items()}
        params = {name: made[name] for name, leaf in leaves.items() if leaf.kind == "param"}
        state = {name: made[name] for name, leaf in leaves.items() if leaf.kind == "state"}
        return params, state

    def apply(self, params: Params, state: State, x: Value, ctx: Context) -> tuple[Value, State, Any]:
        """The forward pass: ``(y, state, residuals)``."""
        raise NotDefined(f"{type(self).__name__} does not define apply(params, state, x, ctx)")

    def vjp(self, params: Params, residuals: Any, dy: Value) -> tuple[Params, Value]:
        """The backward pass: ``(dparams, dx)`` for the cotangent ``dy`` of ``y``."""
        raise NotDefined(f"{type(self).__name__} does not define vjp(params, residuals, dy)")

    @property
    def triple(self) -> Triple:
        """The layer's three functions."""
        return Triple(self.init, self.apply, self.vjp)

    def __rshift__(self, other: Layer) -> Layer:
        """``a >> b``: first ``a``, then ``b``."""
        from funcnet.combinators.serial import chain

        return chain(self, other)


@frozen
class Combinator(Layer):
    """Base of layers made of layers. A subclass writes ``children``, ``wire``, ``apply`` and ``vjp``.

    Raises   SpecError for a layer in a field that ``children`` leaves out, which would get no params
    """

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        if type(self).__module__.partition(".")[0] == "funcnet":
            return  # the tests look at the library's
        children: Any = self.children
        if not isinstance(children, Mapping) or not all(
            isinstance(name, str) and "/" not in name and isinstance(child, Layer) for name, child in children.items()
        ):
            message = f"expected a dict of layers by name, got {children!r:.60}"
            raise SpecError([Problem(".children", message)], root=type(self).__name__)
        given = {
            field.name: [one for one in specs_in(getattr(self, field.name)) if isinstance(one, Layer)]
            for field in fields(type(self))
        }
        reached = set(map(id, children.values()))
        for name, layers in given.items():
            for layer in layers:
                if id(layer) not in reached and not _holds(children.values(), layer):
                    names = ", ".join(f"'{name}': self.{name}" for name, layers in given.items() if layers)
                    message = f"leaves out the layer in the field {name!r}; return every layer, such as {{{names}}}"
                    raise SpecError([Problem(".children", message)], root=type(self).__name__)

    def wire(self, in_shape: Shape) -> tuple[dict[str, Shape], Shape]:
        """``({child: its in_shape}, out_shape)``: how shapes flow from child to child."""
        raise NotDefined(f"{type(self).__name__} does not define wire(in_shape)")

    def out_shape(self, in_shape: Shape) -> Shape:
        return self.wire(in_shape)[1]

    def in_shapes(self, in_shape: Shape) -> dict[str, Shape]:
        """``{child: its in_shape}`` as ``wire`` says.

        Raises   FuncnetError for a child that it leaves out
        """
        shapes, _ = self.wire(in_shape)
        missing = [repr(name) for name in self.children if name not in shapes]
        if missing:
            raise FuncnetError(
                f"expected wire to return the input shape of every layer, got none for {', '.join(missing)}; "
                "return ({name: in_shape}, out_shape)"
            )
        return shapes

    def in_kinds(self, in_shape: Shape) -> Any:
        shapes = self.in_shapes(in_shape)
        kinds = kinds_like(in_shape, "f")
        for name, layer in self.children.items():
            if shapes[name] == in_shape:  # the combinator passes its input to this child
                kinds = merged_kinds(kinds, layer.in_kinds(in_shape))
        return kinds

    def leaves(self, in_shape: Shape) -> dict[str, Any]:
        shapes = self.in_shapes(in_shape)
        return nest({name: reach(name, layer, "leaves", shapes[name]) for name, layer in self.children.items()})

    @explained
    def init(self, key: Key, in_shape: Shape, dtype: npt.DTypeLike = np.float32) -> tuple[Params, State]:
        check_key(key)
        check_dtype(dtype)
        with sized(self, in_shape):
            shapes = self.in_shapes(in_shape)
            made = {
                name: init_child(name, layer, key.fold(name) if name else key, shapes[name], dtype)
                for name, layer in self.children.items()
            }
        params, state = (nest({name: pair[i] for name, pair in made.items()}) for i in (0, 1))
        return params, state


def _holds(specs: Iterable[Any], layer: Layer) -> bool:
    """Whether a layer is among some specs or inside one of them."""
    return any(one == layer for spec in specs for one in nested(spec))


def _drawn(name: str, leaf: Leaf, key: Key, dtype: npt.DTypeLike) -> Array:
    """The initial value of a leaf.

    Raises   NonFiniteError if the dtype cannot hold it
    """
    try:
        with np.errstate(over="raise"):
            return leaf.initializer(key, leaf.shape, dtype)
    except FloatingPointError:
        with ops.quiet():
            made = leaf.initializer(key, leaf.shape, dtype)
    if np.isfinite(made).all():  # a number on the way was too large, and the result is not
        return made
    raise NonFiniteError(
        f"{name}: the initial values are too large for {np.dtype(dtype)}, got {leaf.initializer!r}; make them smaller"
    )


# ----- reaching children ----------------------------------------------------------------------------

T = TypeVar("T")


class Lifted(NamedTuple):
    """The residuals of a layer without mask support that ran on a padded sequence, in an OnSequence."""

    residuals: Any
    mask: Any
    """The mask that was taken off; None if there was none, or the layer took it"""
    inputs: int | None
    """The number of sequences, each with its mask; None for one that is not in a tuple"""


GIVEN = {"out_shape": 0, "leaves": 0, "init": 1, "apply": 2, "vjp": 1}
"""Where a method has the input, its shape, or the residuals, which tell whether the layer is lifted"""


def fitting(layer: Layer, method: str, args: tuple[Any, ...]) -> Layer:
    """The layer itself; in an OnSequence if it acts on each step alone and is given a padded sequence."""
    given = args[GIVEN[method]]
    if type(given) is not tuple and type(given) is not Lifted:
        return layer
    from funcnet.combinators.on_sequence import lifted

    return lifted(layer, method, given)


def _misfit(layer: Layer, method: str, args: tuple[Any, ...]) -> FuncnetError | None:
    """The mistake in the arguments of a call that failed; None if the layer's own code is at fault."""
    if method == "apply":
        return misfit_of_apply(lambda in_shape: reach("", layer, "leaves", in_shape), *args[:3])
    return misfit_of_vjp() if method == "vjp" and type(layer).__module__.startswith("funcnet.") else None


def reach(name: str, layer: Layer, method: str, *args: Any) -> Any:
    """Call a method of a child: its name is added to the path of errors, and a listener makes the call.

    A stepwise layer without mask support is lifted to padded sequences. The root of a network has the empty name.
    """
    try:
        if layer.stepwise:
            layer = fitting(layer, method, args)
        listener = LISTENER.get()
        if listener is None:
            return getattr(layer, method)(*args)
        return listener.call(name, layer, method, args)
    except FuncnetError as error:
        error.locate(name, type(layer).__name__)
        raise
    except Exception as error:
        wrong = _misfit(layer, method, args) if type(error) in RAW else None
        if wrong is not None:
            wrong.locate(name, type(layer).__name__)
            raise wrong from error
        error.add_note(f"in {method} of {name or 'the network'} ({type(layer).__name__})")
        raise


def out_shape_child(name: str, layer: Layer, in_shape: Shape) -> Shape:
    """``out_shape`` of a child."""
    return reach(name, layer, "out_shape", in_shape)


def init_child(
    name: str, layer: Layer, key: Key, in_shape: Shape, dtype: npt.DTypeLike = np.float32
) -> tuple[Params, State]:
    """``init`` of a child, with the child's key."""
    made: tuple[Params, State] = returned(layer, "init", reach(name, layer, "init", key, in_shape, dtype), name)
    return made


def apply_child(
    name: str, layer: Layer, params: Params, state: State, x: Value, ctx: Context
) -> tuple[Value, State, Any]:
    """``apply`` of a child, on its part of the params and state, and with its key."""
    if type(ctx) is not Context:
        raise FuncnetError(f"expected a context, fn.EVAL or fn.Context(train=True, key=fn.Key(0)), got {ctx!r:.60}")
    try:
        if name:
            params, state, ctx = params.get(name, {}), state.get(name, {}), ctx.child(name)
    except AttributeError:
        found = f"a {type(params).__name__} and a {type(state).__name__}"
        raise FuncnetError(f"expected params and state as dicts by name, as init gives them, got {found}") from None
    result: tuple[Value, State, Any] = reach(name, layer, "apply", params, state, x, ctx)
    if type(result) is tuple and len(result) == 3 and type(result[1]) is dict:
        return result
    fitting: tuple[Value, State, Any] = returned(layer, "apply", result, name)
    return fitting


def vjp_child(name: str, layer: Layer, params: Params, residuals: Any, dy: Value) -> tuple[Params, Value]:
    """``vjp`` of a child, on its part of the params. A cotangent of None gives zero gradients and stays None."""
    if name:
        params = params.get(name, {})
    if dy is None:
        return tree.zeros_like(params), None
    result: tuple[Params, Value] = reach(name, layer, "vjp", params, residuals, dy)
    if type(result) is tuple and len(result) == 2 and type(result[0]) is dict:
        return result
    fitting: tuple[Params, Value] = returned(layer, "vjp", result, name)
    return fitting


def nest(parts: Mapping[str, dict[str, T]]) -> dict[str, Any]:
    """One dict of the children's dicts, by name; an unnamed child's entries are merged in, empty dicts omitted."""
    whole: dict[str, Any] = {}
    for name, part in parts.items():
        entries = part if not name else {name: part} if part else {}
        for entry, content in entries.items():
            if entry in whole:
                raise ShapeError(f"two parts have the name {entry!r}; rename the child or parameter")
            whole[entry] = content
    return whole


def range_of(layer: Layer, given: Ranges = None) -> Ranges:
    """The range of a layer's outputs. A class that computes something else than its base does not inherit one."""
    if not declares(type(layer), "out_range", "apply function matrix cell_class"):
        return None
    found = layer.out_range(given)
    if isinstance(found, Range) and not found.of:
        return found._replace(of=type(layer).__name__)
    return found


# ----- shapes and leaves ---------------------------------------------------------------------------------


def zeros_for(
    layer: Layer, in_shape: Shape, rows: int, dtype: npt.DTypeLike, zeros: Callable[..., Array] = np.zeros
) -> Value:
    """A batch of zeros for a layer: floats of ``dtype``, integers or booleans, made by ``zeros(shape, dtype)``."""
    dtypes = {"f": dtype, "i": np.int64, "b": np.bool_}

    def made(shapes: Any, kinds: Any) -> Value:
        if isinstance(kinds, dict):
            return {name: made(shapes[name], kind) for name, kind in kinds.items()}
        if isinstance(kinds, tuple):
            return tuple(made(shape, kind) for shape, kind in zip(shapes, kinds, strict=True))
        return zeros(shapes, dtypes[kinds])

    return made(batched(in_shape, rows), layer.in_kinds(in_shape))


def count_parameters(leaves: Mapping[str, Any]) -> int:
    """The number of trained entries in the leaves, as a Python integer, which cannot overflow."""
    return sum(math.prod(leaf.shape) for leaf in tree.leaves_of(leaves, Leaf) if leaf.kind == "param")


Sized = dict[int, tuple[Layer, list[Shape]]]
"""Layers by their ids, each with the input shapes for which its size was checked"""
_sized: ContextVar[Sized | None] = ContextVar("sized", default=None)


def check_size(layer: Layer, in_shape: Shape) -> Sized:
    """Refuse a network too large to allocate, before any allocation: by its leaves, and by what each layer makes.

    Raises   ShapeError with the total
    """
    total = sum(math.prod(leaf.shape) for leaf in tree.leaves_of(layer.leaves(in_shape), Leaf))
    if total > MAX_PARAMETERS:
        message = f"needs {total} parameters; the limit is {MAX_PARAMETERS}: make some size in the spec smaller"
        raise ShapeError(message, layer="the network")
    return _made(layer, in_shape)[0]


def numbers_made(layer: Layer, in_shape: Shape) -> int:
    """The most numbers for each row that a layer of a network makes: of its output, or of what it holds on the way.

    Raises   ShapeError for more than any memory has room for
    """
    return _made(layer, in_shape)[1]


def _made(layer: Layer, in_shape: Shape) -> tuple[Sized, int]:
    checked: Sized = {}

    def notify(call: Call) -> None:
        if call.method == "out_shape":
            check_made(call.layer, call.result)
            _, shapes = checked.setdefault(id(call.layer), (call.layer, []))
            if call.args[0] not in shapes:
                shapes.append(call.args[0])

    with listen(notify):
        _, most = most_made(lambda: reach("", layer, "out_shape", in_shape))
    return checked, most


@contextlib.contextmanager
def sized(layer: Layer, in_shape: Shape) -> Iterator[None]:
    """Check the size of a network once: its layers are not checked again when their turn comes inside the block."""
    _, shapes = (_sized.get() or {}).get(id(layer), (layer, []))
    if in_shape in shapes:
        yield
        return
    token = _sized.set(check_size(layer, in_shape))
    try:
        yield
    finally:
        _sized.reset(token)


# ----- three bare functions ---------------------------------------------------------------------------------


@frozen
class FunctionLayer(Layer):
    """Three functions as a layer; made by ``fn.layer``."""

    init_function: Callable[..., Any]
    apply_function: Callable[..., Any]
    vjp_function: Callable[..., Any]
    out_shape_function: Callable[..., Any]
    in_kinds_function: Callable[..., Any] | None = None

    def leaves(self, in_shape: Shape) -> dict[str, Any]:
        def described(kind: Literal["param", "state"], values: Any) -> dict[str, Any]:
            return {
                name: described(kind, node) if isinstance(node, dict) else Leaf(np.shape(node), Initializer(), kind)
                for name, node in values.items()
            }

        params, state = self.init(Key(0), in_shape)
        leaves = tree.flatten(described("param", params)) | tree.flatten(described("state", state))
        return tree.unflatten(leaves)

    def out_shape(self, in_shape: Shape) -> Shape:
        return self.out_shape_function(in_shape)

    def in_kinds(self, in_shape: Shape) -> Any:
        return super().in_kinds(in_shape) if self.in_kinds_function is None else self.in_kinds_function(in_shape)

    def init(self, key: Key, in_shape: Shape, dtype: npt.DTypeLike = np.float32) -> tuple[Params, State]:
        made: tuple[Params, State] = returned(self, "init", self.init_function(key, in_shape, dtype))
        return made

    def apply(self, params: Params, state: State, x: Value, ctx: Context) -> tuple[Value, State, Any]:
        result: tuple[Value, State, Any] = self.apply_function(params, state, x, ctx)
        return result

    def vjp(self, params: Params, residuals: Any, dy: Value) -> tuple[Params, Value]:
        result: tuple[Params, Value] = self.vjp_function(params, residuals, dy)
        return result


def layer(
    init: Callable[..., tuple[Params, State]],
    apply: Callable[..., tuple[Value, State, Any]],
    vjp: Callable[..., tuple[Params, Value]],
    out_shape: Callable[[Shape], Shape],
    in_kinds: Callable[[Shape], Any] | None = None,
) -> Layer:
    """Three bare functions as a layer. It composes like any other, but cannot be saved as JSON.

    ``init(key, in_shape, dtype) -> (params, state)``, ``apply(params, state, x, ctx) -> (y, state,
    residuals)``, ``vjp(params, residuals, dy) -> (dparams, dx)``, ``out_shape(in_shape) -> shape``.
    ``in_kinds(in_shape)`` says which inputs are not floats: "i" for integers, "b" for booleans.
    Raises   FuncnetError for functions with other parameters

    >>> double = fn.layer(
    ...     init=lambda key, in_shape, dtype: ({}, {}),
    ...     apply=lambda params, state, x, ctx: (2 * x, state, None),
    ...     vjp=lambda params, residuals, dy: ({}, 2 * dy),
    ...     out_shape=lambda in_shape: in_shape,
    ... )
    >>> fn.predict(double, {}, {}, np.ones((1, 2))).tolist()
    [[2.0, 2.0]]
    """
    functions = {"init": init, "apply": apply, "vjp": vjp, "out_shape": out_shape}
    check_functions(Layer, functions if in_kinds is None else functions | {"in_kinds": in_kinds})
    return FunctionLayer(init, apply, vjp, out_shape, in_kinds)
