"""Views are the shapes of requests and responses."""
