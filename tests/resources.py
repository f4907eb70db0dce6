"""Resources with every type and modifier of a field, and a project that contains them."""

from pathlib import Path

import pytest
from postgresql import Empire
from support import MVC, Once, run

RESOURCES = [
    ("scaffold", "Author", "name:str:unique", "born:date?", "e-mail:str:index"),
    (
        *(
            "scaffold",
            "blog-posts",
            "title:str",
            "text:text",
            "rank:int:unique",
            "views:bigint:index",
        ),
        *("score:float:index", "price:decimal:index", "hidden:bool:index", "day:date:unique"),
        *("published_at:datetime:index", "token:uuid:unique", "extra:json"),
        *("author:references", "editor_of:json?"),
    ),
    (
        *(
            "scaffold",
            "Comment",
            "kind:str?:index=note",
            'body:text=it\'s "new"',
            "votes:int:index=-3",
        ),
        *("reads:bigint=0", "weight:float=1e16", "fee:decimal:index=0.1", "open:bool=true"),
        *("date:date:index=2026-01-31", "due_at:datetime=2026-01-31T12:00:00+02:00"),
        *("thread:uuid:index=12345678-1234-5678-1234-567812345678", 'tags:json=["a", {"b": 1e16}]'),
        *("options:json?={}", "labels:json=[]", "blog_post:references", "comment:references?"),
        *("author:references?:unique", "order:int?:index"),
    ),
    ("model", "person", "nick_name:str", "--plural", "people"),
    # Names that the generated modules use themselves.
    (
        "scaffold",
        "Location",
        "key:int",
        "session:str?:index",
        "cls:str?:index",
        "note:str=dt.Decimal UUID = Field(",
        "person:references",
        "text:text?",
        "literal:bool=true",
    ),
    # Names of the maximum length.
    (
        *("scaffold", "A" + "b" * 29, "--plural", "y" * 30),
        *(f"{'c' * 30}:text?", f"{'d' * 30}:decimal=-1"),
        *(f"{'e' * 15}:str:index", f"{'f' * 15}:int:unique", f"{'g' * 30}:str?={'x' * 40}"),
        *(f"{'h' * 30}:uuid=12345678-1234-5678-1234-567812345678", f"{'i' * 30}:json?=[1.5]"),
        f"{'j' * 30}:datetime?=2026-01-31T12:00:00.5Z",
    ),
]


@pytest.fixture(scope="session")
def grown(bare: Empire, once: Once) -> Empire:
    """A project with all the resources, whose files tests must not change."""

    def make(folder: Path) -> None:
        project = bare.clone(folder)
        for command in RESOURCES:
            run(MVC, "generate", *command, cwd=project.path)

    return Empire(once("grown", make) / bare.path.name, bare.answers)
