"""One script a peer, run inside the peer's environment; ``task`` and ``rules`` are what they share."""
