"""Compiled: the order at market that a callback notes down. The walk sends it once the callback has returned.

That saves a call by address for the commonest order there is. Nobody sees the difference: whatever a callback asks of
the broker has it sent first, and so does another order.
"""

from __future__ import annotations

import numpy as np
from qengine_broker_sim.slips import send_on_slip
from qengine_broker_sim.targets import SUBMIT
from qengine_portfolio.native import function_at, inner, merged, times_at

__all__ = ["MOST", "note", "send_noted", "send_noted_on_slip"]

# The largest quantity there is.
MOST = np.finfo(np.float64).max
_submit_at = function_at(*SUBMIT)


@merged
def note(at, code, side, quantity):
    """Note an order down, if that can be done and nothing is noted; return whether it was."""
    if at.notes == 0 or at.noted or code != 0 or not 0.0 <= quantity <= MOST:
        return False
    at.noted, at.noted_quantity = side, quantity
    return True


@inner
def send_noted(at):
    """Send the order that is noted down, if one is."""
    side = at.noted
    if side:
        at.noted = 0
        where = at.sim, at.seen, at.row, times_at(at.ts)[at.row], np.int64(0), side
        how = np.int64(0), np.int64(0), np.int64(1)  # form and name of a plain order at market, which arrives at once
        _submit_at(at.submit, (*where, at.noted_quantity, np.nan, np.nan, *how))


@merged
def send_noted_on_slip(at):
    """The same, for whoever is to settle it: without a call by address, where it can be kept on a slip."""
    side = at.noted
    if side and send_on_slip(at.sim, at.seen, at.row, times_at(at.ts)[at.row], side, at.noted_quantity) >= 0:
        at.noted = 0
    send_noted(at)
