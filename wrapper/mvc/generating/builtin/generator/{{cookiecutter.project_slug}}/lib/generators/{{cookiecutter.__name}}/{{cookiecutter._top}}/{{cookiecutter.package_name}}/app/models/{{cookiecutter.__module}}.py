"""The model `{{ cookiecutter.__module }}`."""

NAME = "{{ cookiecutter.__module }}"
