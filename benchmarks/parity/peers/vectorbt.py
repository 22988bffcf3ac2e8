"""Runs scenarios in vectorbt, through Portfolio.from_orders and Portfolio.from_signals."""

from __future__ import annotations

from typing import Any

import numpy as np
import vectorbt as vbt
from vectorbt.portfolio.enums import OrderStatus, OrderStatusInfo, SizeType

from benchmarks.parity.peers.case import Case, Journal, serve


def run(case: Case, journal: Journal) -> None:
    """Brackets are signals with stops; everything else is a size for each bar and instrument."""
    signals = any(intent["action"] == "bracket" for intent in case.all_intents)
    with journal.timed("simulation"):
        portfolio = (from_signals if signals else from_orders)(case)
    record(case, portfolio, journal)


def from_orders(case: Case) -> Any:
    """One size a bar and instrument, filled at that bar's close, which is what vectorbt does when told nothing else."""
    close = case.wide("close")
    size, kind = np.full(close.shape, np.nan), np.full(close.shape, int(SizeType.Amount))
    for place, intent in places(case):
        if "percent" in intent:
            size[place], kind[place] = intent["percent"], int(SizeType.TargetPercent)
        else:
            size[place] = intent["quantity"]
    return vbt.Portfolio.from_orders(close, size=size, size_type=kind, **account(case, size))


def from_signals(case: Case) -> Any:
    """Entries with stops; distances are parts of the entry bar's close, since vectorbt knows no absolute ones."""
    close = case.wide("close")
    size, stop, target = (np.full(close.shape, np.nan) for _ in range(3))
    longs, shorts, leaves, trails = (np.full(close.shape, fill_value=False) for _ in range(4))
    for place, intent in places(case):
        if intent["action"] == "order":  # a market order that ends the position
            leaves[place] = True
            continue
        price, quantity = close.to_numpy()[place], intent["quantity"]
        side = 1 if quantity > 0 else -1
        size[place] = abs(quantity)
        (longs if side > 0 else shorts)[place] = True
        if "stop_loss" in intent:
            stop[place] = side * (1 - intent["stop_loss"] / price)
        if "trail_percent" in intent:
            stop[place], trails[place] = intent["trail_percent"], True
        if "take_profit" in intent:
            target[place] = side * (intent["take_profit"] / price - 1)
    ranges = {name: case.wide(name) for name in ("open", "high", "low")}
    exits = {"sl_stop": stop, "sl_trail": trails, "tp_stop": target}
    entries = {"entries": longs, "exits": leaves, "short_entries": shorts, "short_exits": leaves}
    return vbt.Portfolio.from_signals(close, **entries, size=size, **ranges, **exits, **account(case, size))


def account(case: Case, size: np.ndarray) -> dict[str, Any]:
    """One shared account; fees per share are fixed fees, worked out beforehand for the size that is asked for."""
    document = case.document
    commission, rules = document["commission"], document["account"]
    terms: dict[str, Any] = {
        "init_cash": document["cash"],
        "cash_sharing": True,
        "group_by": True,
        "log": True,
        "slippage": document["slippage"].get("rate", 0.0),
    }
    if commission["kind"] == "percent":
        terms["fees"] = commission["rate"]
    if commission["kind"] == "per-share":
        terms["fixed_fees"] = np.fmax(commission["minimum"], np.abs(size) * commission["rate"])
    if document["participation"] is not None:
        caps = np.floor(case.wide("volume").to_numpy() * document["participation"])
        terms["max_size"] = np.where(caps > 0, caps, np.inf)
    if rules.get("whole_shares"):
        terms["size_granularity"] = 1.0
    if rules.get("lock_short_proceeds"):
        terms["lock_cash"] = True
    if rules.get("exits_first"):
        terms["call_seq"] = "auto"
    return terms


def places(case: Case) -> list[tuple[tuple[int, int], dict[str, Any]]]:
    """Where each intent stands in arrays of bars by instruments."""
    column = {name: index for index, name in enumerate(case.document["instruments"])}
    return [((intent["bar"], column[intent["instrument"]]), intent) for intent in case.all_intents]


def record(case: Case, portfolio: Any, journal: Journal) -> None:
    """The log has every order that was tried, filled or not, in the order in which they were."""
    names, intents = case.document["instruments"], dict(places(case))
    position, entry = dict.fromkeys(names, 0.0), {}
    for intent in intents.values():
        journal.status(intent["id"], "not-needed")
    tried = portfolio.logs.records
    for row in tried[tried["req_size"].notna()].itertuples():
        instrument, intent = names[row.col], intents.get((row.idx, row.col))
        side = 1 if row.res_side == 0 else -1
        name = exit_name(entry[instrument], row.res_price, side) if intent is None else intent["id"]
        if row.res_status == OrderStatus.Filled:
            quantity = side * row.res_size
            journal.fill(name, instrument, row.idx, quantity, row.res_price, row.res_fees)
            position[instrument] += quantity
            if intent is not None:
                entry[instrument] = intent
            part = row.res_size < abs(intent["quantity"]) - 1e-9 if intent and "quantity" in intent else False
            journal.status(name, "partly-filled" if part else "filled")
        else:
            info = OrderStatusInfo._fields[row.res_status_info] if row.res_status_info >= 0 else ""
            journal.status(name, "rejected" if row.res_status == OrderStatus.Rejected else "ignored", info)
    values = zip(portfolio.cash().to_numpy().ravel(), portfolio.value().to_numpy().ravel(), strict=True)
    for bar, (cash, equity) in enumerate(values):
        journal.state(bar, cash, equity)


def exit_name(entry: dict[str, Any], price: float, side: int) -> str:
    """Which exit of the entry it was; a sale above the target or a purchase below it is the target's."""
    target = entry.get("take_profit")
    is_target = target is not None and side * price <= side * target + 1e-9
    return f"{entry['id']}.{'target' if is_target else 'stop'}"


if __name__ == "__main__":
    serve(["vectorbt", "numba", "numpy", "pandas"], run)
