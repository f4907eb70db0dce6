"""Measures the command and the service; prints each as a ratio to something plain.

Runs are interleaved and their medians compared, so that a slow moment of the machine
does not fall on one side alone.
"""

import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from support import MVC, ROOT, Service, environment, free_port, run, wait_until

BIN = Path(sys.executable).parent
FOUR_LINES = """
from fastapi import FastAPI
app = FastAPI()
@app.get("/api/ready")
async def ready(): return {"status": "ok"}
"""


def main() -> None:
    """Print one line for each budget: what was measured, against what, and the limit."""
    with tempfile.TemporaryDirectory(prefix="mvc-bench-") as name:
        folder = Path(name)
        print(f"{'what':38} {'measured':>12} {'plain':>12} {'ratio':>6}  budget")
        start_up(folder)
        creation(folder)
        updating(folder)
        generating(folder)
        requests(folder)


def start_up(folder: Path) -> None:
    """How long the command takes to show its help."""
    ours, plain = interleaved(
        21,
        lambda: seconds(MVC, "--help", cwd=folder),
        lambda: seconds(sys.executable, "-c", "import typer", cwd=folder),
    )
    report("mvc --help / import typer", ours, plain, "s", "at most 2.6")


def creation(folder: Path) -> None:
    """How long the command takes to create a project, next to plain cruft."""

    def aside(*command: str | Path) -> float:
        with tempfile.TemporaryDirectory(dir=folder) as empty:
            return seconds(*command, cwd=Path(empty))

    new = (MVC, "new", "galactic-empire", "-n", "-I", "--no-git", "--template", ROOT)
    ours, plain = interleaved(
        11,
        lambda: aside(*new),
        lambda: aside(BIN / "cruft", "create", ROOT, "--no-input"),
    )
    report("mvc new -n -I --no-git / cruft create", ours, plain, "s", "at most 1.2")


def updating(folder: Path) -> None:
    """How long the command takes to add a feature, next to plain cruft."""
    project = folder / "update/galactic-empire"
    project.parent.mkdir()
    run(MVC, "new", project, "-n", "-I", "-R", "--template", ROOT, cwd=folder)

    def renewed(*command: str | Path) -> float:
        taken = seconds(*command, cwd=project)
        run("git", "reset", "--quiet", "--hard", cwd=project)
        run("git", "clean", "--quiet", "-fd", cwd=project)
        return taken

    answer = '{"redis": true}'
    ours, plain = interleaved(
        11,
        lambda: renewed(MVC, "update", "-n", "-I", "--redis"),
        lambda: renewed(BIN / "cruft", "update", "-y", "--variables-to-update", answer),
    )
    report("mvc update --redis / cruft update", ours, plain, "s", "at most 1.5")


def generating(folder: Path) -> None:
    """How long the command takes to generate a controller, next to plain cookiecutter."""
    project = folder / "generate/galactic-empire"
    project.parent.mkdir()
    run(MVC, "new", project, "-n", "-I", "--template", ROOT, cwd=folder)
    endpoints = ("ticker", "buy:post", "sell:delete")
    words = ("controller", "stock_market", *endpoints)

    def ours() -> float:
        taken = seconds(MVC, "generate", *words, cwd=project)
        run(MVC, "destroy", *words, cwd=project)
        return taken

    def plain() -> float:
        generator = ROOT / "wrapper/mvc/generators/controller"
        with tempfile.TemporaryDirectory(dir=folder) as empty:
            given = f"endpoints={' '.join(endpoints)}"
            command = (BIN / "cookiecutter", generator, "--no-input", given)
            return seconds(*command, cwd=Path(empty))

    report("mvc generate / cookiecutter", *interleaved(11, ours, plain), "s", "at most 1.5")


def requests(folder: Path) -> None:
    """How many requests a second the service answers, next to a four-line application."""
    if not shutil.which("wrk"):
        print("requests/s of /api/ready: not measured, needs wrk")
        return
    run(BIN / "cookiecutter", ROOT, "--no-input", "-o", folder, cwd=folder)
    python = environment(folder / "venv", folder / "galactic-empire")
    (folder / "four.py").write_text(FOUR_LINES)
    port = free_port()
    options = ["--workers", "2", "--worker-class", "uvicorn_worker.UvicornWorker"]
    quiet = ["--no-control-socket", "--log-level", "warning", "--bind", f"127.0.0.1:{port}"]
    command: list[str | Path] = [python, "-m", "gunicorn", "four:app", *options, *quiet]
    bare = Service(command, port, {}, cwd=folder)
    service = Service.of(
        python, "galactic_empire", "--workers", "2", FASTAPI_GUNICORN_LOG_LEVEL="warning"
    )
    try:
        wait_until(lambda: service.answers("/api/ready") and bare.answers("/api/ready"))
        ours, plain = interleaved(7, lambda: rate(service), lambda: rate(bare))
    finally:
        service.kill()
        bare.kill()
    report("/api/ready / four-line application", ours, plain, "req/s", "at least 0.9")


def interleaved(
    times: int, one: Callable[[], float], other: Callable[[], float]
) -> tuple[float, float]:
    """Return the medians of two measurements that take turns; the first pair warms up."""
    pairs = [(one(), other()) for _ in range(times + 1)][1:]
    first, second = zip(*pairs, strict=True)
    return statistics.median(first), statistics.median(second)


def seconds(*command: str | Path, cwd: Path) -> float:
    """Return how long a command takes."""
    start = time.perf_counter()
    run(*command, cwd=cwd)
    return time.perf_counter() - start


def rate(service: Service) -> float:
    """Return the requests a second that 32 keep-alive connections get answered."""
    url = f"http://127.0.0.1:{service.port}/api/ready"
    output = subprocess.run(
        ["wrk", "--threads=1", "--connections=32", "--duration=3s", url],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert "Non-2xx" not in output, output
    found = re.search(r"Requests/sec: +([\d.]+)", output)
    assert found, output
    return float(found[1])


def report(name: str, ours: float, plain: float, unit: str, budget: str) -> None:
    """Print a line of the table."""
    digits = 3 if unit == "s" else 0
    measured, against = (f"{value:.{digits}f} {unit}" for value in (ours, plain))
    print(f"{name:38} {measured:>12} {against:>12} {ours / plain:6.2f}  {budget}", flush=True)


if __name__ == "__main__":
    main()
