"""Hooks of qengine_feeds."""
