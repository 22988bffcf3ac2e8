"""Order types are recipes: what each asks of a broker, and what it refuses."""

from __future__ import annotations

import math

import attrs
import pytest
import qengine_orders
from qengine_orders import Limit, Market
from qengine_strategy import Strategy
from qengine_strategy.testing import bars, drive

from qengine_core.manager import Plugins
from qengine_core.plugin import MARKET_LEG, ConfigError


def test_a_market_order_is_one_leg_without_prices():
    assert Market().legs() == (MARKET_LEG,)
    assert math.isnan(MARKET_LEG.limit)
    assert math.isnan(MARKET_LEG.trigger)


def test_a_limit_order_is_one_leg_with_its_price():
    (leg,) = Limit(price=10.0).legs()
    assert leg._replace(limit=0.0) == MARKET_LEG._replace(limit=0.0)
    assert leg.limit == 10.0


@pytest.mark.parametrize("price", [0.0, -1.0, math.nan])
def test_a_limit_needs_a_price_above_zero(price):
    with pytest.raises(ConfigError, match="price"):
        Limit(price=price)


def test_order_types_cannot_be_changed_after_they_were_made():
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        Limit(price=10.0).price = 11.0


def test_the_plugin_announces_every_type_by_name():
    announced = Plugins.discover().all("order_type")
    found = {entry.spec.component for entry in announced if entry.plugin == "qengine-orders"}
    assert found == {getattr(qengine_orders, name) for name in qengine_orders.__all__}


def test_a_type_and_the_shorthand_are_the_same_order():
    class Both(Strategy):
        def on_bar(self, ctx, bar):
            ctx.buy("X", 1, Limit(price=9.5))
            ctx.buy("X", 1, limit=9.5)
            ctx.buy("X", 1, Market())
            ctx.buy("X", 1)

    orders = drive(Both(), bars([10.0])).orders.drop("order_id")
    assert orders.row(0) == orders.row(1)
    assert orders.row(2) == orders.row(3)
    assert orders["type"].to_list() == ["limit", "limit", "market", "market"]
