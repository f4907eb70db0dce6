"""Views are the shapes of requests and answers."""
