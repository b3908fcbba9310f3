"""Numbers out of range, for every field of every class: the cases follow from the ranges of the fields."""

from __future__ import annotations

import types
from collections.abc import Iterator
from typing import Any, Union, get_args, get_origin

import attrs
import pytest

import funcnet as fn
from funcnet.spec.base import Spec, fields
from tests.classes import CLASSES, file_of

ANY_NUMBER = {
    *("HardSigmoid.offset", "HardTanh.low", "HardTanh.high", "Pad.value", "Concat.axis", "Embedding.padding_index"),
    *("ConstantRate.value", "StepDecay.initial", "Exponential.initial", "InverseSquareRoot.initial", "OneCycle.peak"),
    *("Cosine.peak", "Cosine.end", "CosineRestarts.peak", "CosineRestarts.end", "WarmupCosine.peak"),
    *("WarmupCosine.end", "Linear.initial", "Linear.end", "Polynomial.initial", "Polynomial.end"),
    *("Warmup.then", "Warmup.start", "Constant.value", "Normal.mean", "Uniform.low", "Uniform.high"),
    *("Function.low", "Function.high", "Sine.low", "Sine.high", "HalfPlaneGrid.low", "HalfPlaneGrid.high"),
    *("Spirals.turns", "TargetReached.value"),
    *("SoftmaxCrossEntropy.ignore_label", "NegativeLogLikelihood.ignore_label"),
    *("SigmoidCrossEntropy.ignore_label", "BinaryCrossEntropy.ignore_label", "Focal.ignore_label"),
    *("Hinge.ignore_label", "CategoricalHinge.ignore_label", "Dice.ignore_label"),
}
"""Fields that take any number, or whose class compares them with others; every other number has a range"""
NUMBERS = (0.0, -0.1, -1.0, 1.0, 1.5, 2.0, 1e9)


def is_number(hint: Any) -> bool:
    """Whether a field is a number: an integer or a float, also where None or a schedule may be in its place."""
    if get_origin(hint) in (Union, types.UnionType):
        parts = set(get_args(hint))
        return bool(parts & {int, float}) and not any(get_origin(part) or part is str for part in parts)
    return hint in (int, float)


def numbers_of(hint: Any) -> set[float]:
    """The numbers of a field's type, floats where both are taken."""
    kinds = {hint, *get_args(hint)}
    return set(NUMBERS) if float in kinds else {int(number) for number in NUMBERS if number == int(number)}


RANGES = [(cls, field) for cls in CLASSES for field in fields(cls) if field.range is not None]


@pytest.mark.parametrize(("cls", "field"), RANGES, ids=[f"{cls.__name__}.{field.name}" for cls, field in RANGES])
def test_a_number_out_of_range_is_refused(cls: type[Spec], field: Any) -> None:
    assert field.range is not None
    numbers = [number for number in numbers_of(field.hint) if not field.range.holds(number)]
    assert numbers, f"NUMBERS: none is out of the range of {cls.__name__}.{field.name}, {field.range.text}"
    others: dict[str, Any] = {each.name: None for each in fields(cls) if each.default is attrs.NOTHING}
    for number in numbers:
        with pytest.raises(fn.SpecError) as caught:
            cls(**others | {field.name: number})
        lines = str(caught.value).splitlines()
        assert f"{cls.__name__}.{field.name}: must be {field.range.text}, got {number!r}" in lines


def without_range(cls: type[Spec]) -> Iterator[str]:
    """A line for each number of a class that takes any; ``test_complete.py`` asks it of every class."""
    for field in fields(cls):
        if is_number(field.hint) and field.range is None and f"{cls.__name__}.{field.name}" not in ANY_NUMBER:
            yield (
                f"{file_of(cls.__module__)}: {cls.__name__}.{field.name} takes any number: give it a range, such as "
                "field(validator=positive), or name it in ANY_NUMBER of tests/test_ranges.py"
            )


def test_what_takes_any_number_has_no_range() -> None:
    numbers = {f"{cls.__name__}.{field.name}": field for cls in CLASSES for field in fields(cls)}
    assert numbers.keys() >= ANY_NUMBER
    assert [name for name in ANY_NUMBER if numbers[name].range is not None] == []
