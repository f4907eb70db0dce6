"""The container image: built from an unmodified Dockerfile, run as in a cluster."""

import json
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
from conftest import Bake
from postgresql import LOST, PostgreSQL
from support import (
    OK,
    QUESTIONS,
    ROOT,
    SECONDS,
    Project,
    Server,
    add_controller,
    commit,
    free_port,
    git,
    label,
    package_index,
    program,
    run,
    wait_until,
)

pytestmark = pytest.mark.slow

FLAGS = [key for key, default in QUESTIONS.items() if isinstance(default, bool)]
ANSWERS = [
    {"package_manager": manager, **dict.fromkeys(FLAGS, chosen)}
    for manager in QUESTIONS["package_manager"]
    for chosen in (True, False)
]
BASE = re.compile(r"^FROM ((\S+)@sha256:[0-9a-f]{64})", re.M)
NAME = "galactic-empire:0.1.0"
TEXT = 'An "empire", it\'s \\ $HOME 🚀'

# The first word shows that the request is in progress.
SLOW = """
from asyncio import sleep
from collections.abc import AsyncIterator

from fastapi import APIRouter
from fastapi.responses import StreamingResponse

router = APIRouter(prefix="/slow")


async def words() -> AsyncIterator[str]:
    yield "begun"
    await sleep(3)
    yield "ended"


@router.get("")
async def index() -> StreamingResponse:
    return StreamingResponse(words())
"""

MIGRATION = '''
"""Create ships."""

from alembic import op

revision = "ships"
down_revision = None


def upgrade():
    op.execute("CREATE TABLE ships (id INTEGER)")


def downgrade():
    op.execute("DROP TABLE ships")
'''

# podman's defaults require things that some virtual machines lack: control groups of a
# single version, and permission to raise limits.
CONTAINERS = """
[containers]
netns = "host"
cgroups = "disabled"
default_ulimits = ["nofile=4096:4096", "nproc=4096:4096"]
[engine]
runtime = "crun"
[engine.runtimes]
crun = ["{folder}/bin/crun"]
"""
CRUN = """
exec unshare --mount --propagation private sh -c '
    if [ -d /sys/fs/cgroup/unified ]; then umount /sys/fs/cgroup/unified; fi
    exec {crun} "$@"' crun "$@"
"""


@dataclass(frozen=True)
class Engine:
    """Builds and runs images in its own store, on stubs of the base images."""

    folder: Path

    def run(self, *command: str | Path, cwd: Path = ROOT, **variables: str) -> str:
        """Run a command with this store and without the user's settings."""
        files = {
            "CONTAINERS_STORAGE_CONF": f"{self.folder}/storage.conf",
            "CONTAINERS_CONF": f"{self.folder}/containers.conf",
        }
        return run(*command, cwd=cwd, **files, **variables).strip()

    def build(self, project: Project) -> str:
        """Build the image of a project with buildah; return the output."""
        bases = BASE.findall((project.path / "Dockerfile").read_text("utf-8"))
        contexts = [f"--build-context={pin}=container-image://{name}" for pin, name in bases]
        path = f"{self.folder}/bin{os.pathsep}{os.environ['PATH']}"
        script = (sys.executable, "scripts/image.py", "--isolation=chroot", "--pull-never")
        return self.run(*script, *contexts, cwd=project.path, PATH=path)

    def inspect(self, image: str = NAME) -> Any:
        """Return the metadata of an image, by default of the one built last."""
        return json.loads(self.run("podman", "image", "inspect", image))[0]

    @contextmanager
    def files(self, image: str) -> Iterator[Path]:
        """Mount the file system of an image."""
        yield Path(self.run("podman", "image", "mount", image))
        self.run("podman", "image", "unmount", image)

    def execute(self, *words: str, **variables: str) -> str:
        """Run an image as a cluster does: read-only and without privileges.

        The words are options of ``podman run``, the image, and arguments of the image.
        """
        locked = ("--read-only", "--tmpfs=/tmp", "--cap-drop=all")
        alone = ("--security-opt=no-new-privileges", "--pull=never", "--network=host")
        given = [f"--env={name}={value}" for name, value in variables.items()]
        return self.run("podman", "run", *locked, *alone, *given, *words)

    def start(self, image: str, port: int, **variables: str) -> "Container":
        """Start a container that serves on localhost."""
        binding = ("serve", "--bind", f"127.0.0.1:{port}")
        name = self.execute("--detach", image, *binding, **variables)
        return Container(self, name.splitlines()[-1])


@dataclass(frozen=True)
class Container:
    """A running or stopped container."""

    engine: Engine
    name: str

    def state(self, field: str) -> str:
        """Return a field of its state, such as ``Pid`` or ``ExitCode``."""
        return self.engine.run("podman", "inspect", f"--format={{{{.State.{field}}}}}", self.name)

    def stop(self) -> int:
        """Send it the stop signal of its image; return the exit code."""
        self.engine.run("podman", "stop", "--time=60", self.name)
        return int(self.state("ExitCode"))


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory, bake: Bake) -> Iterator[Engine]:
    """Prepare a store with stubs of the base images."""
    for name in ("buildah", "podman", "crun", "mmdebstrap"):
        if not shutil.which(name):
            pytest.skip(f"needs {name}")
    if os.geteuid():
        pytest.skip("needs root, to build images")
    folder = tmp_path_factory.mktemp("engine")
    store = f'driver = "overlay"\ngraphroot = "{folder}/store"\nrunroot = "{folder}/run"'
    (folder / "storage.conf").write_text(f"[storage]\n{store}\n")
    (folder / "containers.conf").write_text(CONTAINERS.format(folder=folder))
    program(folder / "bin", "crun", CRUN.format(crun=shutil.which("crun")))
    for other in ("docker", "podman"):
        program(folder / "bin", other, "exit 1")
    engine = Engine(folder)
    names = [name for _, name in BASE.findall((bake().path / "Dockerfile").read_text("utf-8"))]
    engine.run("bash", ROOT / "tests/base_images.sh", *names, package_index())
    yield engine
    engine.run("podman", "rm", "--all", "--force")
    engine.run("buildah", "rm", "--all")
    engine.run("buildah", "rmi", "--all", "--force")


