"""Instructions that the kernel's loop takes, counted and held to a stored budget: ``python -m benchmarks guard``."""
