"""Compiled: whether a limit that is only touched fills, where that is a matter of chance.

The draw is a hash of the run's key, the order and the time of the row, and not the next number of a
sequence: which rows were looked at before, and how often, changes nothing.
"""

from __future__ import annotations

import numpy as np
from qengine_portfolio.native import inner

from qengine_broker_sim.layout import PENETRATE, PROBABILITY
from qengine_broker_sim.resting import head_of

__all__ = ["must_penetrate", "uniform"]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_FIRST, _SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_30, _27, _31, _11 = np.uint64(30), np.uint64(27), np.uint64(31), np.uint64(11)
_STEP = 2.0**-53


@inner
def _mixed(bits):
    """The finaliser of SplitMix64 (Steele, Lea and Flood 2014, "Fast splittable pseudorandom number generators")."""
    bits = (bits ^ (bits >> _30)) * _FIRST
    bits = (bits ^ (bits >> _27)) * _SECOND
    return bits ^ (bits >> _31)


@inner
def uniform(key, order, ts):
    """A number in [0, 1) for an order at a time: a generator by counter, as Salmon et al. 2011 call it."""
    bits = _mixed(np.uint64(key) + _GOLDEN * (np.uint64(order) + np.uint64(1)))
    bits = _mixed(bits + _GOLDEN * np.uint64(ts))
    return np.float64(bits >> _11) * _STEP


@inner
def must_penetrate(sim, index):
    """Whether prices must go beyond an order's limit to fill it in the instant that is being matched."""
    head = head_of(sim)
    if head.penetrates < PROBABILITY:
        return head.penetrates == PENETRATE
    return uniform(head.touch_key, index, head.now) >= head.touch_probability
