"""Wrong arguments of a spec's constructor: the message says what the right ones are."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import attrs

from funcnet.errors import ArgumentError, Problem, SpecError
from funcnet.hints import no_argument
from funcnet.spec.class_fields import fields
from funcnet.spec.convert import admits
from funcnet.spec.wording import describe

if TYPE_CHECKING:
    from funcnet.spec.base import Spec


def explained(cls: type[Spec], init: Callable[..., None]) -> Callable[..., None]:
    """A constructor that says of a wrong argument what the right ones are."""

    @functools.wraps(init)
    def made(self: Any, *args: Any, **kwargs: Any) -> None:
        if (
            args and type(args[0]) is int and next((one.name for one in fields(cls)), "") == "eps"
        ):  # a number of features, as elsewhere
            message = (
                f"expected a small float, such as 1e-05, got the integer {args[0]}; it takes no number of features"
            )
            raise SpecError([Problem(".eps", message)], root=cls.__name__)
        try:
            init(self, *args, **kwargs)
        except SpecError as error:
            places = list(zip(fields(cls), args, strict=False))
            placed = {
                f".{field.name}": f"expected {describe(field.hint)}, got"
                for i, (field, value) in enumerate(places)
                if i or (field.default is not attrs.NOTHING and _belongs_elsewhere(cls, field, value))
            }
            names = [field.name for field in fields(cls)]
            if not any(message.startswith(placed.get(path, "\n")) for path, message in error.found):
                raise
            order = f"; the order is {cls.__name__}({', '.join(names)})"
            said = [problem._replace(message=problem.message + order) for problem in error.found]
            raise SpecError(said, root=cls.__name__) from None
        except TypeError as error:
            names = [field.name for field in attrs.fields(cls)]  # type: ignore[arg-type]
            unknown = [name for name in kwargs if name not in names]
            if unknown:
                raise no_argument(cls.__name__, unknown[0], names) from None
            if "__init__() " in str(error):
                wrong = str(error).partition("__init__() ")[2]
                raise ArgumentError(f"{cls.__name__}({', '.join(names)}): {wrong}") from None
            raise

    return made


def _belongs_elsewhere(cls: type[Spec], field: Any, value: Any) -> bool:
    """Whether a first argument suits a later field; 2.0 for an integer is only the wrong kind of number."""
    rounded = isinstance(value, float) and value.is_integer() and admits(field.hint, int(value))
    return not rounded and any(admits(one.hint, value) for one in fields(cls)[1:])
