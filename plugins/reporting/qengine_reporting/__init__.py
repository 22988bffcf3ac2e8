"""qengine_reporting."""
