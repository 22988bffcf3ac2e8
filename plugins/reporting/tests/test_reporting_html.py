"""The HTML report: what it says, that it is safe and always the same, and how a real browser shows it."""

from __future__ import annotations

import json
import re
import shutil

import attrs
import numpy as np
import plotly.graph_objects as go
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from qengine_reporting import HtmlReport, text
from qengine_reporting.thinning import thinned

from qengine_core.plugin import Instrument

DAY = 86_400_000_000_000


@pytest.fixture
def page(result, tmp_path):
    """The page's path and text."""
    from qengine_reporting.metrics import metrics_of

    result.provide("metrics", lambda: metrics_of(result))
    HtmlReport().write(result, tmp_path)
    return tmp_path / "report.html"


def written(report, result, folder):
    from qengine_reporting.metrics import metrics_of

    result.provide("metrics", lambda: metrics_of(result))
    report.write(result, folder)
    return (folder / "report.html").read_text(encoding="utf-8")


def figures_of(html):
    return json.loads(re.search(r'id="figures-data">(.*?)</script>', html, re.S).group(1))


def without_scripts(html):
    return re.sub(r"<(script|style).*?</\1>", "", html, flags=re.S)


def test_the_page_is_the_same_for_the_same_run(tables, make_result, tmp_path):
    first, second = (written(HtmlReport(), make_result(tables), tmp_path) for _ in range(2))
    assert first == second


def test_every_figure_is_valid_plotly(page, result):
    figures = figures_of(page.read_text(encoding="utf-8"))
    names = [figure["id"] for figure in figures["charts"]]
    assert names == [f"chart-{name}" for name in ("equity", "monthly", "yearly", "rolling-sharpe", "exposure", "costs")]
    fills = result.fills["instrument"].value_counts().sort(["count", "instrument"], descending=[True, False])
    assert [figure["instrument"] for figure in figures["trades"]] == fills["instrument"].to_list()
    coloured = json.dumps([*figures["charts"], *figures["trades"]])
    for figure in json.loads(re.sub(r'"@[a-z-]+"', '"#123456"', coloured)):
        go.Figure({"data": figure["data"], "layout": figure["layout"]})  # refuses what Plotly does not know


def test_every_colour_is_defined_for_light_and_dark(page):
    html = page.read_text(encoding="utf-8")
    light, dark = re.search(r":root \{(.*?)\}.*?:root\[data-theme=\"dark\"\] \{(.*?)\}", html, re.S).groups()
    for role in set(re.findall(r'"@([a-z-]+)"', html)):
        assert f"--{role}:" in light
        assert f"--{role}:" in dark


def test_the_page_shows_the_figures_that_metrics_hold(result, page):
    shown = without_scripts(page.read_text(encoding="utf-8"))
    assert f"{result.metrics['final_equity']:,.0f} <small>USD" in shown
    assert f"{result.metrics['sharpe']:.2f}" in shown
    assert f"\N{MINUS SIGN}{-100 * result.metrics['max_drawdown']:.2f}%" in shown
    assert "<h1>Moving average cross</h1>" in shown
    assert "9f86d081884c7d65" in shown
    assert "back-adjusted by adj_close" in shown
    best = result.trades.sort("pnl")[-1]
    assert f"+{best['pnl'][0]:,.0f}" in shown


def test_names_cannot_inject_markup(tables, make_result, tmp_path):
    evil = "</script><script>alert(1)</script><img src=x onerror=alert(2)>"
    renamed = {
        name: table.with_columns(pl.lit(evil).alias("instrument")) if "instrument" in table.columns else table
        for name, table in tables.items()
    }
    result = make_result(renamed, instruments=(Instrument(name=evil),), flags=[evil])
    result.config["strategy"][0]["note"] = evil
    stream = attrs.evolve(result.streams[0], instruments=(Instrument(name=evil),), description={evil: evil})
    result.streams = (stream,)
    html = written(HtmlReport(title=evil), result, tmp_path)
    assert "alert(1)</script>" not in html
    assert "<img" not in without_scripts(html)
    assert figures_of(html)["trades"][0]["instrument"] == evil


