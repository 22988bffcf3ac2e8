"""Hooks of qengine_orders."""
