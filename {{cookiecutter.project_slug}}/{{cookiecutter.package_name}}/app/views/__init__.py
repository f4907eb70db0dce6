"""Views are the shapes of answers."""
