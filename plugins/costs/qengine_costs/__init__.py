"""qengine_costs."""
