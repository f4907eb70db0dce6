"""Creates FastAPI services in MVC layout."""
