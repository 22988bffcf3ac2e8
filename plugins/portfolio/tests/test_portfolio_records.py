"""Records by address: compiled code reads and writes fields in place, and only those that may change."""

from __future__ import annotations

import numpy as np
import pytest
from numba import njit
from numba.core.errors import TypingError
from qengine_portfolio.native import address
from qengine_portfolio.records import record_at

DTYPE = np.dtype([("count", "i8"), ("rate", "f8"), ("state", "i1"), ("inner", [("x", "i8")])], align=True)
at = record_at("test", DTYPE, changes=frozenset({"count", "state"}))


def test_fields_are_read_and_written_where_they_are():
    @njit
    def step(place):
        record = at(place)
        record.count += 2
        record.state = 1
        return record.count * record.rate

    memory = np.zeros(1, DTYPE)
    memory["count"], memory["rate"] = 40, 0.5
    assert step(address(memory)) == 21.0
    assert memory.tolist() == [(42, 0.5, 1, (0,))]
    memory["rate"] = 2.0  # between two calls anything may change
    assert step(address(memory)) == 88.0


def test_compiled_code_cannot_write_what_is_said_not_to_change():
    @njit
    def step(place):
        at(place).rate = 1.0

    with pytest.raises(Exception, match=r"writes rate of record_at.test., which is said not to change"):
        step(address(np.zeros(1, DTYPE)))


def test_a_field_that_is_not_there_or_a_record_itself_is_refused():
    @njit
    def read(place):
        return at(place).inner

    with pytest.raises(TypingError, match="Unknown attribute 'inner'"):
        read(address(np.zeros(1, DTYPE)))
    with pytest.raises(ValueError, match=r"test has no fields .'cuont'."):
        record_at("test", DTYPE, changes=frozenset({"cuont"}))
