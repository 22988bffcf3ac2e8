"""qengine_strategy."""
