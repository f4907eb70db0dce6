"""Makes ``python -m mvc`` the same as the command ``mvc``."""

from mvc.cli import main

if __name__ == "__main__":
    main()
