"""The first command of the README: from nothing to a running service."""

import subprocess
import tempfile
from pathlib import Path

from support import MVC, Service, free_port, wait_until


def main() -> None:
    """Create and install a project, serve it, and send it a request."""
    folder = Path(tempfile.mkdtemp(prefix="mvc-demo-")) / "galactic-empire"
    show(f"mvc new {folder} --no-input")
    subprocess.run([MVC, "new", folder, "--no-input"], check=True)
    port = free_port()
    show(f"cd {folder}")
    show(f".venv/bin/galactic-empire serve --bind 127.0.0.1:{port}")
    command = [".venv/bin/galactic-empire", "serve", "--bind", f"127.0.0.1:{port}"]
    quiet = {"FASTAPI_GUNICORN_LOG_LEVEL": "warning"}
    service = Service(command, port, quiet, cwd=folder)
    try:
        wait_until(service.answers)
        show(f"curl http://127.0.0.1:{port}/api/ready")
        print(service.get("/api/ready")[1])
    finally:
        service.kill()
    print(f"The project stays in {folder}; `rm -r {folder.parent}` removes it.")


def show(command: str) -> None:
    """Print a command as if a user had typed it."""
    print(f"$ {command}", flush=True)


if __name__ == "__main__":
    main()
