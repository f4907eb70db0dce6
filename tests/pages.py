"""Runs the commands on pages of the documentation, and compares their output.

In a ``console`` block, a line after ``$``, continued after ``>``, is a command that is typed;
the lines below it are its expected output. There ``...`` matches anything, and on a line of
its own any number of lines. A command can fail only if the next one is ``echo $?``. A block
with a caption is a file, written relative to the current folder; in the language ``diff`` it
is an edit of that file, with ``@@`` between hunks. All other blocks are ignored.

As port 8000 of this machine can be in use, a reader whose ``MAKEFLAGS`` are ``PORT=...``,
which ``make run`` respects, types that port instead. ``OTHER_PORT`` likewise replaces 8001.
"""

import os
import re
import shutil
import textwrap
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from itertools import zip_longest
from pathlib import Path
from typing import Any, NamedTuple

import pexpect
import pytest

# Commands that run until they are stopped; the reader continues in another terminal.
SERVERS = re.compile(r"(make|mvc) run\b|python3 -m http\.server\b")
# The prompt of the shell contains the exit code of the last command.
PROMPT = r"<<(\d+)>>"
QUESTION = r" \([^\n]*\): $"
SECONDS = 1800
HOST, PORT, OTHER_PORT = "127.0.0.1", "8000", "8001"
# A dumb terminal receives no escape codes.
TERMINAL = {"PS1": "<<$?>>", "PS2": "", "TERM": "dumb", "PAGER": "cat"}


class Block(NamedTuple):
    """A block of code on a page."""

    language: str
    caption: str
    content: str


class Step(NamedTuple):
    """A command, and its expected output."""

    command: str
    output: str


def blocks(page: Path) -> Iterator[Block]:
    """Find all blocks on a page, including those within lists."""
    fence = (
        r"^(?P<margin> *)```(?:\{code-block\} )?(?P<language>\w+)\n"
        r"(?: *:caption: (?P<caption>[^\n]+)\n\n)?(?P<content>.*?)^(?P=margin)```$"
    )
    for found in re.finditer(fence, page.read_text("utf-8"), re.M | re.S):
        content = textwrap.dedent(found["content"])
        yield Block(found["language"], found["caption"] or "", content)


def steps(block: Block) -> list[Step]:
    """Split a block into commands and their output."""
    parts = re.findall(r"^\$ (.*\n(?:> .*\n)*)((?:(?!\$ ).*\n)*)", block.content, re.M)
    return [Step(re.sub(r"^> ", "", command, flags=re.M), output) for command, output in parts]


def pattern(output: str) -> str:
    """Return a regular expression that matches the documented output."""
    lines = [
        r"(?:[^\n]*\n)*?"
        if line.strip() == "..."
        else r"[^\n]*".join(map(re.escape, line.split("..."))) + "\n"
        for line in output.splitlines()
    ]
    return "".join(lines)


def typed_by_hand(page: Path) -> int:
    """Return how many nonempty lines of files a reader types."""
    files = [block for block in blocks(page) if block.caption]
    added = {True: r"^\+.*\S", False: r"^.*\S"}
    return sum(len(re.findall(added[it.language == "diff"], it.content, re.M)) for it in files)


def edited(text: str, diff: str) -> str:
    """Apply a diff to a text; the context of each hunk must occur exactly once."""
    for hunk in re.split(r"^@@\n", diff, flags=re.M):
        sides = {"-": "", "+": ""}
        for line in hunk.splitlines(keepends=True):
            # An empty line of context has no space before it.
            sign, content = (line[0], line[1:]) if line.strip() else (" ", line)
            for side in sign if sign != " " else "-+":
                sides[side] += content
        assert text.count(sides["-"]) == 1, f"does not occur exactly once:\n{hunk}"
        text = text.replace(sides["-"], sides["+"])
    return text


class Terminal:
    """A shell in which a user types commands, and accepts the default of every question."""

    def __init__(self, folder: Path, variables: Mapping[str, str]) -> None:
        """Open it in a folder, with ``variables`` added to those of the tests."""
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
        """The current folder of the reader."""
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
        """Type a command that keeps running, and wait for this output."""
        self.shell.send(command)
        self.shell.expect(pattern(output).replace("\n", "\r?\n"))

    def end(self) -> None:
        """Interrupt the running command, and close the terminal."""
        self.shell.sendintr()
        self.shell.expect(PROMPT)
        self.shell.close()


def lines(text: str) -> str:
    """Return the visible part of terminal output."""
    return re.sub(r"[^\n]*\r(?!\n)| +$", "", text.replace("\r\n", "\n"), flags=re.M)


def follow(page: Path, folder: Path, **variables: str) -> int:
    """Follow a page; return how many commands were typed."""
    if "$ curl " in page.read_text("utf-8") and not shutil.which("curl"):
        pytest.skip("needs curl")
    terminal, typed = Terminal(folder, variables), 0
    port = variables.get("MAKEFLAGS", PORT).removeprefix("PORT=")
    other = variables.get("OTHER_PORT", OTHER_PORT)
    with ExitStack() as terminals:
        for block in blocks(page):
            if block.caption:
                file = terminal.folder / block.caption
                file.parent.mkdir(parents=True, exist_ok=True)
                content = block.content.replace(OTHER_PORT, other)
                # A diff of a file that does not exist is a new patch file.
                if block.language == "diff" and file.exists():
                    content = edited(file.read_text("utf-8"), content)
                file.write_text(content, "utf-8")
            script = steps(block) if block.language == "console" else []
            typed += len(script)
            for (command, output), following in zip_longest(script, script[1:]):
                command = command.replace(OTHER_PORT, other)
                if SERVERS.match(command):
                    terminal.begin(command, output)
                    terminals.callback(terminal.end)
                    terminal = Terminal(terminal.folder, variables)
                else:
                    code, printed = terminal.type(
                        command.replace(f"{HOST}:{PORT}", f"{HOST}:{port}")
                    )
                    expected = code == 0 or (following and following.command == "echo $?\n")
                    matches = re.fullmatch(pattern(output), printed)
                    assert expected and matches, f"{command}{printed}[{code}]"
        terminal.end()
    return typed
