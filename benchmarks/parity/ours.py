"""Our side: runs a case in QEngine under a profile, through its public surfaces alone. It compares nothing."""

from __future__ import annotations

import json
import resource
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

import polars as pl
from qengine_feeds import FrameFeed
from qengine_orders import Bracket, Limit, Stop, StopLimit, TrailingStop
from qengine_strategy import Strategy

from benchmarks.parity.cash import in_words_of
from benchmarks.parity.runners import RunnerFailedError
from benchmarks.parity.scenario import Intent, Scenario
from qengine_core import Engine
from qengine_core.plugin import Leg, Order, QEngineError, param

__all__ = ["OURS", "ProfileRunner"]


@dataclass(frozen=True)
class ProfileRunner:
    """QEngine under the profile that stands for a peer; a Runner as the peers' are."""

    peer: str
    profile: str
    wake: str = "interest"

    @property
    def name(self) -> str:
        return f"qengine-{self.profile}"

    def skips(self, scenario: Scenario) -> str | None:
        return scenario.without.get(self.peer)

    def run(self, cases: Mapping[Path, Path]) -> None:
        for case, result in cases.items():
            try:
                self.one(Case(case), result)
            except QEngineError as error:
                raise RunnerFailedError(f"{self.name} failed in {result.name}: {error}") from error

    def one(self, case: Case, result: Path) -> None:
        """One case, from its folder into its result folder."""
        start = time.perf_counter()
        done = self.engine(case).run()
        fills, account, orders = tables(case, done, self.peer)
        for name, table in (("fills", fills), ("account", account), ("orders", orders)):
            table.write_parquet(result / f"{name}.parquet")
        about = {
            "digest": case.document["digest"],
            "versions": {"qengine-core": version("qengine-core"), "numpy": version("numpy"), "numba": version("numba")},
            "seconds": {"simulation": done.seconds, "all": time.perf_counter() - start},
            "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        }
        (result / "run.json").write_text(json.dumps(about))

    def engine(self, case: Case) -> Engine:
        """The run, as a user would compose it: the profile, and what the case says of costs and account."""
        document, rules = case.document, case.document["account"]
        broker: dict[str, Any] = {"participation_limit": document["participation"], **_peer_terms(self.peer, case)}
        calendar = {"calendar": {"use": "exchange", "name": "NYSE"}} if case.table is None else {}
        return Engine(
            profile=self.profile,
            feed=FrameFeed(
                frame=case.bars,
                instruments=tuple(document["instruments"]),
                lot_size=1.0 if rules.get("whole_shares") else 0.0,
            ),
            strategy=Replay(folder=str(case.folder), peer=self.peer),
            broker=broker,
            ledger={"cash": document["cash"]},
            commission=_commission(document["commission"]),
            slippage=_slippage(document["slippage"]),
            wake=self.wake,
            **calendar,
        )


OURS = {
    "backtrader": ProfileRunner("backtrader", "backtrader"),
    "zipline": ProfileRunner("zipline", "zipline"),
    "vectorbt": ProfileRunner("vectorbt", "vectorbt"),
    "backtesting": ProfileRunner("backtesting", "backtesting-py"),
}


@dataclass(frozen=True)
class Case:
    """One case as it lies in its folder."""

    folder: Path

    @cached_property
    def document(self) -> dict[str, Any]:
        """The scenario without its bars."""
        document: dict[str, Any] = json.loads((self.folder / "scenario.json").read_text())
        return document

    @cached_property
    def bars(self) -> pl.DataFrame:
        """Every bar that exists, in order of time and then instrument."""
        return pl.read_parquet(self.folder / "bars.parquet").drop("bar")

    @cached_property
    def times(self) -> list[int]:
        """When each bar closes, in nanoseconds UTC."""
        found = pl.Series(self.document["times"]).str.to_datetime(time_unit="ns", time_zone="UTC")
        return found.dt.epoch("ns").to_list()

    @property
    def is_intraday(self) -> bool:
        """Minutes, and not days."""
        return bool(self.document["frequency"] == "minute")

    @cached_property
    def table(self) -> pl.DataFrame | None:
        """The intents of a large case: market orders, as bar, instrument, quantity."""
        path = self.folder / "intents.parquet"
        return pl.read_parquet(path) if path.exists() else None


class Replay(Strategy):
    """Sends each bar's intents once that bar is known."""

    folder: str = param(help="The case's folder.")
    peer: str = param(help="Whose scenario rules apply.")

    def on_start(self, ctx: Any) -> None:
        case = Case(Path(self.folder))
        self.times = case.times
        self.sent: dict[str, Order] = {}
        self.plan: dict[int, list[Any]] = {}
        self.market: dict[int, list[tuple[str, float]]] = {}
        if case.table is not None:
            for bar, instrument, quantity in case.table.iter_rows():
                self.market.setdefault(case.times[bar], []).append((instrument, quantity))
        for intent in case.document["intents"]:
            self.plan.setdefault(case.times[intent["bar"]], []).append(intent)

    def on_slice(self, ctx: Any, bars: Any) -> None:
        for instrument, quantity in self.market.get(ctx.now, ()):
            ctx.order(instrument, quantity)
        for together in _batches(self.plan.get(ctx.now, [])):
            self._send(ctx, together)

    def _send(self, ctx: Any, intents: list[Intent]) -> None:
        """One intent, or the members of one group."""
        first = intents[0]
        if first["action"] == "cancel":
            ctx.cancel(self.sent[first["order"]])
        elif first["action"] == "target-percent":
            ctx.order_target_percent(first["instrument"], first["percent"], tag=first["id"])
        elif not self._repeats(ctx, first):
            names, order_type = recipe(intents)
            # What ends zipline's orders is a policy of its run, and no time in force.
            terms = {"time_in_force": first["tif"]} if "tif" in first and self.peer != "zipline" else {}
            if "expires" in first:
                terms["expires"] = self.times[first["expires"]]
            sent = ctx.order(first["instrument"], first["quantity"], order_type, tag=",".join(names), **terms)
            self.sent[first["id"]] = sent

    def _repeats(self, ctx: Any, intent: Intent) -> bool:
        """Whether it is an entry signal in the direction already held, which vectorbt ignores."""
        held = ctx.portfolio.position(intent["instrument"])
        return self.peer == "vectorbt" and intent["action"] == "bracket" and held * intent["quantity"] > 0


@dataclass(frozen=True)
class Group:
    """Orders of any sides, quantities and prices that cancel one another: an order type of the harness's own."""

    members: tuple[Leg, ...]

    def legs(self) -> tuple[Leg, ...]:
        return self.members


def recipe(intents: list[Intent]) -> tuple[list[str], Any]:
    """The order type for an intent, or for a group of them, and what each of its legs is called in the tables."""
    first = intents[0]
    if len(intents) > 1:
        legs = []
        for intent in intents:
            leg = _single(intent).legs()[0]
            ratio = intent["quantity"] / first["quantity"]
            legs.append(leg._replace(side=1 if ratio > 0 else -1, ratio=abs(ratio), group=0))
        return [intent["id"] for intent in intents], Group(tuple(legs))
    if first["action"] == "order":
        return [first["id"]], _single(first)
    terms = {name: first[name] for name in ("stop_loss", "take_profit") if name in first}
    entry = _single({name: first[name] for name in ("limit", "stop") if name in first})
    for name, distance in (("trail_amount", "amount"), ("trail_percent", "fraction")):
        if name in first:
            terms |= {"trail": first[name], "distance": distance}
    exits = [".target"] if "take_profit" in terms else []
    if "stop_loss" in terms or "trail" in terms:
        exits.append(".stop")
    return [first["id"], *(first["id"] + exit for exit in exits)], Bracket(entry=entry, **terms)


def _single(terms: Mapping[str, Any]) -> Any:
    """The order type of one leg for an intent's terms; none is a market order."""
    if "trail_amount" in terms:
        return TrailingStop(amount=terms["trail_amount"])
    if "trail_percent" in terms:
        return TrailingStop(fraction=terms["trail_percent"])
    if "stop" in terms and "limit" in terms:
        return StopLimit(price=terms["stop"], limit=terms["limit"])
    if "stop" in terms:
        return Stop(price=terms["stop"])
    return Limit(price=terms["limit"]) if "limit" in terms else None


def _batches(intents: list[Intent]) -> list[list[Intent]]:
    """Intents one by one, members of a group together where the first of them stands."""
    batches: dict[str, list[Intent]] = {}
    for intent in intents:
        batches.setdefault(f"group {intent['oco']}" if "oco" in intent else intent["id"], []).append(intent)
    return list(batches.values())


def _peer_terms(peer: str, case: Case) -> dict[str, Any]:
    """What a case asks of one peer in words of its own, as that peer's script does."""
    document, rules, terms = case.document, case.document["account"], dict[str, Any]()
    if peer == "backtesting" or peer == "backtrader":
        terms["leverage"] = rules.get("leverage", 1.0)
    if peer == "zipline" and any("tif" in intent for intent in document["intents"]):
        terms["session_end"] = "cancel-all" if case.is_intraday else "cancel-first-of-several"
    if peer == "vectorbt":
        terms["buying_power"] = "purchases-locked" if rules.get("lock_short_proceeds") else "purchases"
        terms["close_order"] = "by-value" if rules.get("exits_first") else "by-instrument"
        if document["commission"]["kind"] == "per-share":  # a fixed fee, worked out for what is asked for
            terms["commission_unit"] = "request"
    return terms


def _commission(terms: Mapping[str, Any]) -> dict[str, Any] | str:
    if terms["kind"] == "percent":
        return {"use": "percent", "rate": terms["rate"]}
    if terms["kind"] == "per-share":
        return {"use": "per-share", "rate": terms["rate"], "minimum": terms["minimum"]}
    return "none"


def _slippage(terms: Mapping[str, Any]) -> dict[str, Any] | str:
    if terms["kind"] == "percent":
        return {"use": "fixed-bps", "bps": terms["rate"] * 10_000}
    if terms["kind"] == "fixed":  # of instruments without a tick size, one tick is one
        return {"use": "ticks", "ticks": terms["amount"], "tick_size": 1.0}
    return "none"


# What comes out ---------------------------------------------------------------------------------------------


def tables(case: Case, done: Any, peer: str) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Fills, account and orders in the harness's form, from the result's own tables."""
    bars = pl.DataFrame({"ts": case.times, "bar": range(len(case.times))}).with_columns(_stamp("ts"))
    named = _named(done.orders)
    fills = (
        done.fills.join(bars, on="ts", how="left", maintain_order="left")
        .join(named.select("order_id", "intent"), on="order_id", how="left", maintain_order="left")
        .select(
            "intent",
            "instrument",
            "bar",
            pl.col("quantity") * pl.when(pl.col("side") == "sell").then(-1.0).otherwise(1.0),
            "price",
            "commission",
        )
    )
    account = bars.join(done.equity, on="ts", how="left", maintain_order="left").select("bar", "cash", "equity")
    account = account.with_columns(
        pl.col("cash", "equity").fill_null(strategy="forward").fill_null(case.document["cash"])
    )
    account = in_words_of(peer, case.document["account"].get("leverage", 1.0), fills, account)
    targets = [intent["id"] for intent in case.document["intents"] if intent["action"] == "target-percent"]
    status = _status(peer)
    if peer == "vectorbt":  # which does not say how much a target asked for, and so calls its orders filled
        status = (
            pl.when(pl.col("intent").is_in(targets) & (pl.col("filled") > 0)).then(pl.lit("filled")).otherwise(status)
        )
    orders = named.select("intent", status.alias("status"), "reason")
    idle = [intent["id"] for intent in case.document["intents"] if intent["action"] != "cancel"]
    missing = pl.DataFrame({"intent": idle}, schema={"intent": pl.String}).join(orders, on="intent", how="anti")
    return fills, account, pl.concat([orders, missing.with_columns(status=pl.lit("not-needed"), reason=pl.lit(""))])


def _named(orders: pl.DataFrame) -> pl.DataFrame:
    """The orders table with each order's intent: legs follow one another in the order of the names in their tag."""
    if orders["tag"].eq("").all():
        return orders.with_columns(intent=pl.format("i{}", "order_id"))
    place = pl.int_range(pl.len()).over("tag")
    return orders.with_columns(intent=pl.col("tag").str.split(",").list.get(place))


def _status(peer: str) -> pl.Expr:
    """How an order ended, in the harness's words."""
    is_open = pl.col("reason") == "end-of-data"
    has_filled = pl.col("filled") > 0
    lacks_money = pl.col("reason").is_in(["insufficient-cash", "short-selling-disabled"])
    keeps_part = has_filled & (pl.lit(peer == "vectorbt") | is_open)
    return (
        pl.when(pl.col("state") == "filled")
        .then(pl.lit("filled"))
        .when(keeps_part)
        .then(pl.lit("partly-filled"))
        .when(is_open)
        .then(pl.lit("open"))
        .when(pl.col("reason") == "zero-quantity")
        .then(pl.lit("not-needed"))
        .when(pl.col("reason") == "no-price")
        .then(pl.lit("ignored"))
        .when(lacks_money)
        .then(pl.lit("rejected"))
        .otherwise("state")
    )


def _stamp(name: str) -> pl.Expr:
    return pl.col(name).cast(pl.Datetime("ns")).dt.replace_time_zone("UTC")