def test_what_a_reader_should_know_is_said(tables, make_result, tmp_path):
    orders = tables["orders"].with_columns(
        pl.when(pl.int_range(pl.len()) < 3)
        .then(pl.lit("rejected"))
        .when(pl.int_range(pl.len()) < 5)
        .then(pl.lit("expired"))
        .when(pl.int_range(pl.len()) < 6)
        .then(pl.lit("cancelled"))
        .otherwise(pl.col("state"))
        .alias("state"),
        pl.when(pl.int_range(pl.len()) < 5).then(0.0).otherwise(pl.col("filled")).alias("filled"),
        pl.when(pl.int_range(pl.len()) < 3).then(pl.lit("no-cash")).otherwise(pl.lit("")).alias("reason"),
        pl.when(pl.int_range(pl.len()) == 9).then(None).otherwise(pl.col("closed_ts")).alias("closed_ts"),
    )
    result = make_result(
        {**tables, "orders": orders, "equity": tables["equity"].head(200)},
        flags=["report Broken: ValueError: x"],
        counts={
            "ambiguous_bars": 1_003,
            "ambiguous_by_instrument": {"A": 1, "B": 1_002},
            "rejections": {"no-cash": 3},
        },
    )
    result.config["commission"] = {"use": "none"}
    result.config["slippage"] = {"use": "none"}
    shown = without_scripts(written(HtmlReport(), result, tmp_path))
    for sentence in (
        "report Broken: ValueError: x.",
        "3 orders were rejected: no-cash (3).",
        "2 orders ended without a fill: no reason given (2).",
        "1 order ended with only a part filled",
        "1 order was still open when the data ended.",
        "In 1,003 bars the path of prices inside the bar decided a fill",
        "policy chose, in B 1,002, A 1.",
        "positions were still open at the end (IBM, MSFT)",
        "without commission and without slippage",
        "The data cover 200 days, less than a year",
        "rejections: no-cash",
    ):
        assert sentence in shown


@pytest.mark.parametrize("rows", [0, 1, 25])
def test_a_run_with_next_to_nothing_still_gives_a_page(rows, make_tables, make_result, tmp_path):
    from qengine_reporting.schema import empty

    tables = make_tables(days=max(rows, 1))
    del tables["prices"]
    result = make_result({**tables, "equity": tables["equity"].head(rows), "trades": empty("trades")})
    shown = without_scripts(written(HtmlReport(), result, tmp_path))
    assert "No position was closed." in shown
    assert "none of the run's tables holds prices" in shown
    assert ("no equity curve: no market data row was walked" in shown) is (rows == 0)


def test_ruin_gives_a_page_with_dashes(tables, make_result, tmp_path):
    frame = tables["equity"].with_columns(
        pl.when(pl.int_range(pl.len()) > 700).then(0.0).otherwise("equity").alias("equity")
    )
    shown = without_scripts(written(HtmlReport(), make_result({**tables, "equity": frame}), tmp_path))
    assert "\N{MINUS SIGN}100.00%" in shown
    assert "NaN" not in shown
    assert "nan" not in re.sub(r"[a-z]*finan[a-z]*", "", shown)


def test_a_million_points_stay_a_small_page_that_keeps_the_extremes(tables, make_result, make_frame, tmp_path):
    rng = np.random.default_rng(3)
    count = 1_000_000
    values = 100_000.0 * np.exp(np.cumsum(rng.normal(0, 1e-4, count)))
    values[654_321] = 250_000.0
    values[123_456] = 50_000.0
    ts = 1_500_000_000_000_000_000 + np.arange(count) * 1_000_000_000
    frame = pl.DataFrame({"ts": ts, "equity": values, "cash": values, "long_value": 0.0, "short_value": 0.0})
    frame = frame.with_columns(pl.col("ts").cast(pl.Datetime("ns", "UTC")))
    html = written(HtmlReport(max_points=2000), make_result({**tables, "equity": frame}), tmp_path)
    curve = figures_of(html)["charts"][0]["data"][0]
    assert len(curve["x"]) <= 2000
    assert (max(curve["y"]), min(curve["y"])) == (250_000.0, 50_000.0)
    assert len(html) < 6_500_000


@settings(max_examples=80, deadline=None)
@given(values=st.lists(st.floats(-1e6, 1e6) | st.just(float("nan")), max_size=400), points=st.integers(4, 60))
def test_thinning_keeps_ends_and_extremes_within_its_limit(values, points):
    array = np.array(values, dtype=np.float64)
    keep = thinned(array, points)
    assert len(keep) <= max(points, 4)
    assert (np.diff(keep) > 0).all()
    if len(array):
        assert (keep[0], keep[-1]) == (0, len(array) - 1)
        if np.isfinite(array).any():
            assert np.nanmax(array[keep]) == np.nanmax(array)
            assert np.nanmin(array[keep]) == np.nanmin(array)


def test_daily_closes_stamped_at_midnight_are_read_as_of_their_day(tables, make_result, tmp_path):
    def later(table):
        hours = [pl.col(name).dt.offset_by("3h") for name in table.columns if name.endswith("ts")]
        return table.with_columns(hours)

    html = written(HtmlReport(), make_result({name: later(table) for name, table in tables.items()}), tmp_path)
    first = figures_of(html)["charts"][0]["data"][0]["x"][0]
    assert np.datetime64(first, "ms").astype(str) == "2015-01-02T23:59:59.999"
    assert figures_of(html)["charts"][0]["layout"]["xaxis"]["hoverformat"] == "%d %b %Y"
    last = tables["trades"]["exit_ts"][-1]
    assert f"{last:%Y-%m-%d}</td>" in without_scripts(html)


