"""Spreads estimated from prices, where data has no quotes: columns to put beside bars. It knows no fill.

Each takes the columns of one instrument's bars, in order of time, and returns a column ``spread`` in price units for
``half-spread`` to read. Row ``i`` is estimated from rows before it alone, so no fill pays for what nobody knew yet;
it is NaN, and ``half-spread`` assumes what it is told to, until ``window`` estimates are there.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from qengine_core.plugin import ConfigError

__all__ = ["corwin_schultz", "roll"]

Floats = npt.NDArray[np.float64]


def corwin_schultz(high: Floats, low: Floats, close: Floats, window: int = 20) -> Floats:
    """The mean of the last ``window`` two-bar estimates, times the last close.

    ``S = 2 (e^a - 1) / (1 + e^a)``, with ``a = (sqrt(2 b) - sqrt(b)) / (3 - 2 sqrt(2)) - sqrt(g / (3 - 2 sqrt(2)))``,
    ``b`` the sum of the squared log ranges of two bars and ``g`` the squared log range of both. Where a bar lies
    wholly above or below the close before it, it is shifted there, and negative estimates count as zero.

    S. A. Corwin and P. Schultz, "A simple way to estimate bid-ask spreads from daily high and low prices",
    Journal of Finance 67(2), 2012, equations 14 and 18, and section II.C on overnight returns. Made for days.
    """
    _check(window, high, low, close)
    if len(high) < 2:
        return np.full(len(high), np.nan)
    shift = np.minimum(close[:-1] - low[1:], 0.0) + np.maximum(close[:-1] - high[1:], 0.0)
    next_high, next_low = high[1:] + shift, low[1:] + shift
    scale = 3.0 - 2.0 * np.sqrt(2.0)
    beta = np.log(high[:-1] / low[:-1]) ** 2 + np.log(next_high / next_low) ** 2
    gamma = np.log(np.maximum(high[:-1], next_high) / np.minimum(low[:-1], next_low)) ** 2
    alpha = (np.sqrt(2.0 * beta) - np.sqrt(beta)) / scale - np.sqrt(gamma / scale)
    spread = np.maximum(2.0 * (np.exp(alpha) - 1.0) / (1.0 + np.exp(alpha)), 0.0)
    return _before(_means(spread, window), len(high), last=close)


def roll(close: Floats, window: int = 60) -> Floats:
    """``2 sqrt(-c)``, ``c`` the covariance of successive changes of the close over ``window`` pairs; 0 where c > 0.

    R. Roll, "A simple implicit measure of the effective bid-ask spread in an efficient market", Journal of
    Finance 39(4), 1984, equation 1.
    """
    _check(window, close)
    change = np.diff(close)
    if len(change) < 2:
        return np.full(len(close), np.nan)
    one, other = change[:-1], change[1:]
    covariance = _means(one * other, window) - _means(one, window) * _means(other, window)
    return _before(2.0 * np.sqrt(np.maximum(-covariance, 0.0)), len(close))


def _check(window: int, *columns: Floats) -> None:
    if window < 1:
        raise ConfigError(f"window must be >= 1, not {window}.")
    if len({len(column) for column in columns}) != 1:
        raise ConfigError(f"the columns must be of one length, not {', '.join(str(len(each)) for each in columns)}.")


def _means(values: Floats, window: int) -> Floats:
    """The means of the last ``window`` values, each summed afresh; none where there are fewer."""
    if len(values) < window:
        return np.empty(0)
    means: Floats = np.lib.stride_tricks.sliding_window_view(values, window).mean(axis=1)
    return means


def _before(estimates: Floats, rows: int, last: Floats | None = None) -> Floats:
    """A column in which each row has the estimate that was complete with the row before."""
    column, count = np.full(rows, np.nan), max(0, len(estimates) - 1)
    if count:
        known = estimates[:-1]
        column[rows - count :] = known if last is None else known * last[rows - count - 1 : rows - 1]
    return column
