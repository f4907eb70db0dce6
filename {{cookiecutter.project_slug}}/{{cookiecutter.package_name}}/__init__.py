"""FastAPI service in MVC layout, served by gunicorn with uvicorn workers."""
