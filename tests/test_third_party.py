"""Proof of the microkernel: a stranger's wheel, installed beside the others, is used by a run file that names it.

Nothing here reaches the checkout at run time: the kernel, the first-party plugins and the stranger are built
as wheels and installed into a fresh environment, which borrows only their dependencies from the running one.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import sysconfig
import textwrap
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FIRST_PARTY = sorted(path.parent for path in ROOT.glob("plugins/*/pyproject.toml"))

PYPROJECT = """
    [build-system]
    requires = ["hatchling"]
    build-backend = "hatchling.build"

    [project]
    name = "acme-plugin"
    version = "3.1"
    dependencies = ["qengine-core"]

    [project.entry-points."qengine.plugins"]
    acme-plugin = "acme_plugin.plugin"
"""

# Light, as every hook module: numpy is imported where rows are made.
PLUGIN = '''
    """Announces what Acme sells."""

    from qengine_core.plugin import CommissionSpec, FeedSpec, Leg, OrderTypeSpec, component, implements, param


    @component
    class RoundFee:
        """A fee per order that grows with the number of hundreds in it."""

        fee: float = param(default=7.0, help="Charge per started hundred.", unit="currency", ge=0)

        @property
        def rates(self):
            return (float(self.fee),)

        @staticmethod
        def commission(side, quantity, price, multiplier, maker, month_quantity, month_notional, rates):
            """Charge for every started hundred."""
            return rates[0] * -(-quantity // 100.0)


    @component
    class Stairs:
        """A feed of daily bars, each one higher than the last."""

        rows: int = param(default=40, help="How many days.", ge=1)

        def open(self):
            from acme_plugin.rows import StairsSource

            return StairsSource(self.rows)


    @component
    class Ladder:
        """Two halves, each on a stop of its own, and each with a profit to take so far from what it filled at."""

        first: float = param(help="Where the first half is set off.", gt=0)
        step: float = param(help="How much further the second.", gt=0)
        gain: float = param(help="The profit to take.", gt=0)

        def legs(self):
            rungs = [Leg(ratio=0.5, trigger=self.first + number * self.step) for number in range(2)]
            exits = [rung._replace(side=-1, trigger=float("nan"), parent=number) for number, rung in enumerate(rungs)]
            return (*rungs, *(leg._replace(limit=self.gain, from_fill="amount") for leg in exits))


    @implements.order_types
    def order_types():
        yield OrderTypeSpec(name="acme-ladder", summary="Climbs in two halves.", component=Ladder)


    @implements.commission_models
    def commission_models():
        yield CommissionSpec(name="acme-round", summary="A fee per started hundred.", component=RoundFee)


    @implements.feeds
    def feeds():
        yield FeedSpec(name="acme-stairs", summary="Prices that climb.", component=Stairs)
'''

ROWS = '''
    """The rows of Acme's feed."""

    import numpy as np

    from qengine_core.blocks import Block, StreamInfo
    from qengine_core.vocabulary import BAR, Instrument

    DAY_NS = 86_400_000_000_000


    class StairsSource:
        def __init__(self, rows):
            self.rows = rows
            columns = ("open", "high", "low", "close", "volume")
            self.info = StreamInfo(kind=BAR, columns=columns, instruments=(Instrument(name="STEP"),), rows=rows)

        def blocks(self, stream, codes):
            ts = np.arange(1, self.rows + 1, dtype=np.int64) * DAY_NS
            base = 100.0 + np.arange(self.rows)
            columns = {
                "open": base, "high": base + 0.75, "low": base - 0.25, "close": base + 0.5,
                "volume": np.full(self.rows, 1e6),
            }
            yield Block(stream, ts, np.full(self.rows, codes["STEP"], np.int32), columns)
'''

# Buys 250 on the first bar, filled at the second's open: 101. The fee of three started hundreds at 2 is 6.
RUN = """
    seed = 1

    [plugins]
    require = ["acme-plugin>=3"]

    [feed]
    use = "acme-stairs"
    rows = 30

    [strategy]
    use = "strategy.py:BuyOnce"

    [commission]
    use = "acme-round"
    fee = 2.0
"""

STRATEGY = '''
    """Buys once."""

    from qengine_strategy import Strategy


    class BuyOnce(Strategy):
        """Buys 250 on the first bar."""

        def on_start(self, ctx):
            self.bought = False

        def on_bar(self, ctx, bar):
            if not self.bought:
                self.bought = True
                ctx.buy("STEP", 250)
'''


# The same order, sent in either lane; the run file says which order that is.
CLIMBERS = '''
    """Sends one order on the first bar."""

    from qengine_core.plugin import OrderType, param
    from qengine_strategy import Strategy


    class OnBars(Strategy):
        """In the event lane."""

        entry: OrderType = param(help="how to enter")

        def on_start(self, ctx):
            self.sent = False

        def on_bar(self, ctx, bar):
            self.send(ctx)

        def send(self, ctx):
            if not self.sent:
                self.sent = True
                ctx.buy("STEP", 100, self.entry)


    class OnSlices(OnBars):
        """In the slice lane."""

        on_bar = Strategy.on_bar

        def on_slice(self, ctx, bars):
            self.send(ctx)
