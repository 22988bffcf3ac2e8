"""Records by address: compiled code reads and writes fields in place, and only those that may change."""

from __future__ import annotations

import numpy as np
import pytest
from numba import njit, types
from numba.core.errors import TypingError
from qengine_portfolio.native import address
from qengine_portfolio.records import column_at, record_at, records_at

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


def test_what_is_known_of_a_record_is_not_looked_up():
    known = np.zeros(1, DTYPE)
    known["rate"], known["state"] = 0.5, 3
    told_at = record_at("told", DTYPE, changes=frozenset({"count"}), known=known[0])

    @njit
    def step(place):
        record = told_at(place)
        record.count += 2
        return record.count * record.rate + record.state

    memory = np.zeros(1, DTYPE)
    memory["count"], memory["rate"] = 40, 7.0  # which is not what was said of it
    assert step(address(memory)) == 24.0
    assert memory["count"].tolist() == [42]


def test_a_field_that_is_not_there_or_a_record_itself_is_refused():
    @njit
    def read(place):
        return at(place).inner

    with pytest.raises(TypingError, match="Unknown attribute 'inner'"):
        read(address(np.zeros(1, DTYPE)))
    with pytest.raises(ValueError, match=r"test has no fields .'cuont'."):
        record_at("test", DTYPE, changes=frozenset({"cuont"}))


def test_elements_are_read_and_written_where_they_are():
    several = records_at("several", DTYPE)
    codes_at = column_at(types.int32)

    @njit
    def step(place, codes):
        records = several(place)
        records[1] = records[0]  # all of it
        records[1].count = -7
        column = codes_at(codes)
        column[2] = column[0] + column[np.uint64(1)]
        column[0] = True
        return records[0].count + records[1].count

    memory, codes = np.zeros(3, DTYPE), np.array([2, 3, 4], np.int32)
    memory[0] = (5, 0.25, 3, (9,))
    assert step(address(memory), address(codes)) == -2
    assert memory.tolist() == [(5, 0.25, 3, (9,)), (-7, 0.25, 3, (9,)), (0, 0.0, 0, (0,))]
    assert codes.tolist() == [1, 3, 5]


def test_an_element_takes_nothing_of_another_kind():
    several, column_of_floats = records_at("more", DTYPE), column_at(types.float64)

    @njit
    def step(place):
        column_of_floats(place)[0] = several(place)[0]

    with pytest.raises(TypingError, match="setitem"):
        step(address(np.zeros(3, DTYPE)))
