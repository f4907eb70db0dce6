"""Destroy exactly undoes generate, and each is done entirely or not at all."""

import re
import shutil
import signal
from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest
from conftest import Bake, Mvc
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from mvc.errors import MvcError
from mvc.generating import apply, catalog
from mvc.generating.render import render
from mvc.state import State
from support import KINDS, copied, disturbing_itself, folders, tree

pytestmark = pytest.mark.slow

WORDS = st.from_regex(r"[A-Za-z][A-Za-z0-9-]{0,9}", fullmatch=True)
NAMES = WORDS.filter(lambda word: "controller" not in word.lower())
CONVERTORS = st.sampled_from(["", ":int", ":float", ":uuid", ":str", ":path"])
METHODS = st.sampled_from(["", ":get", ":post", ":put", ":patch", ":delete", ":head", ":OPTIONS"])
ENDPOINTS = st.sampled_from(["/", "/:post", "{p}", "{p}:put", "{p:int}:delete"]) | st.builds(
    lambda number, word, parameters, method: f"e{number}-{word}{parameters}{method}",
    st.integers(0, 3),
    WORDS,
    st.lists(CONVERTORS, max_size=2).map(
        lambda found: "".join(f"/{{p{at}{convertor}}}" for at, convertor in enumerate(found))
    ),
    METHODS,
)
TYPES = st.sampled_from(["str", "text", "int", "decimal?", "bool=true", "datetime?", "json"])
FIELDS = st.lists(
    st.tuples(WORDS, TYPES), min_size=1, max_size=3, unique_by=lambda field: field[0].lower()
).map(lambda fields: [f"f-{word}:{kind}" for word, kind in fields])
COMMANDS = st.one_of(
    st.tuples(st.sampled_from(["model", "scaffold"]), WORDS.map(lambda word: f"r-{word}x"), FIELDS),
    st.tuples(
        st.just("controller"),
        NAMES.map(lambda name: f"c-{name}"),
        st.lists(ENDPOINTS, max_size=4, unique_by=lambda text: text.split("-")[0]),
    ),
    st.tuples(st.sampled_from(["script", "generator"]), NAMES.map(lambda name: f"s{name}")),
)
# A project whose owner has reformatted its router.
ROUTERS: dict[str, Callable[[str], str]] = {
    "as it is": lambda text: text,
    "on Windows": lambda text: text.replace("\n", "\r\n"),
    "in one import": lambda text: text.replace(
        "from .controllers.health import router as health_router",
        "from .controllers import (\n    health as h,  # first\n)",
    ).replace("health_router", "h.router, tags=['v1']"),
    "by a variable": lambda text: re.sub(
        r"def add_routes.+?\n    \"\"\".+?\"\"\"\n",
        "def build():\n    app = FastAPI()\n    # all\n",
        text,
        flags=re.S,
    ),
}


def key(words: tuple[str, ...]) -> tuple[str, str]:
    """Return a key that is equal for commands that would write the same files."""
    kind = {"scaffold": "model"}.get(words[0], words[0])
    return kind, words[1].replace("-", "").lower()


@pytest.fixture(scope="module")
def place(bake: Bake, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copied(bake(), tmp_path_factory.mktemp("identity")).path


@pytest.mark.parametrize("layout", ROUTERS)
@given(commands=st.lists(COMMANDS, min_size=1, max_size=3), data=st.data())
@settings(
    max_examples=12,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # Shrinking would take minutes.
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_generate_then_destroy_is_the_identity(
    place: Path, layout: str, commands: list[tuple[str, ...]], data: st.DataObject
) -> None:
    unique = {key(words): words for words in commands}
    # Drawn before anything is written, because drawing can end an example.
    order = data.draw(st.permutations([*unique]))
    router = place / "galactic_empire/app/router.py"
    original = router.read_bytes()
    router.write_bytes(ROUTERS[layout](original.decode()).encode())
    before = tree(place), folders(place)
    found = catalog.discover(place)
    answers = State.read(place).answers

    def carry_out(step: Callable[..., None], words: tuple[str, ...]) -> None:
        one = found[words[0]]
        values = dict(zip(one.arguments, words[1:], strict=False))
        rendering = render(one, place, answers, values)
        step(place, rendering, pretend=False, force=False)

    try:
        for words in [*unique.values()]:
            try:
                carry_out(apply.generate, words)
            except MvcError as error:
                assert re.search(
                    "must end with its `path` parameter|of more than 33|longer than 60"
                    "|two fields named|single - or _",
                    str(error),
                )
                unique.pop(key(words))
                continue
            generated = tree(place)
            carry_out(apply.generate, words)
            assert tree(place) == generated
        # A migration can be destroyed only after those that follow it.
        migrated = [each for each in unique if each[0] == "model"]
        for each in order:
            if each in unique:
                words = unique[migrated.pop()] if each[0] == "model" else unique[each]
                carry_out(apply.destroy, words)
        assert (tree(place), folders(place)) == before
    finally:
        router.write_bytes(original)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL, 0])
@pytest.mark.parametrize("verb", ["generate", "destroy"])
def test_interrupted_command_is_done_entirely_or_not_at_all(
    mvc: Mvc, service: Path, tmp_path: Path, verb: str, number: int
) -> None:
    # It writes all that the other generators write.
    words = ("scaffold", "Ship", "name:str")
    without = tree(service), folders(service)
    mvc("generate", *words)
    within = tree(service), folders(service)
    ended = within if verb == "generate" else without
    for at in count(1):
        mvc("destroy" if verb == "generate" else "generate", *words)

        disturbing = disturbing_itself(tmp_path, at, KINDS, str(service), number)
        done = mvc(verb, *words, **disturbing)

        drafts = list(service.glob(".mvc-*"))
        assert not drafts or number != signal.SIGINT
        for draft in drafts:
            shutil.rmtree(draft)
        if number == signal.SIGKILL:
            # Every file is either old or new; repeating the command completes it.
            for path, content in tree(service).items():
                assert content in (without[0].get(path), within[0].get(path))
            mvc(verb, *words)
            assert (tree(service), folders(service)) == ended
        assert (tree(service), folders(service)) in (without, within)
        if not done.returncode:
            assert at > 5
            break
        assert done.returncode == {signal.SIGINT: 130, signal.SIGKILL: -9, 0: 1}[number]
        if number == 0:
            assert (
                done.stderr
                == f"Error: No space left on device: `{service}`. Nothing was changed.\n"
            )
