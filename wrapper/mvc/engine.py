"""The only module that knows cookiecutter and cruft.

Their exceptions leave it as :class:`~mvc.errors.MvcError`.
"""

import copy
import logging
import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path, PurePath
from typing import Any

from cookiecutter.config import BUILTIN_ABBREVIATIONS
from cookiecutter.exceptions import FailedHookException, UndefinedVariableInTemplate
from cookiecutter.find import find_template
from cookiecutter.generate import apply_overwrites_to_context, generate_files
from cookiecutter.hooks import run_script_with_context
from cookiecutter.prompt import (
    read_user_choice,
    read_user_variable,
    read_user_yes_no,
    render_variable,
)
from cookiecutter.utils import create_env_with_context
from jinja2.exceptions import TemplateNotFound, UndefinedError

from mvc import git
from mvc.errors import MvcError
from mvc.state import Answers

# Hooks report their refusals themselves; cookiecutter would log a traceback as well.
logging.getLogger("cookiecutter").addHandler(logging.NullHandler())


def expand(template: str) -> str:
    """Turn ``gh:``, ``gl:`` and ``bb:`` into URLs; leave everything else alone."""
    # A slow import: it loads the code for downloads, which nothing else here needs.
    from cookiecutter.repository import expand_abbreviations

    url: str = expand_abbreviations(template, BUILTIN_ABBREVIATIONS)
    return url


def convert(value: Any, question: Any) -> Any:
    """Return ``value`` as cookiecutter converts it if the default is ``question``.

    Raises:
        ValueError: when it is not one of the choices.
    """
    context = {"answer": copy.copy(question)}
    apply_overwrites_to_context(context, {"answer": value})
    answer = context["answer"]
    return answer[0] if isinstance(answer, list) else answer


def renderer(variables: Mapping[str, Any]) -> Callable[[Any, Answers], Any]:
    """Return a function that renders a string, list or dictionary with a context.

    ``variables`` name the Jinja extensions to load. Both this function and the returned one
    raise an MvcError if that fails.
    """
    with _translated():
        environment = create_env_with_context({"cookiecutter": dict(variables)})

    def render(raw: Any, context: Answers) -> Any:
        with _translated():
            return render_variable(environment, raw, context)

    return render


def prompt(key: str, default: Any, prompts: Answers, place: str) -> Any:
    """Prompt the user; ``place`` is a prefix such as ``[2/18]``, in Rich markup."""
    if isinstance(default, list):
        return read_user_choice(key, default, prompts, place)
    ask = read_user_yes_no if isinstance(default, bool) else read_user_variable
    return ask(key, default, prompts, place)


def refusal(hook: str, answers: Answers) -> str:
    """Return why a template's hook refuses ``answers``, or an empty string."""
    with tempfile.TemporaryDirectory(prefix="mvc-") as folder:
        script = Path(folder, "pre_gen_project.py")
        script.write_text(hook, "utf-8")
        try:
            with _rendering(Path(folder)):
                run_script_with_context(script, folder, {"cookiecutter": answers})
        except MvcError as error:
            return str(error)
    return ""


def create(template: Path, commit: str, answers: Answers, folder: Path) -> Path:
    """Create the project in ``folder``, state file included; return its path.

    Its content depends only on ``answers`` and the template: the user's cookiecutter
    configuration is not read.

    Raises:
        MvcError: when the template is broken, or with the message of a hook that refused.
    """
    import cruft
    from cruft.exceptions import InvalidCookiecutterRepository
    from git import GitError

    # Cruft checks out HEAD before any other commit.
    git.git(f"--git-dir={template}", "update-ref", "--no-deref", "HEAD", commit)
    with _rendering(template.parent):
        options = {"output_dir": folder, "default_config": True, "extra_context": answers}
        try:
            return Path(cruft.create(str(template), **options))
        except (InvalidCookiecutterRepository, GitError) as error:
            # The clone exists: the fault is in the folder, or in a program that git runs there.
            fault = f"Cannot check out the template in `{template.parent.parent}`"
            advice = "If there is no space left, set `TMPDIR`."
            complaint = str(error).partition("stderr: '")[2].removesuffix("'")
            raise MvcError(f"{fault}: {git.reason(complaint)}. {advice}") from error


