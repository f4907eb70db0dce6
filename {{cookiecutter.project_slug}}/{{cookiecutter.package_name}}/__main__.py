"""Makes ``python -m`` with the package's name the same as the installed command."""

from .cli import main

if __name__ == "__main__":
    main(prog_name="{{ cookiecutter.project_slug }}")
