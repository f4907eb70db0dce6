"""The migrations, one module each; `make migration` writes them."""
