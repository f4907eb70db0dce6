"""Controllers speak HTTP: they ask a model and answer with a view."""
