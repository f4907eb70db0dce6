"""Types what pages of the documentation say, and compares what is printed.

A block of the language ``console`` is typed: what stands after ``$``, and after ``>`` for
further lines of it, is a command, and below it stands what it prints. There ``...`` stands
for anything, on a line of its own for any number of lines. A command fails only where the
next one is ``echo $?``. A block with a caption is a file, which is written where the reader
is; in the language ``diff`` it is edited, and ``@@`` stands between two places of it. All
other blocks are only read.

Something else may listen on port 8000 of this machine: where the ``MAKEFLAGS`` of a reader
are ``PORT=...``, which ``make run`` heeds, that port is typed. So is ``OTHER_PORT`` for 8001.
"""

import os
import re
import textwrap
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from itertools import zip_longest
from pathlib import Path
from typing import Any, NamedTuple

import pexpect

# What goes on until it is stopped; the reader goes on in another terminal.
STAYS = re.compile(r"(make|mvc) run\b|python3 -m http\.server\b")
# The prompt of the shell tells how the last command ended.
PROMPT = r"<<(\d+)>>"
QUESTION = r" \([^\n]*\): $"
SECONDS = 1800
HOST, PORT, OTHER_PORT = "127.0.0.1", "8000", "8001"
# On a dumb terminal nothing is drawn with escape codes.
TERMINAL = {"PS1": "<<$?>>", "PS2": "", "TERM": "dumb", "PAGER": "cat"}


class Block(NamedTuple):
    """A block of code on a page."""

    language: str
    caption: str
    content: str


class Step(NamedTuple):
    """A command, and what is shown below it."""

    command: str
    output: str


def blocks(page: Path) -> Iterator[Block]:
    """Find all blocks on a page, those within lists as well."""
    fence = (
        r"^(?P<margin> *)```(?:\{code-block\} )?(?P<language>\w+)\n"
        r"(?: *:caption: (?P<caption>[^\n]+)\n\n)?(?P<content>.*?)^(?P=margin)```$"
    )
    for found in re.finditer(fence, page.read_text("utf-8"), re.M | re.S):
        content = textwrap.dedent(found["content"])
        yield Block(found["language"], found["caption"] or "", content)


def steps(block: Block) -> list[Step]:
    """Tell the commands of a block from what they print."""
    parts = re.findall(r"^\$ (.*\n(?:> .*\n)*)((?:(?!\$ ).*\n)*)", block.content, re.M)
    return [Step(re.sub(r"^> ", "", command, flags=re.M), output) for command, output in parts]


def pattern(output: str) -> str:
    """Return a regular expression for what is shown as printed."""
    lines = [
        r"(?:[^\n]*\n)*?"
        if line.strip() == "..."
        else r"[^\n]*".join(map(re.escape, line.split("..."))) + "\n"
        for line in output.splitlines()
    ]
    return "".join(lines)


def typed_by_hand(page: Path) -> int:
    """Return how many lines of files a reader types, without empty ones."""
    files = [block for block in blocks(page) if block.caption]
    added = {True: r"^\+.*\S", False: r"^.*\S"}
    return sum(len(re.findall(added[it.language == "diff"], it.content, re.M)) for it in files)


def edited(text: str, diff: str) -> str:
    """Return a text as a diff changes it, all of whose places are found once."""
    for hunk in re.split(r"^@@\n", diff, flags=re.M):
        sides = {"-": "", "+": ""}
        for line in hunk.splitlines(keepends=True):
            # An empty line of context has no space before it.
            sign, content = (line[0], line[1:]) if line.strip() else (" ", line)
            for side in sign if sign != " " else "-+":
                sides[side] += content
        assert text.count(sides["-"]) == 1, f"not there, or more than once:\n{hunk}"
        text = text.replace(sides["-"], sides["+"])
    return text


class Terminal:
    """A shell in which a user types, and takes the default wherever a question comes."""

    def __init__(self, folder: Path, variables: Mapping[str, str]) -> None:
        """Open it in a folder, with these variables beside those of the tests."""
        self.shell: Any = pexpect.spawn(
            "bash",
            ["--norc", "--noprofile", "--noediting"],
            cwd=folder,
            env={**os.environ, **TERMINAL, **variables},
            encoding="utf-8",
            echo=False,
            timeout=SECONDS,
            dimensions=(50, 200),
        )
        self.shell.expect(PROMPT)

    @property
    def folder(self) -> Path:
        """Where the reader is."""
        return Path(f"/proc/{self.shell.pid}/cwd").resolve()

    def type(self, command: str) -> tuple[int, str]:
        """Type a command; return its exit code and what it printed."""
        self.shell.send(command)
        printed = ""
        while self.shell.expect([PROMPT, QUESTION]):
            printed += self.shell.before + self.shell.after + "\n"
            self.shell.sendline()
        code, printed = int(self.shell.match[1]), lines(printed + self.shell.before)
        return code, printed if printed.endswith("\n") or not printed else f"{printed}\n"

    def begin(self, command: str, output: str) -> None:
        """Type a command that stays, and wait until it has printed this."""
        self.shell.send(command)
        self.shell.expect(pattern(output).replace("\n", "\r?\n"))

    def end(self) -> None:
        """Interrupt what stays, and close it."""
        self.shell.sendintr()
        self.shell.expect(PROMPT)
        self.shell.close()


def lines(text: str) -> str:
    """Return what is to be seen of what was sent to a terminal."""
    return re.sub(r"[^\n]*\r(?!\n)| +$", "", text.replace("\r\n", "\n"), flags=re.M)


def follow(page: Path, folder: Path, **variables: str) -> int:
    """Do what a page says; return how many commands were typed."""
    terminal, typed = Terminal(folder, variables), 0
    port = variables.get("MAKEFLAGS", PORT).removeprefix("PORT=")
    other = variables.get("OTHER_PORT", OTHER_PORT)
    with ExitStack() as terminals:
        for block in blocks(page):
            if block.caption:
                file = terminal.folder / block.caption
                file.parent.mkdir(parents=True, exist_ok=True)
                content = block.content.replace(OTHER_PORT, other)
                # A patch is a diff as well, and a file of its own.
                if block.language == "diff" and file.exists():
                    content = edited(file.read_text("utf-8"), content)
                file.write_text(content, "utf-8")
            script = steps(block) if block.language == "console" else []
            typed += len(script)
            for (command, output), following in zip_longest(script, script[1:]):
                command = command.replace(OTHER_PORT, other)
                if STAYS.match(command):
                    terminal.begin(command, output)
                    terminals.callback(terminal.end)
                    terminal = Terminal(terminal.folder, variables)
                else:
                    code, printed = terminal.type(
                        command.replace(f"{HOST}:{PORT}", f"{HOST}:{port}")
                    )
                    told = code == 0 or (following and following.command == "echo $?\n")
                    right = re.fullmatch(pattern(output), printed)
                    assert told and right, f"{command}{printed}[{code}]"
        terminal.end()
    return typed
