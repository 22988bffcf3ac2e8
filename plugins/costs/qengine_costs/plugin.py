"""Hooks of qengine_costs."""
