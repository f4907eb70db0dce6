"""The migrations, a module for each; `make migration` writes them."""
