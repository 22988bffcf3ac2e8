"""Hooks of qengine_config."""
