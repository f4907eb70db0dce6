"""The application: controllers, models and views, and what they share."""