def test_figures_read_as_people_write_them():
    assert text.duration(2.5) == "2.5 days"
    assert text.duration(1) == "1 day"
    assert text.duration(0.25) == "6 hours"
    assert text.duration(90 / 1440) == "1.5 hours"
    assert text.duration(30 / 86_400) == "30 seconds"
    assert text.duration(None) == text.percent(None) == text.money(float("nan")) == text.moment(None) == "\N{EN DASH}"
    assert text.money(-1234.5) == "\N{MINUS SIGN}1,234"
    assert text.money(-0.001) == "0.00"
    assert text.quantity(0.25) == "0.25"
    assert text.moment("2020-02-12T21:00:00Z") == "2020-02-12 21:00"
    assert text.moment("2020-03-01T00:00:00Z") == "2020-02-29"


@pytest.fixture(scope="module")
def browser():
    executable = shutil.which("chromium")
    if executable is None:
        pytest.skip("there is no chromium on this machine")
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    quiet = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=executable, args=quiet)
        yield chromium
        chromium.close()


@pytest.fixture
def visit(browser, page):
    """Opens the page in a window of a width; afterwards nothing may have been said or asked for."""
    said, asked, tabs = [], [], []

    def open_page(width, scheme="light"):
        tab = browser.new_page(viewport={"width": width, "height": 850}, color_scheme=scheme)
        tab.on("console", lambda message: said.append(message.text))
        tab.on("pageerror", lambda error: said.append(str(error)))
        tab.on("request", lambda request: asked.append(request.url))
        tab.goto(page.as_uri())
        until(tab, "document.querySelectorAll('.plot .main-svg').length >= 14")
        tabs.append(tab)
        return tab

    yield open_page
    for tab in tabs:
        tab.close()
    assert said == []
    assert [url for url in asked if not url.startswith(("file:", "data:", "blob:"))] == []


def until(tab, expression):
    """Wait for the browser; asked from here, because the page's policy lets nothing be evaluated in it."""
    for _ in range(200):
        if tab.evaluate(expression):
            return
        tab.wait_for_timeout(50)
    pytest.fail(f"in ten seconds the page did not come to: {expression}")


DRAWN = """Array.from(document.querySelectorAll('.plot')).map(plot => {
    const box = plot.querySelector('.main-svg').getBoundingClientRect();
    const marks = plot.querySelectorAll('.scatterlayer path.js-line, .heatmaplayer image, .barlayer path').length;
    return {id: plot.id, width: box.width, height: box.height, marks};
})"""


@pytest.mark.parametrize("width", [1440, 390])
def test_a_browser_draws_every_chart_without_scrolling_sideways(visit, width):
    tab = visit(width)
    drawn = tab.evaluate(DRAWN)
    assert len(drawn) == 7
    for chart in drawn:
        assert chart["marks"] >= 1, chart
        assert chart["height"] >= 180, chart
        assert 0.7 * min(width, 400) <= chart["width"] <= width, chart
    assert tab.evaluate("document.documentElement.scrollWidth") <= width


def test_another_instrument_is_drawn_on_choice(visit):
    tab = visit(1440)
    read = "document.getElementById('chart-trades').data[0].y[0]"
    before = tab.evaluate(read)
    tab.select_option("#instrument", "1")
    until(tab, f"{read} !== {before}")
    assert tab.evaluate("document.querySelectorAll('#chart-trades .scatterlayer .point').length") > 10


def test_colours_follow_the_readers_theme(visit):
    line = "document.getElementById('chart-equity').data[0].line.color"
    ground = "getComputedStyle(document.body).backgroundColor"
    tab = visit(1440, "dark")
    assert (tab.evaluate(line), tab.evaluate(ground)) == ("#7aa5ff", "rgb(12, 16, 21)")
    tab.emulate_media(color_scheme="light")
    until(tab, f"{line} === '#2454d6'")
    assert tab.evaluate(ground) == "rgb(245, 246, 248)"


def test_tabs_show_one_table_at_a_time(visit):
    tab = visit(390)
    tab.click("label[for=tab-2]")
    visible = tab.evaluate("Array.from(document.querySelectorAll('.tab')).map(t => t.offsetHeight > 0)")
    assert visible == [False, True, False]


def test_a_pointer_over_the_equity_reads_its_drawdown_too(visit):
    tab = visit(1440)
    tab.locator("#chart-equity").scroll_into_view_if_needed()
    box = tab.locator("#chart-equity").bounding_box()
    tab.mouse.move(box["x"] + box["width"] / 2, box["y"] + 120)
    until(tab, "document.querySelectorAll('#chart-equity .hoverlayer .legendtext').length == 2")
    said = tab.evaluate("document.querySelector('#chart-equity .hoverlayer').textContent")
    assert re.search(r"Equity [\d,]+ USD.*Drawdown .[\d.]+%", said)
