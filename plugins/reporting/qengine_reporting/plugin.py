"""Hooks of qengine_reporting."""
