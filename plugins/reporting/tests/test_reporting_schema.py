"""The documented tables: what is accepted, what is refused, and that equal tables give equal bytes."""

from __future__ import annotations

import itertools
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from qengine_reporting import metrics
from qengine_reporting.parquet import write_table
from qengine_reporting.schema import SCHEMAS, as_markdown, empty, validated

from qengine_core.plugin import OrderState, PluginError


def test_a_missing_column_is_the_plugins_fault_and_named(tables):
    with pytest.raises(PluginError, match=r"Table 'fills', column 'price' is missing"):
        validated("fills", tables["fills"].drop("price"))


def test_a_column_of_another_type_is_refused(tables):
    wrong = tables["fills"].with_columns(pl.col("ts").cast(pl.Datetime("us", "UTC")))
    with pytest.raises(PluginError, match=r"column 'ts' is Datetime\(.*us.*must be Datetime\(.*ns"):
        validated("fills", wrong)


def test_a_null_where_there_must_be_a_value_is_refused_with_its_row(tables):
    wrong = tables["trades"].with_columns(
        pl.when(pl.int_range(pl.len()) == 3).then(None).otherwise(pl.col("pnl")).alias("pnl")
    )
    with pytest.raises(PluginError, match="column 'pnl' is null in row 3"):
        validated("trades", wrong)


def test_a_side_that_nobody_knows_is_refused(tables):
    with pytest.raises(PluginError, match="holds 'BUY', but must be one of buy, sell"):
        validated("orders", tables["orders"].with_columns(pl.col("side").str.to_uppercase()))


def test_text_may_be_encoded_all_null_columns_untyped_and_further_columns_follow(tables):
    given_ = tables["orders"].select(
        pl.lit(1.5).alias("latency_ms"),
        pl.all().exclude("side", "limit_price"),
        pl.col("side").cast(pl.Categorical),
        pl.lit(None).alias("limit_price"),
    )
    checked = validated("orders", given_)
    assert checked.columns == [c.name for c in SCHEMAS["orders"].columns] + ["latency_ms"]
    assert checked.drop("latency_ms").equals(tables["orders"])


def test_any_arrow_table_is_taken(tables):
    assert validated("fills", tables["fills"].to_arrow()).equals(tables["fills"])


def test_every_state_of_an_order_is_documented():
    states = next(column for column in SCHEMAS["orders"].columns if column.name == "state").one_of
    assert sorted(states) == sorted(state.value for state in OrderState)


def test_files_carry_units_and_meanings_and_nothing_of_pandas(tables, tmp_path):
    for name in SCHEMAS:
        write_table(name, tables[name], tmp_path / name)
        schema = pq.read_schema(tmp_path / name)
        for column, field in zip(SCHEMAS[name].columns, schema, strict=True):
            assert field.name == column.name
            assert field.metadata[b"unit"].decode() == column.unit
            assert field.metadata[b"description"].decode() == column.meaning
            assert field.nullable == column.nullable
        assert b"pandas" not in schema.metadata
    assert schema.field("ts").type == pa.timestamp("ns", "UTC")


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_table_reads_back_as_it_was_written(name, tables, tmp_path):
    write_table(name, tables[name], tmp_path / "t.parquet")
    assert pl.read_parquet(tmp_path / "t.parquet").equals(tables[name])
    write_table(name, empty(name), tmp_path / "empty.parquet")
    assert pl.read_parquet(tmp_path / "empty.parquet").equals(empty(name))


@settings(max_examples=25, deadline=None)
@given(cuts=st.lists(st.integers(0, 192), max_size=6), encoded=st.booleans())
def test_equal_tables_give_equal_bytes_however_they_are_chunked_or_encoded(cuts, encoded, tables, tmp_path_factory):
    folder = tmp_path_factory.mktemp("bytes")
    whole = tables["fills"]
    edges = sorted({0, *cuts, len(whole)})
    parts = [whole[a:b] for a, b in itertools.pairwise(edges)]
    chunked = pl.concat(parts, rechunk=False)
    if encoded:
        chunked = chunked.with_columns(pl.col("instrument").cast(pl.Categorical))
    write_table("fills", whole, folder / "a")
    write_table("fills", chunked, folder / "b")
    assert (folder / "a").read_bytes() == (folder / "b").read_bytes()


def test_the_readme_shows_the_documented_tables():
    readme = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    assert as_markdown() in readme
    assert metrics.as_markdown() in readme
