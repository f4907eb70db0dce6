"""Render charts of projects with Helm 3 and Helm 4, for several test modules."""

import base64
import json
import os
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema_rs import Validator, validator_for
from support import ROOT, Baked

ENGINES = ("helm3", "helm4")
# The maximum length of a Helm release name.
LONGEST = 53
# Characters with a meaning in YAML, Go templates, or a shell.
HOSTILE = (
    """"It's" 100 % %(x)s # a: b, {c: [d]} | > & * ! ? - {{ .Values }} \\n $HOME ` é 🚀 你好"""
)


MONITORING = {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}
TERM = {"topologyKey": "kubernetes.io/hostname", "labelSelector": MONITORING}
REQUIREMENT = {"key": "disk", "operator": "In", "values": ["ssd"]}
# Everything that is empty by default.
EVERYTHING: dict[str, Any] = {
    "image": {"tag": "1.0", "digest": f"sha256:{'0' * 64}", "pullPolicy": "Always"},
    "imagePullSecrets": [{"name": "registry"}],
    "existingSecret": "empire-secrets",
    "service": {"type": "NodePort", "nodePort": 30080, "annotations": {"a.example/b": "1"}},
    "ingress": {
        "className": "public",
        "annotations": {"a.example/b": HOSTILE},
        "hosts": ["empire.example", "*.empire.example"],
        "path": "/empire",
        "tls": [{"secretName": "certificate", "hosts": ["empire.example"]}],
    },
    "httpRoute": {
        "annotations": {"a.example/b": "true"},
        "parentRefs": [{"name": "gateway", "namespace": "gateways", "sectionName": "https"}],
        "hostnames": ["empire.example"],
        "path": "/empire",
    },
    "networkPolicy": {
        "from": [
            {"namespaceSelector": MONITORING},
            {"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}},
        ]
    },
    "metrics": {
        "networkPolicy": {"from": [{"namespaceSelector": MONITORING}]},
        "podMonitor": {"labels": {"release": "1"}, "interval": "1m"},
        "prometheusRule": {"labels": {"release": "null"}},
        "dashboard": {
            "labels": {"folder": "true"},
            "annotations": {"grafana_folder": HOSTILE},
        },
    },
    "database": {
        "operator": {
            "namespace": "operators",
            "parameters": {"work_mem": "8MB"},
            "storage": {"className": "fast"},
            "backup": {"snapshotClassName": "fast"},
            "recoverFrom": "snapshot-1",
            "priorityClassName": "high",
            "nodeSelector": {"disk": "ssd"},
            "tolerations": [{"key": "dark", "operator": "Exists"}],
        }
    },
    "serviceAccount": {"name": "trooper", "annotations": {"a.example/role": "arn:x:1"}},
    "podAnnotations": {"a.example/scrape": "true"},
    "podLabels": {"team": "empire"},
    "priorityClassName": "high",
    "nodeSelector": {"kubernetes.io/arch": "amd64"},
    "tolerations": [{"key": "dark", "operator": "Exists", "effect": "NoSchedule"}],
    "affinity": {
        "nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": {
                "nodeSelectorTerms": [{"matchExpressions": [REQUIREMENT]}]
            }
        },
        "podAntiAffinity": {
            "preferredDuringSchedulingIgnoredDuringExecution": [
                {"weight": 1, "podAffinityTerm": TERM}
            ]
        },
    },
}
# The other values that a switch requires.
NEEDS: dict[str, Any] = {
    "httpRoute": {"parentRefs": [{"name": "gateway"}]},
    "metrics": {"enabled": True, "podMonitor": {"enabled": True}},
}
MODES: dict[str, dict[str, Any]] = {
    "operator": {
        "redis": {
            "operator": {
                "namespace": "operators",
                "existingSecret": "of-redis",
                "storage": {"className": "fast"},
                "podSecurityContext": {"runAsUser": None, "runAsGroup": None, "fsGroup": None},
                "priorityClassName": "high",
                "nodeSelector": {"disk": "ssd"},
                "tolerations": [{"key": "dark", "operator": "Exists"}],
            }
        },
    },
    "external": {"redis": {"mode": "external", "external": {"host": "r.example", "port": 6380}}},
    "sentinels": {
        "redis": {
            "mode": "external",
            "external": {"sentinels": ["a:26379", "b:26379"], "sentinelMaster": "empire"},
        }
    },
    "none": {"redis": {"mode": "none"}},
}
DATABASES: dict[str, dict[str, Any]] = {
    "single server": {"database": {"operator": {"instances": 1}}},
    "external database": {
        "database": {"mode": "external", "external": {"existingSecret": "of-database"}}
    },
    "no database": {"database": {"mode": "none"}},
}

Resource = dict[str, Any]
Place = tuple[str | int, ...]


def helm_path(engine: str) -> Path:
    """Return the path of Helm; skip the test where it is not installed."""
    path = ROOT / ".tools/bin" / engine
    if not path.exists():
        pytest.skip(f"needs {engine}: bash tests/npm.sh")
    return path


@cache
def helm(engine: str, *words: str | Path, values: str) -> "subprocess.CompletedProcess[str]":
    """Run Helm, or return the cached result for the same words and values."""
    return subprocess.run(
        [helm_path(engine), *words, "--namespace", "empire", "--values", "-"],
        input=values,
        capture_output=True,
        text=True,
        encoding="utf-8",
        # Stay away from the developer's cluster.
        env={**os.environ, "KUBECONFIG": os.devnull},
    )


