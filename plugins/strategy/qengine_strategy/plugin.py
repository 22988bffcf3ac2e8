"""What this plugin announces: nothing yet by name; strategies are found by file, as ``strategy.py:Class``."""

from __future__ import annotations
