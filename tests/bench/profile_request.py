"""Profiles a request: ``python profile_request.py PATH MODULE:APPLICATION [--factory]``.

Prints JSON, in microseconds: the median duration of a request without the profiler, and the
own time of each function under it. There is no server, and so no parsing and no sockets.
"""

import asyncio
import cProfile
import json
import pstats
import re
import statistics
import sys
import time
from collections import Counter
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

REQUESTS, ROUNDS = 300, 20


async def receive() -> dict[str, object]:
    """Receive an empty body."""
    return {"type": "http.request", "body": b"", "more_body": False}


async def send(message: dict[str, Any]) -> None:
    """Accept an answer, which must be a 200."""
    assert message.get("status", 200) == 200, message


async def ask(application: Any, path: str) -> float:
    """Send many requests; return the microseconds of one."""
    start = time.perf_counter()
    for _ in range(REQUESTS):
        # The scope as uvicorn passes it; a new one each time, as applications can change it.
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "server": ("127.0.0.1", 8000),
            "client": ("127.0.0.1", 50000),
            "scheme": "http",
            "root_path": "",
            "headers": [(b"host", b"127.0.0.1:8000")],
            "state": {},
            "method": "GET",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
        }
        await application(scope, receive, send)
    return (time.perf_counter() - start) * 1e6 / REQUESTS


def place(file: str) -> str:
    """Return the path of code relative to where it is installed."""
    parts = Path(file).parts
    if "site-packages" in parts:
        return "/".join(parts[parts.index("site-packages") + 1 :])
    if "galactic_empire" in parts:
        return "/".join(parts[parts.index("galactic_empire") :])
    return "Python" if file == "~" else f"Python: {parts[-1]}"


async def main() -> None:
    """Measure, then profile."""
    path, name, *factory = sys.argv[1:]
    application = resolve_name(name)() if factory else resolve_name(name)
    await ask(application, path)
    taken = statistics.median([await ask(application, path) for _ in range(ROUNDS)])
    with cProfile.Profile() as profile:
        await ask(application, path)
    own: Counter[str] = Counter()
    for (file, _, name), (_, _, seconds, *_) in pstats.Stats(profile).stats.items():  # type: ignore[attr-defined]
        # Addresses differ in each process.
        known = re.sub(" at 0x[0-9a-f]+", "", name)
        own[f"{place(file)}: {known}"] += seconds * 1e6 / REQUESTS
    print(json.dumps({"taken": taken, "own": own}))


asyncio.run(main())
