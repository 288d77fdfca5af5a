"""Look-up tables computed exactly, so that no transcendental function touches a byte.

`numpy.exp`, `sin` and their kin differ between CPUs in the last bit; these tables come from decimal
arithmetic rounded to integers and are the same on every machine.
"""

from __future__ import annotations

from decimal import Decimal, localcontext

import numpy as np
from numpy.typing import NDArray

from cerberus_bench.loaders.phantom.units import Labels

_TURN = 1024
_SINE_BITS = 20
_PI = Decimal("3.14159265358979323846264338327950288419716939937510")
_DIGITS = 40

OD_STEPS = 1024
"""Entries of `TRANSMISSION` for one unit of optical density."""

WHITE = 245
"""Grey level of clear glass."""

GREY_FRACTION = 64
"""Entries of `TRANSMISSION` are in 1/64 of a grey level."""


def _sine(x: Decimal) -> Decimal:
    term = total = x
    k = 1
    while abs(term) > Decimal(10) ** -25:
        term = -term * x * x / ((k + 1) * (k + 2))
        k += 2
        total += term
    return total


def _sine_table() -> list[float]:
    """Sine at 1024 steps of a turn, rounded to 2^-20: exact in float64."""
    with localcontext() as context:
        context.prec = _DIGITS
        table = []
        for i in range(_TURN):
            angle = 2 * _PI * i / _TURN
            angle = angle - 2 * _PI if angle > _PI else angle
            scaled = (_sine(angle) * (1 << _SINE_BITS)).to_integral_value()
            table.append(int(scaled) / float(1 << _SINE_BITS))
    return table


def _transmission_table(entries: int = 3 * OD_STEPS) -> Labels:
    """245 x 10^-od in 1/64 grey levels, for od = 0 .. 3 in steps of 1/1024."""
    with localcontext() as context:
        context.prec = _DIGITS
        ratio = Decimal(10) ** (Decimal(-1) / OD_STEPS)
        value = Decimal(WHITE * GREY_FRACTION)
        table = []
        for _ in range(entries):
            table.append(int(value.to_integral_value()))
            value *= ratio
    return np.array(table, np.int32)


_SINE = _sine_table()
TRANSMISSION = _transmission_table()


def sincos(turn: float) -> tuple[float, float]:
    """Sine and cosine of `turn` turns (1 = full circle), to the nearest lower 1/1024 turn."""
    i = int(turn * _TURN) & (_TURN - 1)
    return _SINE[i], _SINE[(i + _TURN // 4) & (_TURN - 1)]


def dct_basis() -> NDArray[np.float64]:
    """The 8 x 8 DCT-II basis scaled by 1024 and rounded, so that products stay integers."""
    basis = np.zeros((8, 8))
    half_root = 0.70710678
    for k in range(8):
        for i in range(8):
            _, cosine = sincos((((2 * i + 1) * k) % 32) / 32.0)
            basis[k, i] = round(cosine * (1.0 if k else half_root) * 0.5 * 1024)
    return basis
