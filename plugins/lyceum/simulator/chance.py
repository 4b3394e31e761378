"""Draws from a seeded generator, made of `random()` and `getrandbits()` alone: those give the same numbers in every
Python release, which `choice`, `shuffle` or `gauss` do not promise."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")

_VARIANTS = "89ab"


def generator(*seed: object) -> random.Random:
    """Return a generator of its own for the seed's parts; equal parts give equal draws."""
    return random.Random("/".join(map(str, seed)))  # noqa: S311 - nothing here is a secret


def between(rng: random.Random, low: float, high: float) -> float:
    """Return a number from [low, high)."""
    return low + (high - low) * rng.random()


def whole(rng: random.Random, low: int, high: int) -> int:
    """Return a whole number from low to high, both included."""
    return low + int((high - low + 1) * rng.random())


def pick(rng: random.Random, options: Sequence[T]) -> T:
    """Return one of the options."""
    return options[int(len(options) * rng.random())]


def weighted(rng: random.Random, cumulative: Sequence[float]) -> int:
    """Return an index with the probability that its step in the cumulative weights (ending at 1) gives it."""
    draw = rng.random()
    for index, bound in enumerate(cumulative):
        if draw < bound:
            return index
    return len(cumulative) - 1


def identifier(rng: random.Random) -> str:
    """Return a random (version 4) UUID in its canonical spelling."""
    bits = f"{rng.getrandbits(128):032x}"
    return f"{bits[:8]}-{bits[8:12]}-4{bits[13:16]}-{_VARIANTS[int(bits[16], 16) & 3]}{bits[17:20]}-{bits[20:]}"
