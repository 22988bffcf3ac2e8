"""qengine_feeds."""
