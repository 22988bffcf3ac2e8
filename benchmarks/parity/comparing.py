"""Compares two results of one case, fill by fill, and knows which differences are known. It runs nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

__all__ = ["differences", "known", "known_cause"]

_KNOWN = Path(__file__).with_name("known_differences.json")

_NEAR = 1e-8
_CENT = 0.005
# One thing under two names: a request that came to no order.
_SAME = {"ignored": "not-needed"}


def differences(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> list[str]:
    """What differs between two results as ``results.result`` gives them, a sentence each; nothing if they agree.

    Fills are matched by order and bar, whatever the sequence of fills of one bar. Quantities and prices must agree to
    1e-8, commissions, cash and equity to the cent, and orders must have ended the same way.
    """
    return [*_fills(ours["fills"], theirs["fills"]), *_money(ours, theirs), *_orders(ours["orders"], theirs["orders"])]


def known_cause(scenario: str, peer: str) -> str | None:
    """Why our result is known to differ, if it is."""
    return known().get(peer, {}).get(scenario)


def known() -> dict[str, dict[str, str]]:
    """By peer and scenario: the cause of a difference that remains."""
    causes: dict[str, dict[str, str]] = json.loads(_KNOWN.read_text())
    return causes


def _fills(ours: list[Any], theirs: list[Any]) -> Iterator[str]:
    mine, yours = _by_place(ours), _by_place(theirs)
    for place in sorted({*mine, *yours}, key=str):
        here, there = mine.get(place, []), yours.get(place, [])
        if len(here) != len(there) or not all(map(_same, here, there)):
            intent, instrument, bar = place
            yield f"{intent} {instrument} bar {bar}: ours {_said(here)}, theirs {_said(there)}"


def _by_place(fills: list[Any]) -> dict[tuple[str, str, int], list[tuple[float, float, float]]]:
    """Fills by order, instrument and bar; several of one place in the order of their quantities."""
    found: dict[tuple[str, str, int], list[tuple[float, float, float]]] = {}
    for intent, instrument, bar, quantity, price, commission in fills:
        found.setdefault((intent, instrument, bar), []).append((quantity, price, commission))
    return {place: sorted(values) for place, values in found.items()}


def _same(ours: tuple[float, float, float], theirs: tuple[float, float, float]) -> bool:
    near = all(abs(mine - yours) <= _NEAR for mine, yours in zip(ours[:2], theirs[:2], strict=True))
    return near and abs(ours[2] - theirs[2]) < _CENT


def _said(fills: list[tuple[float, float, float]]) -> str:
    return " and ".join(f"{quantity:+.10g} at {price:.10g}, {fee:.6g}" for quantity, price, fee in fills) or "nothing"


def _money(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> Iterator[str]:
    for what in ("cash", "equity"):
        if abs(ours[what] - theirs[what]) >= _CENT:
            yield f"{what} at the end: ours {ours[what]:.6f}, theirs {theirs[what]:.6f}"


def _orders(ours: Mapping[str, str], theirs: Mapping[str, str]) -> Iterator[str]:
    """A peer that makes an exit's order only when it fills says nothing of the others."""
    for intent, status in theirs.items():
        mine = ours.get(intent, "not sent")
        if _SAME.get(mine, mine) != _SAME.get(status, status):
            yield f"{intent} ended {mine}, theirs {status}"
