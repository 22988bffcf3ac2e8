"""qengine_portfolio."""