@dataclass(frozen=True)
class Chart:
    """The chart of a project, and its rendering by Helm."""

    project: Baked

    @property
    def path(self) -> Path:
        return self.project.path / "charts" / self.project.path.name

    @cached_property
    def values(self) -> dict[str, Any]:
        values: dict[str, Any] = yaml.safe_load((self.path / "values.yaml").read_text("utf-8"))
        return values

    @cached_property
    def schema(self) -> dict[str, Any]:
        text = (self.path / "values.schema.json").read_text("utf-8")
        schema: dict[str, Any] = json.loads(text)
        return schema

    def helm(
        self, engine: str, *words: str | Path, values: Any = None
    ) -> "subprocess.CompletedProcess[str]":
        """Run Helm with ``values`` that override those of the chart."""
        return helm(engine, *words, values=json.dumps(values or {}, ensure_ascii=False))

    def template(
        self, engine: str, values: Any = None, release: str = "prod"
    ) -> "subprocess.CompletedProcess[str]":
        return self.helm(engine, "template", release, self.path, values=values)

    def render(
        self, values: Any = None, release: str = "prod", engine: str = "helm4"
    ) -> list[Resource]:
        """Return the rendered resources; rendering must succeed."""
        done = self.template(engine, values, release)
        assert done.returncode == 0, done.stderr
        return [resource for resource in yaml.safe_load_all(done.stdout) if resource]

    def environment(self, values: Any = None) -> dict[str, str]:
        """Return the environment of the container, from a ConfigMap and a Secret."""
        resources = self.render(values)
        encoded = find(resources, "Secret")[0]["data"] if find(resources, "Secret") else {}
        secrets = {name: base64.b64decode(text).decode() for name, text in encoded.items()}
        return {**find(resources, "ConfigMap")[0]["data"], **secrets}

    def cases(self) -> dict[str, Any]:
        """Return values that turn every switch on and off, separately and all together."""
        switches = [place for place, value in leaves(self.values) if isinstance(value, bool)]
        everything = intersection(EVERYTHING, self.values)
        flips = {
            f"{'.'.join(place)} {not on}".lower(): merged(
                {place[0]: NEEDS.get(place[0], {})}, nested(place, not on)
            )
            for place in switches
            for on in [at(self.values, place)]
        }
        return {
            "default": {},
            **flips,
            "all on": merged(everything, *(nested(place, True) for place in switches)),
            "all off": merged(everything, *(nested(place, False) for place in switches)),
            **(MODES if "redis" in self.values else {}),
            **(DATABASES if "database" in self.values else {}),
        }


def leaves(values: Any, place: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield the place and the value of each leaf; an empty mapping is a leaf too."""
    for key, value in values.items():
        if isinstance(value, dict) and value:
            yield from leaves(value, (*place, key))
        else:
            yield (*place, key), value


def at(values: Any, place: Place) -> Any:
    for key in place:
        values = values[key]
    return values


def nested(place: Place, value: Any) -> Any:
    """Return nested mappings that contain only ``value``, at ``place``."""
    for key in reversed(place):
        value = {key: value}
    return value


def merged(*many: Any) -> dict[str, Any]:
    """Merge mappings as Helm does; later ones win."""
    result: dict[str, Any] = {}
    for one in many:
        for key, value in one.items():
            both = isinstance(value, dict) and isinstance(result.get(key), dict)
            result[key] = merged(result[key], value) if both else value
    return result


def contents(value: Any) -> Iterator[Any]:
    """Yield a value and all values nested in it."""
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    yield value
    for part in parts:
        yield from contents(part)


def intersection(values: dict[str, Any], known: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if key in known}


def find(resources: list[Resource], kind: str, component: str = "") -> list[Resource]:
    """Return the resources of a kind, or those of a component among them."""
    return [
        resource
        for resource in resources
        if resource["kind"] == kind
        and component in ("", resource["metadata"]["labels"]["app.kubernetes.io/component"])
    ]


def policy(resources: list[Resource], component: str) -> dict[str, Any]:
    """Return the NetworkPolicy of a component's pods."""
    [found] = find(resources, "NetworkPolicy", component)
    spec: dict[str, Any] = found["spec"]
    return spec


def pod(resources: list[Resource], kind: str = "Deployment") -> dict[str, Any]:
    """Return the template of the pods of the service, or of the migration, a Job."""
    [owner] = find(resources, kind)
    template: dict[str, Any] = owner["spec"]["template"]
    return template


def container(resources: list[Resource], kind: str = "Deployment") -> dict[str, Any]:
    [one] = pod(resources, kind)["spec"]["containers"]
    result: dict[str, Any] = one
    return result


def matches(selector: dict[str, str], labels: dict[str, str]) -> bool:
    return selector.items() <= labels.items()


def strict(schema: Any) -> Any:
    """Return a schema that rejects fields which the API server would silently drop."""
    if isinstance(schema, list):
        return [strict(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {"additionalProperties": False} if isinstance(schema.get("properties"), dict) else {}
    return {**closed, **{key: strict(part) for key, part in schema.items()}}


def validator(resource: str) -> Validator:
    """Return the strict schema of a custom resource, such as `podmonitor.v1`."""
    text = (ROOT / f"tests/data/{resource}.schema.json").read_text("utf-8")
    return validator_for(strict(json.loads(text)))


engines = pytest.mark.parametrize("engine", ENGINES)


@pytest.fixture(scope="session")
def charts(bake: Callable[..., Baked]) -> Callable[..., Chart]:
    """Return the chart of a project with these answers."""
    return lambda **answers: Chart(bake(**answers))


@pytest.fixture(scope="session")
def chart(charts: Callable[..., Chart]) -> Chart:
    return charts()
