"""Parses the names and endpoints of this generator."""

import builtins
import re
from collections.abc import Callable, Set
from dataclasses import dataclass, replace
from keyword import iskeyword
from typing import Any

from jinja2 import Environment
from jinja2.ext import Extension

METHODS = ("get", "post", "put", "patch", "delete", "head", "options")
# The functions of a collection and of one item in it, as Rails names them; for any other
# method, the function has the name of the method.
COLLECTION = {"get": "index", "post": "create"}
ITEM = {"get": "show", "put": "update", "patch": "update", "delete": "delete"}
# Starlette's convertors, each before those that match all it matches: the type of the
# parameter, and a sample for an f-string in the tests. No other route matches a sample, as
# names in a path have no hyphen, and only `path` matches two slashes. No sample is longer
# than the shortest parameter with its convertor.
CONVERTORS = {
    "int": ("int", "1"),
    "float": ("float", "1.5"),
    "uuid": ("UUID", "{UUID}"),
    "str": ("str", "a-b"),
    "path": ("str", "/b-c"),
}
# Names that the generated code already uses, or that the project's linter rejects.
TAKEN_BY_FUNCTIONS = {"router", "l"}
TAKEN_BY_PARAMETERS = {"l", "timeout"}
# With names of these lengths no generated line has more than 88 characters.
LONGEST_NAME = 30
LONGEST_FUNCTION = 33
LONGEST_PATH = 60


class Filters(Extension):
    """Makes the functions of this module filters of the templates."""

    def __init__(self, environment: Environment) -> None:
        """Add them to ``environment``."""
        super().__init__(environment)
        for function in (snake, camel, endpoints, refusal):
            environment.filters[function.__name__] = function


@dataclass(frozen=True)
class Endpoint:
    """One route, and the name of its function."""

    text: str
    method: str
    segments: tuple[str, ...]
    function: str

    @property
    def path(self) -> str:
        """The path as FastAPI expects it."""
        return "".join(f"/{segment}" for segment in self.segments)

    @property
    def parameters(self) -> list[str]:
        """The names of the parameters in the path."""
        return [name for name, _ in map(_parameter, filter(_varies, self.segments))]

    @property
    def convertors(self) -> list[str]:
        """The convertor of each parameter."""
        return [convertor for _, convertor in map(_parameter, filter(_varies, self.segments))]

    @property
    def signature(self) -> list[str]:
        """The parameters of the function with their types."""
        types = (CONVERTORS[convertor][0] for convertor in self.convertors)
        return [": ".join(pair) for pair in zip(self.parameters, types, strict=True)]

    @property
    def url(self) -> str:
        """An expression for a URL that this endpoint matches, from the controller's ``URL``."""
        samples = iter(CONVERTORS[convertor][1] for convertor in self.convertors)
        path = "".join(f"/{next(samples) if _varies(s) else s}" for s in self.segments)
        return f'f"{{URL}}{path}"' if path else "URL"


def snake(name: str) -> str:
    """Turn ``StockMarket``, ``stock-market``, ``StockMarketController`` into ``stock_market``."""
    return _snake(name).removesuffix("_controller")


def camel(name: str) -> str:
    """Turn ``stock_market`` into ``StockMarket``."""
    return "".join(part.capitalize() for part in name.split("_"))


def endpoints(texts: list[str] | str) -> list[Endpoint]:
    """Parse endpoints, and sort them so that no route hides another.

    Functions that would have the same name get their parameters as a suffix, then their
    methods: ``order``, ``order_by_number_get``, ``order_by_number_put``. One that would hide a
    builtin from the rest of the module, as in ``list[str]``, ends with an underscore.
    """
    found = [_endpoint(text) for text in _words(texts)]
    found = _told_apart(found, lambda one: "".join(f"_by_{name}" for name in one.parameters))
    found = _told_apart(found, lambda one: f"_{one.method}")
    hiding = set(dir(builtins))
    found = [
        replace(one, function=f"{one.function}_") if one.function in hiding else one
        for one in found
    ]
    return sorted(found, key=_rank)


def refusal(variables: dict[str, Any]) -> str:
    """Return why there can be no such controller, or an empty string."""
    try:
        _check_name(variables["name"], variables["__name"], LONGEST_NAME)
        for text in _words(variables["endpoints"]):
            _check_endpoint(_endpoint(text))
        shapes: set[tuple[str, ...]] = set()
        functions: dict[str, str] = {}
        for one in endpoints(variables["endpoints"]):
            if (shape := _shape(one)) in shapes:
                raise ValueError(f"The endpoint `{one.text}` exists twice.")
            _check_name(one.text, one.function, LONGEST_FUNCTION, TAKEN_BY_FUNCTIONS)
            if other := functions.get(one.function):
                both = f"`{other}` and `{one.text}` would both be the function `{one.function}`"
                raise ValueError(f"{both}. Choose another path for one of them.")
            shapes.add(shape)
            functions[one.function] = one.text
    except ValueError as error:
        return str(error)
    return ""


