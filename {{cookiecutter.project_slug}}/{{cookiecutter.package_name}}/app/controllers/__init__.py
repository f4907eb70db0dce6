"""Controllers handle HTTP: they call a model and respond with a view."""
