"""Workloads that say how fast the engine is, and check that it did the work."""