'''


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(textwrap.dedent(text).lstrip())


def check(command, **options):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False, **options)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done


class Environment:
    """A fresh virtual environment with the first-party wheels in it."""

    def __init__(self, folder):
        self.folder = folder
        venv.create(folder, with_pip=False, symlinks=True)
        self.python = folder / "bin" / "python"
        libraries = Path(sysconfig.get_path("purelib", "venv", {"base": str(folder), "platbase": str(folder)}))
        # A plain line adds the folder without running the .pth files in it, so editable installs stay out of reach.
        (libraries / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
        self.libraries = libraries

    def install(self, *projects):
        options = ["--no-deps", "--no-build-isolation", "--no-index", "--no-compile", "--ignore-installed", "--quiet"]
        check([sys.executable, "-m", "pip", "--python", self.python, "install", *options, *projects])

    def uninstall(self, name):
        check([sys.executable, "-m", "pip", "--python", self.python, "uninstall", "--yes", "--quiet", name])

    def qengine(self, *words, cwd):
        command = [str(self.folder / "bin" / "qengine"), *map(str, words)]
        return subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd)


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    made = Environment(tmp_path_factory.mktemp("fresh"))
    made.install(ROOT, *FIRST_PARTY)
    return made


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("acme")
    write(folder / "pyproject.toml", PYPROJECT)
    write(folder / "acme_plugin" / "__init__.py", '"""Acme."""\n')
    write(folder / "acme_plugin" / "plugin.py", PLUGIN)
    write(folder / "acme_plugin" / "rows.py", ROWS)
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--quiet", "--wheel-dir", folder / "dist"]
    check([sys.executable, "-m", "pip", "wheel", *options, folder])
    return next((folder / "dist").glob("acme_plugin-3.1-*.whl"))


@pytest.fixture
def run_folder(tmp_path):
    write(tmp_path / "run.toml", RUN)
    write(tmp_path / "strategy.py", STRATEGY)
    return tmp_path


def test_the_environment_holds_wheels_and_not_the_checkout(environment):
    code = "import qengine_core, qengine_costs; print(qengine_core.__file__); print(qengine_costs.__file__)"
    for line in check([environment.python, "-c", code], cwd=environment.folder).stdout.split():
        assert Path(line).is_relative_to(environment.libraries)


def test_a_third_party_plugin_is_used_by_a_run_file_that_names_it(environment, wheel, run_folder):
    missing = environment.qengine("run", "run.toml", "--json", cwd=run_folder)
    assert missing.returncode == 1
    assert missing.stdout == ""
    assert missing.stderr.splitlines() == [
        "qengine: This run needs acme-plugin>=3, which is not installed: pip install 'acme-plugin>=3'"
    ]

    environment.install(wheel)
    try:
        listed = json.loads(environment.qengine("plugins", "--json", cwd=run_folder).stdout)
        acme = next(row for row in listed if row["name"] == "acme-plugin")
        assert (acme["status"], acme["version"]) == ("loaded", "3.1")
        assert acme["provides"] == ["commission/acme-round", "feed/acme-stairs", "order_type/acme-ladder"]
        assert not [row for row in listed if row["failure"]]

        done = environment.qengine("run", "run.toml", "--json", "--out", "results", cwd=run_folder)
        assert done.returncode == 0, done.stderr
        summary = json.loads(done.stdout)
        assert summary["rows"] == 30
        assert summary["plugins"]["acme-plugin"] == "3.1"
        assert summary["counts"]["fills"] == 1

        import polars as pl

        fills = pl.read_parquet(Path(run_folder / summary["out"]) / "fills.parquet")
        assert fills.select("quantity", "price", "commission").rows() == [(250.0, 101.0, 6.0)]
    finally:
        environment.uninstall("acme-plugin")


@pytest.mark.parametrize("lane", ["OnBars", "OnSlices"])
@pytest.mark.parametrize("wake", ["interest", "every-row"])
def test_a_third_party_order_type_fills_in_every_lane_by_its_recipe_alone(environment, wheel, run_folder, lane, wake):
    """Stairs of 1 from 100 on, each bar from 0.25 below its open to 0.75 above."""
    environment.install(wheel)
    try:
        write(run_folder / "strategy.py", CLIMBERS)
        entry = 'entry = { use = "acme-ladder", first = 102.5, step = 1.25, gain = 2.0 }'
        text = textwrap.dedent(RUN).replace('strategy.py:BuyOnce"', f'strategy.py:{lane}"\n{entry}')
        write(run_folder / "run.toml", text.replace("seed = 1", f'seed = 1\nwake = "{wake}"'))
        done = environment.qengine("run", "run.toml", "--json", "--out", "results", cwd=run_folder)
        assert done.returncode == 0, done.stderr
        out = run_folder / json.loads(done.stdout)["out"]

        import polars as pl

        fills = pl.read_parquet(out / "fills.parquet").select("side", "quantity", "price").rows()
        assert fills == [
            ("buy", 50.0, 102.5),
            ("buy", 50.0, 103.75),
            ("sell", 50.0, 104.5),
            ("sell", 50.0, 105.75),
        ]
        assert set(pl.read_parquet(out / "orders.parquet")["type"]) == {"acme-ladder"}
    finally:
        environment.uninstall("acme-plugin")


# Of a file that requires nothing, only the names tell what is missing.
NAMES = [
    pytest.param("acme-plugin/acme-stairs", "pip install acme-plugin"),
    pytest.param("acme-stairs", "[Ii]nstall"),
]


@pytest.mark.parametrize(("name", "remedy"), NAMES)
def test_a_missing_name_says_what_to_install(environment, run_folder, name, remedy):
    bare = RUN.replace('require = ["acme-plugin>=3"]', "").replace("acme-stairs", name)
    write(run_folder / "run.toml", bare)
    missing = environment.qengine("run", "run.toml", "--json", cwd=run_folder)
    assert missing.returncode == 1
    assert len(missing.stderr.splitlines()) == 1, "a mistake is one sentence, not a traceback"
    assert "There is no feed named" in missing.stderr
    assert re.search(remedy, missing.stderr)
