"""Chance in a run: one seeded generator per name, so that adding a component never disturbs another."""

from __future__ import annotations

import hashlib

import numpy as np

__all__ = ["Randomness"]


class Randomness:
    """Hands out ``numpy.random.Generator`` by name, each derived from the run's seed and that name alone."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._generators: dict[str, np.random.Generator] = {}

    def __call__(self, name: str) -> np.random.Generator:
        """The generator of that name: the same object, hence the same sequence, at every call."""
        generator = self._generators.get(name)
        if generator is None:
            # hash() differs between processes; sha256 does not.
            words = np.frombuffer(hashlib.sha256(name.encode()).digest(), dtype="<u4")
            sequence = np.random.SeedSequence([self.seed, *(int(word) for word in words)])
            generator = self._generators[name] = np.random.Generator(np.random.PCG64(sequence))
        return generator
