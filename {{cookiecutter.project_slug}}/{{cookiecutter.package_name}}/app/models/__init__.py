"""Models hold the domain: its data and its rules."""
