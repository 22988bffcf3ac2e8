"""Hooks of qengine_portfolio."""