@pytest.fixture(scope="module")
def built(
    engine: Engine,
    bake: Bake,
    managers: dict[str, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[..., tuple[Project, str]]:
    """Create a project with a slow route, and build its image, once for each set of answers."""
    known: dict[str, tuple[Project, str]] = {}

    def built(**answers: Any) -> tuple[Project, str]:
        if label(answers) not in known:
            baked = bake(**answers, project_description=TEXT)
            project = Project(tmp_path_factory.mktemp("built") / baked.path.name, baked.answers)
            shutil.copytree(baked.path, project.path)
            add_controller(project.package, "slow", SLOW)
            if project.answers["database"]:
                versions = project.package / "migrations/versions"
                (versions / "ships.py").write_text(MIGRATION, "utf-8")
            project.make("lock", **managers)
            engine.build(project)
            known[label(answers)] = project, engine.inspect()["Id"]
        return known[label(answers)]

    return built


@pytest.mark.parametrize("answers", ANSWERS, ids=label)
def test_container_serves_as_in_a_cluster(
    engine: Engine,
    built: Callable[..., tuple[Project, str]],
    executed: Callable[..., None],
    postgresql: PostgreSQL,
    answers: dict[str, Any],
) -> None:
    _, image = built(**answers)
    executed(answers, "image")
    server = Server(free_port())
    name = f"image_{answers['package_manager']}"
    variables = {"FASTAPI_DATABASE_URL": postgresql.add(name)} if answers["database"] else {}
    if variables:
        done = engine.execute("--rm", image, "db", "upgrade", **variables)
        assert done.endswith("Applied ships Create ships.")
    container = engine.start(image, server.port, **variables)
    wait_until(server.answers)

    assert server.get("/api/ready") == OK
    proc = Path("/proc", container.state("Pid"))
    status = dict(re.findall(r"^(\w+):\t(.*)$", (proc / "status").read_text(), re.M))
    assert status["NSpid"].split()[-1] == "1"
    assert status["Uid"].split() == status["Gid"].split() == ["65532"] * 4
    assert int(status["CapEff"], 16) == int(status["CapBnd"], 16) == 0
    assert status["NoNewPrivs"] == "1"
    assert re.search(r"^\S+ / \S+ ro,", (proc / "mounts").read_text(), re.M)

    with (
        closing(HTTPConnection("127.0.0.1", server.port, timeout=SECONDS)) as connection,
        ThreadPoolExecutor() as pool,
    ):
        connection.request("GET", "/api/slow")
        response = connection.getresponse()
        assert response.read(5) == b"begun"
        code = pool.submit(container.stop)
        assert response.read() == b"ended"
        assert code.result() == 0


def test_container_without_a_database_is_not_ready(
    engine: Engine, built: Callable[..., tuple[Project, str]]
) -> None:
    _, image = built(**ANSWERS[0])
    server = Server(free_port())
    container = engine.start(image, server.port)
    wait_until(server.answers)

    assert server.get("/api/ready") == LOST
    assert container.stop() == 0


@pytest.mark.parametrize("answers", ANSWERS, ids=label)
def test_image_contains_no_program_but_python(
    engine: Engine, built: Callable[..., tuple[Project, str]], answers: dict[str, Any]
) -> None:
    _, image = built(**answers)

    with engine.files(image) as root:
        files = [path for path in root.rglob("*") if path.is_file() and not path.is_symlink()]
        programs = {
            path.name
            for path in files
            if path.stat().st_mode & 0o111 and ".so" not in path.name
            if path.read_bytes()[:4] == b"\x7fELF"
        }

    assert programs == {"python3.13"}


@pytest.mark.parametrize("manager", QUESTIONS["package_manager"])
def test_source_edit_builds_only_the_last_layer(
    engine: Engine, built: Callable[..., tuple[Project, str]], manager: str
) -> None:
    project, image = built(package_manager=manager, **dict.fromkeys(FLAGS, False))
    before = engine.inspect(image)["RootFS"]["Layers"]
    with (project.package / "app/router.py").open("a") as router:
        router.write("\n# Changed.\n")

    printed = engine.build(project)

    assert re.search(r"RUN (poetry export|uv sync) .*\n--> Using cache", printed)
    after = engine.inspect()["RootFS"]["Layers"]
    assert after[:-1] == before[:-1]
    assert after[-1] != before[-1]


def test_labels_match_the_manifest(
    engine: Engine, built: Callable[..., tuple[Project, str]]
) -> None:
    project, _ = built(**ANSWERS[0])
    git("init", "--quiet", cwd=project.path)
    commit(project.path, "Begin")

    engine.build(project)

    prefix = "org.opencontainers.image."
    labels = engine.inspect()["Labels"].items()
    assert {key.removeprefix(prefix): text for key, text in labels if key.startswith(prefix)} == {
        "title": "galactic-empire",
        "description": TEXT,
        "version": "0.1.0",
        "licenses": "MIT",
        "source": "https://example.com/galactic-empire",
        "revision": git("rev-parse", "HEAD", cwd=project.path),
    }