def _words(texts: list[str] | str) -> list[str]:
    """Return the endpoints as a list; plain cookiecutter passes them as one string."""
    return texts.split() if isinstance(texts, str) else texts


def _endpoint(text: str) -> Endpoint:
    path, colon, method = text.rpartition(":")
    if not colon or "}" in method:  # The colon of a parameter, or none.
        path, method = text, "get"
    method, parts = method.lower(), [] if path == "/" else path.split("/")
    segments = tuple(part if _varies(part) else _snake(part) for part in parts)
    names = "_".join(segment for segment in segments if not _varies(segment))
    actions = ITEM if segments else COLLECTION
    return Endpoint(text, method, segments, names or actions.get(method, method))


def _snake(name: str) -> str:
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name)
    return re.sub("[- ]+", "_", words).lower()


def _varies(segment: str) -> bool:
    return segment.startswith("{")


def _parameter(segment: str) -> tuple[str, str]:
    """Return name and convertor of a parameter such as ``{item_id:int}``."""
    name, colon, convertor = segment[1:-1].partition(":")
    return name, convertor if colon else "str"


def _told_apart(found: list[Endpoint], suffix: Callable[[Endpoint], str]) -> list[Endpoint]:
    """Append the suffix to functions with the same name, unless it is the same for all."""
    suffixes: dict[str, set[str]] = {}
    for one in found:
        suffixes.setdefault(one.function, set()).add(suffix(one))
    return [
        replace(one, function=one.function + suffix(one))
        if len(suffixes[one.function]) > 1
        else one
        for one in found
    ]


def _shape(endpoint: Endpoint) -> tuple[str, ...]:
    """Return a key that is equal for endpoints that match the same requests."""
    parts = (f"{{{_parameter(s)[1]}}}" if _varies(s) else s for s in endpoint.segments)
    return (endpoint.method, *parts)


def _rank(endpoint: Endpoint) -> list[int]:
    """Rank names before parameters, and parameters by how specific their convertors are."""
    order = list(CONVERTORS)
    return [
        1 + order.index(_parameter(segment)[1]) if _varies(segment) else 0
        for segment in endpoint.segments
    ]


def _check_word(text: str, word: str) -> None:
    if not re.fullmatch(r"[a-z][a-z0-9_]*", word):
        raise ValueError(
            f"`{text}` must begin with a letter and contain only a to z, 0 to 9, - and _."
        )


def _check_name(text: str, name: str, longest: int, taken: Set[str] = frozenset()) -> None:
    _check_word(text, name)
    if iskeyword(name) or name in taken:
        raise ValueError(f"`{text}` has a name that cannot be used: `{name}`.")
    if len(name) > longest:
        raise ValueError(f"`{text}` has a name of more than {longest} characters: `{name}`.")


def _check_endpoint(endpoint: Endpoint) -> None:
    text, segments = endpoint.text, endpoint.segments
    if endpoint.method not in METHODS:
        raise ValueError(f"`{text}` has an unknown method. Choose from: {', '.join(METHODS)}.")
    for segment in segments:
        if _varies(segment):
            _check_parameter(text, segment)
        else:
            _check_word(text, segment)
    if len(set(endpoint.parameters)) < len(endpoint.parameters):
        raise ValueError(f"`{text}` has two parameters with the same name.")
    if any(segment.endswith(":path}") for segment in segments[:-1]):
        raise ValueError(
            f"`{text}` must end with its `path` parameter, which matches all the rest."
        )
    if len(endpoint.path) > LONGEST_PATH:
        raise ValueError(f"`{text}` is longer than {LONGEST_PATH} characters.")


def _check_parameter(text: str, segment: str) -> None:
    if not segment.endswith("}"):
        raise ValueError(f"`{text}` has a parameter that is not closed.")
    name, convertor = _parameter(segment)
    if convertor not in CONVERTORS:
        known = ", ".join(CONVERTORS)
        raise ValueError(f"`{text}` has an unknown convertor. Choose from: {known}.")
    _check_name(text, name, LONGEST_FUNCTION, TAKEN_BY_PARAMETERS)
