"""The names derived from the name of a model."""

import builtins
import re
from dataclasses import dataclass
from keyword import iskeyword

from mvc.errors import MvcError

LONGEST = 30
# What the generated modules import or define.
TAKEN_BY_CLASSES = {
    *("Annotated", "Any", "AsyncSession", "Base", "Callable", "Database", "Decimal", "IfMatch"),
    *("Key", "Mapped", "Page", "Query", "Request", "Response", "Self", "Sequence"),
    # Linters reject them, as they look like digits.
    *("I", "O"),
}
TAKEN_BY_VARIABLES = {
    *("body", "check_etag", "create", "delete", "error_responses", "etag", "if_match", "index"),
    *("key", "location", "query", "request", "response", "router", "rows", "session", "show"),
    *("update", "l", *dir(builtins)),
}
# Modules and paths that the project already has.
TAKEN_MODELS = {"base", "health"}
TAKEN_TABLES = {
    *("database", "error", "fields", "health", "live", "ready"),
    *("redis", "resource", "serve"),
    # Those of Alembic, and of the project's migrations.
    *("alembic_applied", "alembic_version"),
}
# Prefixes that the databases reserve.
TAKEN_PREFIXES = ("pg_", "sqlite_")
# Words that the general rules would get wrong.
ADDING_ES = ("alias", "atlas", "bias", "canvas", "chaos", "gas", "iris", "lens")
ADDING_S = (
    *("avalanche", "axe", "cache", "calorie", "cookie", "die", "headache", "lie", "movie"),
    *("niche", "pie", "selfie", "tie", "zombie"),
)
PLURALS = {
    **{word: word for word in ("news", "series", "species")},
    **{f"{word}is": f"{word}es" for word in ("analys", "cris", "diagnos", "hypothes", "thes")},
    **{word: f"{word}es" for word in ADDING_ES},
    **{word: f"{word}s" for word in ADDING_S},
    "quiz": "quizzes",
}
SINGULARS = {plural: word for word, plural in PLURALS.items()}


@dataclass(frozen=True)
class Names:
    """The names of one model, such as `Article`, `article`, `articles`."""

    model: str
    module: str
    table: str

    @property
    def variable(self) -> str:
        """The variable for one row; with an underscore if it would hide another name."""
        return f"{self.module}_" if self.module in TAKEN_BY_VARIABLES else self.module


def names_of(name: str, plural: str) -> Names:
    """Return the names; ``name`` can be a singular or, without ``plural``, a plural.

    Raises:
        MvcError: when a model cannot have these names.
    """
    module = snake(name)
    check_word(name, module)
    if not plural:
        first, last = _split(module)
        module = first + singular_of(last)
        check_word(name, module)
    table = snake(plural) or pluralized(module)
    check_word(plural or name, table)
    names = Names(model_of(module), module, table)
    if table in TAKEN_TABLES or table.startswith(TAKEN_PREFIXES):
        raise MvcError(f"`{table}` cannot be the name of a table: it is already in use.")
    if module in TAKEN_MODELS or names.model in TAKEN_BY_CLASSES or iskeyword(names.model):
        raise MvcError(f"`{name}` cannot be the name of a model: the project already uses it.")
    return names


def model_of(module: str) -> str:
    """Turn ``blog_post`` into ``BlogPost``."""
    return "".join(part.capitalize() for part in module.split("_"))


def snake(name: str) -> str:
    """Turn ``BlogPost``, ``blog-post`` and ``blog post`` into ``blog_post``."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name)
    return re.sub("[- ]+", "_", words).lower()


def check_word(text: str, word: str) -> None:
    """Make sure that a word can be a name in Python and SQL.

    Raises:
        MvcError: naming ``text``, from which it was made.
    """
    if not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", word):
        rule = "must begin with a letter and contain only a to z, 0 to 9 and single - or _"
        raise MvcError(f"`{text}` {rule}.")
    if iskeyword(word):
        raise MvcError(f"`{text}` has a name that Python reserves: `{word}`.")
    if len(word) > LONGEST:
        raise MvcError(f"`{text}` has a name of more than {LONGEST} characters: `{word}`.")


def pluralized(name: str) -> str:
    """Return the name with the last word in the plural."""
    first, last = _split(name)
    if last in PLURALS:
        return first + PLURALS[last]
    if re.search(r"[^aeiou]y$", last):
        return f"{first}{last[:-1]}ies"
    if last.endswith("is") and len(last) > 3:
        return f"{first}{last[:-2]}es"
    return f"{first}{last}es" if re.search(r"(s|x|z|ch|sh)$", last) else f"{first}{last}s"


def singular_of(word: str) -> str:
    """Return the singular of a plural, or the word itself."""
    if word in PLURALS or word in SINGULARS:
        return SINGULARS.get(word, word)
    if word.endswith("ies") and len(word) > 4:
        return f"{word[:-3]}y"
    if re.search(r"(ss|x|ch|sh|[^aeo]us)es$", word):
        return word[:-2]
    return word[:-1] if re.search(r"[^siu]s$", word) and len(word) > 2 else word


def _split(name: str) -> tuple[str, str]:
    first, underscore, last = name.rpartition("_")
    return first + underscore, last