def use_extensions(generator: Path) -> None:
    """Make the Jinja extensions in a generator's folder importable until the command ends."""
    # Imports must not write bytecode into the folder.
    sys.dont_write_bytecode = True
    sys.path.append(str(generator))


def generate(generator: Path, context: Answers, folder: Path) -> Path:
    """Render a generator into ``folder``; return the folder with the rendered files.

    Raises:
        MvcError: when it is broken or would write elsewhere, or with the message of a hook
            that refused.
    """
    with _rendering(folder):
        _refuse_escapes(generator, {"cookiecutter": context})
        return Path(generate_files(generator, {"cookiecutter": context}, folder / "files"))


def _refuse_escapes(generator: Path, context: Answers) -> None:
    """Make sure that no rendered file name points outside the folder."""
    environment = create_env_with_context(context)
    top = find_template(generator, environment)
    # Cookiecutter renders the names relative to the top folder, and joins the results.
    for name in (PurePath(top.name), *(path.relative_to(top) for path in sorted(top.rglob("*")))):
        with suppress(UndefinedError):  # Cookiecutter does not render what it only copies.
            rendered = PurePath(environment.from_string(name.as_posix()).render(**context))
            if rendered.anchor or ".." in rendered.parts:
                raise MvcError(f"`{rendered}` points outside the project.")


@contextmanager
def _rendering(folder: Path) -> Iterator[None]:
    """Use ``folder`` for the rendered hooks that cookiecutter leaves behind."""
    usual, tempfile.tempdir = tempfile.tempdir, str(folder)
    try:
        with _translated(folder), _hooks_heard():
            yield
    finally:
        tempfile.tempdir = usual


@contextmanager
def _hooks_heard() -> Iterator[None]:
    """Capture what hooks, which are separate processes, print to standard error.

    If one fails, its output becomes the error message; of a traceback only the last line.
    """
    usual = os.dup(2)
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as words:
        os.dup2(words.fileno(), 2)
        try:
            yield
        except FailedHookException as error:
            words.seek(0)
            lines = [line.strip() for line in words.read().split("\n") if line.strip()]
            if any(line.startswith("Traceback ") for line in lines):
                lines = lines[-1:]
            cause = getattr(error.__cause__, "strerror", "it printed nothing")
            silent = f"A hook of the template failed: {cause}."
            raise MvcError(" ".join(lines) or silent) from error
        finally:
            os.dup2(usual, 2)
            os.close(usual)


@contextmanager
def _translated(folder: Path | None = None) -> Iterator[None]:
    """Turn exceptions of cookiecutter and cruft into an MvcError.

    ``folder`` is temporary, so the message does not show paths in it.
    """
    try:
        yield
    except MvcError:
        raise
    except TemplateNotFound as error:  # It is also an OSError.
        raise MvcError(f"The template is broken: `{error.name}` is missing.") from error
    except OSError as error:
        # Cookiecutter raises its own OSError, without a reason, from that of the system.
        cause = error.__cause__ if isinstance(error.__cause__, OSError) else error
        place = f": `{Path(cause.filename).name}`" if cause.filename else ""
        raise MvcError(f"{cause.strerror or cause}{place}.") from error
    except UndefinedVariableInTemplate as error:
        # The exception's own text contains all answers.
        raise MvcError(f"The template is broken: {error.message}: {error.error}") from error
    except Exception as error:  # Expressions in a template can raise anything.
        reason = re.sub(rf"{re.escape(str(folder))}[^\s'!]*", "it", str(error))
        raise MvcError(f"The template is broken: {' '.join(reason.split())}") from error
