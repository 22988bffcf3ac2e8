"""Parity: the same bars and the same intents through QEngine's peers, fill for fill."""
