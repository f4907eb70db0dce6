"""Models hold the domain: what is true, and what may happen."""
