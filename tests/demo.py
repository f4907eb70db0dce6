"""What the first command of the README does: from nothing to an answering service."""

import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

from support import MVC, free_port


def main() -> None:
    """Create a project with the command, install it, serve it, ask it."""
    folder = Path(tempfile.mkdtemp(prefix="mvc-demo-")) / "galactic-empire"
    show(f"mvc new {folder}")
    subprocess.run([MVC, "new", folder, "--no-input"], check=True)
    address = f"127.0.0.1:{free_port()}"
    show(f"cd {folder}")
    show(f"galactic-empire serve --bind {address}")
    server = subprocess.Popen(
        [".venv/bin/galactic-empire", "serve", "--bind", address],
        cwd=folder,
        stderr=subprocess.DEVNULL,
    )
    try:
        url = f"http://{address}/api/ready"
        show(f"curl {url}")
        print(answer(url, server))
        print(f"The project stays in {folder}; `rm -r {folder.parent}` removes it.")
    finally:
        server.terminate()
        server.wait()


def show(command: str) -> None:
    """Print a command as if somebody had typed it."""
    print(f"$ {command}", flush=True)


def answer(url: str, server: subprocess.Popen[bytes]) -> str:
    """Return the body of the first answer, or end with the server."""
    while server.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=5) as response:
                return str(response.read().decode())
        except urllib.error.URLError:
            time.sleep(0.1)
    sys.exit("The service did not start.")


if __name__ == "__main__":
    main()
