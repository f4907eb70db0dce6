"""What is true of {{ cookiecutter.__module }}."""

NAME = "{{ cookiecutter.__module }}"
