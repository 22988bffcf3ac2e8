"""Makes stocks.parquet from the CSV that the package bokeh_sampledata ships; it changes no value.

Run it with ``python examples/data/convert.py``. It needs ``bokeh_sampledata`` and ``polars``.
"""

from __future__ import annotations

from pathlib import Path

import bokeh_sampledata
import polars as pl


def main() -> None:
    source = Path(bokeh_sampledata.__file__).parent / "_data" / "stocks.csv.gz"
    raw = pl.read_csv(source, try_parse_dates=True)
    names = {"Ticker": "instrument", **{name: name.lower().replace(" ", "_") for name in raw.columns[1:]}}
    # By date, then instrument: the order in which a feed can stream the file without sorting it first.
    table = raw.rename(names).sort("date", "instrument").with_columns(pl.col("volume").cast(pl.Float64))
    table.write_parquet(Path(__file__).with_name("stocks.parquet"), compression="zstd", statistics=True)


if __name__ == "__main__":
    main()
