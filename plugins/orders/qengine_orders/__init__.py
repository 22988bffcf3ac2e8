"""qengine_orders."""
