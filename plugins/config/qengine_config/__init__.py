"""qengine_config."""
