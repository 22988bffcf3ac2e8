"""Hooks of qengine_broker_sim."""
