"""Hooks of qengine_strategy."""
