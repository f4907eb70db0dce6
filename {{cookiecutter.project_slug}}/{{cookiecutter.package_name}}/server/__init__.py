"""The server: gunicorn and its uvicorn workers; the application imports none of it."""
