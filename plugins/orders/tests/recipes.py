"""Hypothesis strategies for order types, at the prices of a test's own market."""

from __future__ import annotations

from hypothesis import strategies as st
from qengine_orders import (
    Bracket,
    Iceberg,
    Limit,
    LimitIfTouched,
    LimitOnClose,
    LimitOnOpen,
    Market,
    MarketIfTouched,
    MarketOnClose,
    MarketOnOpen,
    OneCancelsOther,
    OneTriggersOther,
    OneUpdatesOther,
    PercentOfVolume,
    PostOnly,
    ReduceOnly,
    Stop,
    StopLimit,
    TrailingStop,
    TrailingStopLimit,
    Twap,
)

FRACTIONS = st.sampled_from([0.01, 0.03, 0.1])


def one_leg(prices, gaps):
    """Any order type of one leg."""
    return st.one_of(
        st.just(Market()),
        st.builds(Limit, price=prices),
        st.builds(Stop, price=prices),
        st.builds(StopLimit, price=prices, limit=prices),
        st.builds(MarketIfTouched, price=prices),
        st.builds(LimitIfTouched, price=prices, limit=prices),
        st.builds(TrailingStop, amount=gaps),
        st.builds(TrailingStop, fraction=FRACTIONS),
        st.builds(TrailingStopLimit, fraction=FRACTIONS, limit_offset=gaps),
        st.builds(Iceberg, price=prices, display=st.sampled_from([1.0, 2.5, 6.0])),
        st.builds(PostOnly, price=prices),
        st.builds(ReduceOnly, limit=st.none() | prices, stop=st.none() | prices),
        st.builds(PercentOfVolume, share=st.sampled_from([0.05, 0.5]), limit=st.none() | prices),
        st.sampled_from([MarketOnOpen(), MarketOnClose()]),
        st.builds(LimitOnOpen, price=prices),
        st.builds(LimitOnClose, price=prices),
    )


@st.composite
def brackets(draw, prices, gaps):
    """A bracket with any entry, at prices or at distances."""
    entry = draw(st.none() | one_leg(prices, gaps))
    if draw(st.booleans()):
        return Bracket(entry=entry, take_profit=draw(prices), stop_loss=draw(prices))
    distance = draw(st.sampled_from(["amount", "fraction"]))
    sizes = gaps if distance == "amount" else FRACTIONS
    loss = draw(st.sampled_from(["stop_loss", "trail"]))
    return Bracket(entry=entry, distance=distance, take_profit=draw(st.none() | sizes), **{loss: draw(sizes)})


def order_types(prices, gaps):
    """Any first-party order type."""
    single = one_leg(prices, gaps)
    several = st.lists(single, min_size=2, max_size=3).map(tuple)
    return st.one_of(
        single,
        brackets(prices, gaps),
        st.builds(OneCancelsOther, orders=several),
        st.builds(OneUpdatesOther, orders=several),
        st.builds(OneTriggersOther, first=single, then=single, side=st.sampled_from(["same", "opposite"])),
        st.builds(
            Twap, slices=st.integers(1, 4), seconds=st.sampled_from([1e-9, 3e-9, 3600.0]), limit=st.none() | prices
        ),
    )
