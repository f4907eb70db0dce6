"""Creates, updates and grows FastAPI services in MVC layout."""
