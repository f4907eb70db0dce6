"""The chart, rendered with Helm 3 and Helm 4: its resources, and the values it refuses."""

import base64
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest
import yaml
from charts import (
    ENGINES,
    EVERYTHING,
    HOSTILE,
    LONGEST,
    MODES,
    Chart,
    Place,
    Resource,
    at,
    container,
    contents,
    engines,
    find,
    helm_path,
    leaves,
    matches,
    merged,
    nested,
    pod,
    policy,
    validator,
)
from jsonschema_rs import Validator, validator_for
from mvc import routes
from stress import outage
from support import ROOT, Project, covering, label, representatives, run, uv

pytestmark = pytest.mark.slow

BIN = Path(sys.executable).parent
KUBERNETES = ("1.32", "1.33", "1.34", "1.35", "1.36", "1.37")
CHECKOV = "checkov==3.3.30"
# Custom resources, which are not in the schemas of Kubernetes.
EXTENSIONS = {
    *("Cluster", "HTTPRoute", "PodMonitor", "PrometheusRule"),
    *("RedisReplication", "ScheduledBackup"),
}
FEATURES = covering(2, [each for each in representatives("charts/.*") if each["helm"]])
features = pytest.mark.parametrize("answers", FEATURES, ids=label)


@pytest.fixture(scope="module")
def rendered(charts: Callable[..., Chart]) -> list[Resource]:
    """Return the distinct resources of all cases."""
    unique = {
        json.dumps(resource): resource
        for answers in FEATURES
        for case in charts(**answers).cases().values()
        for resource in charts(**answers).render(case)
    }
    return list(unique.values())


@engines
@features
def test_helm_lint_finds_nothing(
    charts: Callable[..., Chart], answers: dict[str, Any], engine: str
) -> None:
    chart = charts(**answers)

    for name, values in chart.cases().items():
        done = chart.helm(engine, "lint", chart.path, "--strict", values=values)
        assert done.returncode == 0, f"{name}: {done.stdout}{done.stderr}"


def test_both_engines_render_the_same(charts: Callable[..., Chart]) -> None:
    for answers in FEATURES:
        chart = charts(**answers)
        for name, values in chart.cases().items():
            assert chart.render(values, engine="helm3") == chart.render(values), name


@pytest.mark.parametrize("version", KUBERNETES)
def test_resources_match_the_schemas_of_kubernetes(
    rendered: list[Resource], tmp_path: Path, version: str
) -> None:
    known = [resource for resource in rendered if resource["kind"] not in EXTENSIONS]
    (tmp_path / "all.yaml").write_text(yaml.safe_dump_all(known))

    run(
        *(BIN / "kubernetes-validate", "--strict", "--kubernetes-version", version),
        "all.yaml",
        cwd=tmp_path,
    )

    assert {resource["apiVersion"] for resource in known} == {
        "apps/v1",
        "autoscaling/v2",
        "batch/v1",
        "networking.k8s.io/v1",
        "policy/v1",
        "v1",
    }


def test_replication_matches_the_schema_of_the_operator(rendered: list[Resource]) -> None:
    schema = validator("redisreplication.v1beta2")
    replications = find(rendered, "RedisReplication")

    assert len(replications) > 2
    for replication in replications:
        assert not [*schema.iter_errors(replication)]
        spec = replication["spec"]
        sentinel = spec["sentinel"]
        assert (spec["clusterSize"], sentinel["size"]) == (3, 3)


def test_route_leads_to_the_service(chart: Chart) -> None:
    resources = chart.render(chart.cases()["all on"])
    [route] = find(resources, "HTTPRoute")
    [service] = find(resources, "Service")

    assert route["apiVersion"] == "gateway.networking.k8s.io/v1"
    assert route["spec"] == {
        "parentRefs": EVERYTHING["httpRoute"]["parentRefs"],
        "hostnames": ["empire.example"],
        "rules": [
            {
                "matches": [{"path": {"type": "PathPrefix", "value": "/empire"}}],
                "backendRefs": [{"name": service["metadata"]["name"], "port": 80}],
            }
        ],
    }


def test_ingress_leads_to_the_service(chart: Chart) -> None:
    resources = chart.render(chart.cases()["all on"])
    [ingress] = find(resources, "Ingress")
    [service] = find(resources, "Service")

    backend = {"service": {"name": service["metadata"]["name"], "port": {"name": "http"}}}
    path = {"path": "/empire", "pathType": "Prefix", "backend": backend}
    assert ingress["spec"] == {
        "ingressClassName": "public",
        "rules": [
            {"host": host, "http": {"paths": [path]}} for host in EVERYTHING["ingress"]["hosts"]
        ],
        "tls": EVERYTHING["ingress"]["tls"],
    }
    [bare] = find(chart.render({"ingress": {"enabled": True}}), "Ingress")
    assert bare["spec"].keys() == {"rules"}
    assert [rule.keys() for rule in bare["spec"]["rules"]] == [{"http"}]


def test_policies_of_checkov_find_nothing(rendered: list[Resource], tmp_path: Path) -> None:
    for number, resource in enumerate(rendered):
        (tmp_path / f"{number}.yaml").write_text(yaml.safe_dump(resource))
    checked = uv(
        *("tool", "run", "--quiet", "--python", sys.executable, "--from", CHECKOV, "checkov"),
        *("--skip-download", "--framework", "kubernetes", "--output", "json", "--quiet"),
        *("--soft-fail", "--directory", tmp_path),
        cwd=tmp_path,
    )
    results = json.loads(checked)

    assert results["summary"]["passed"] > 500
    assert not [
        (check["check_id"], check["check_name"], check["resource"])
        for check in results["results"]["failed_checks"]
    ]


def test_deployment_leaves_replicas_to_the_autoscaler(chart: Chart) -> None:
    values = {"replicaCount": 1000000, "database": {"mode": "none"}}

    [scaled] = find(chart.render(values), "Deployment")
    off = chart.render({**values, "autoscaling": {"enabled": False}})
    [fixed] = find(off, "Deployment")

    assert "replicas" not in scaled["spec"]
    assert fixed["spec"]["replicas"] == 1000000
    assert not find(off, "HorizontalPodAutoscaler")


@pytest.mark.parametrize("replicas", [1, 2])
@pytest.mark.parametrize("scaled", [True, False])
def test_pods_are_evicted_one_at_a_time(chart: Chart, scaled: bool, replicas: int) -> None:
    scaling = {"enabled": scaled, "minReplicas": replicas}
    values = {"autoscaling": scaling, "replicaCount": replicas, "redis": {"mode": "none"}}

    [budget] = find(chart.render(values), "PodDisruptionBudget")

    assert budget["spec"]["maxUnavailable"] == 1
    assert budget["spec"]["unhealthyPodEvictionPolicy"] == "AlwaysAllow"


@engines
@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        (
            {"autoscaling": {"minReplicas": 11}},
            "autoscaling.minReplicas must not be greater than autoscaling.maxReplicas.",
        ),
        ({"resources": None}, "autoscaling needs resources.requests.cpu"),
        ({"resources": {"requests": None, "limits": None}}, "autoscaling needs resources.requ"),
    ],
)
def test_autoscaling_that_cannot_work_is_refused(
    chart: Chart, engine: str, values: dict[str, Any], sentence: str
) -> None:
    done = chart.template(engine, values)

    assert done.returncode == 1
    assert sentence in done.stderr
    off = {**values, "autoscaling": {"enabled": False}}
    assert chart.template(engine, off).returncode == 0


def test_ids_that_a_cluster_assigns_can_be_left_out(chart: Chart) -> None:
    none = {"runAsUser": None, "runAsGroup": None}
    values = {"podSecurityContext": none, **MODES["operator"]}

    resources = chart.render(values)

    [replication] = find(resources, "RedisReplication")
    for spec in (
        pod(resources)["spec"]["securityContext"],
        replication["spec"]["podSecurityContext"],
        replication["spec"]["sentinel"]["podSecurityContext"],
    ):
        assert spec == {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}


def test_placement_of_redis_follows_the_values(chart: Chart) -> None:
    [replication] = find(chart.render(MODES["operator"]), "RedisReplication")

    for spec in (replication["spec"], replication["spec"]["sentinel"]):
        assert spec["nodeSelector"] == {"disk": "ssd"}
        assert spec["tolerations"] == [{"key": "dark", "operator": "Exists"}]
        assert spec["priorityClassName"] == "high"


def test_pods_of_redis_have_no_token(chart: Chart) -> None:
    resources = chart.render()
    [replication] = find(resources, "RedisReplication")
    accounts = {each["metadata"]["name"]: each for each in find(resources, "ServiceAccount")}

    for spec in (replication["spec"], replication["spec"]["sentinel"]):
        assert not accounts[spec["serviceAccountName"]]["automountServiceAccountToken"]


def test_deployment_is_complete_without_values(chart: Chart) -> None:
    resources = chart.render({"database": {"mode": "none"}})

    [deployment] = find(resources, "Deployment")
    spec = pod(resources)["spec"]
    assert deployment["metadata"]["name"] == "prod-galactic-empire"
    assert deployment["spec"]["revisionHistoryLimit"] == 10
    assert deployment["spec"]["progressDeadlineSeconds"] == 600
    # Enough for many uploads at once, because a pod that exceeds it is evicted.
    assert spec["volumes"] == [{"name": "tmp", "emptyDir": {"sizeLimit": "1Gi"}}]
    [replication] = find(resources, "RedisReplication")
    for placed in (spec, replication["spec"], replication["spec"]["sentinel"]):
        assert not {"priorityClassName", "nodeSelector", "tolerations"} & placed.keys()


def test_deployment_follows_the_values(chart: Chart) -> None:
    values = {
        "revisionHistoryLimit": 3,
        "progressDeadlineSeconds": 60,
        "tmpSizeLimit": "2Gi",
        "database": {"mode": "none"},
        "priorityClassName": "high",
        "fullnameOverride": "own",
        "probes": {"readiness": {"path": "/api/live"}},
    }

    resources = chart.render(values)

    [deployment] = find(resources, "Deployment")
    spec = pod(resources)["spec"]
    assert deployment["metadata"]["name"] == "own"
    assert deployment["spec"]["revisionHistoryLimit"] == 3
    assert deployment["spec"]["progressDeadlineSeconds"] == 60
    assert spec["priorityClassName"] == "high"
    assert spec["volumes"] == [{"name": "tmp", "emptyDir": {"sizeLimit": "2Gi"}}]
    assert container(resources)["readinessProbe"]["httpGet"]["path"] == "/api/live"
    [test] = find(resources, "Pod")
    assert test["spec"]["containers"][0]["command"][-1] == "http://own:80/api/live"
    for constraint in spec["topologySpreadConstraints"]:
        assert constraint["matchLabelKeys"] == ["pod-template-hash"]


def test_pods_request_the_memory_that_is_their_limit(chart: Chart) -> None:
    resources = chart.render()
    [replication] = find(resources, "RedisReplication")
    spec = replication["spec"]

    for one in (container(resources), spec["kubernetesConfig"], spec["sentinel"]):
        assert one["resources"]["requests"]["memory"] == one["resources"]["limits"]["memory"]
    limit = container(resources)["resources"]["limits"]["memory"]
    page = (chart.project.path / "docs/deployment/kubernetes.md").read_text("utf-8")
    assert f"the default of {limit.replace('Mi', ' MiB')} does" in " ".join(page.split())


def test_passed_test_leaves_no_pod(chart: Chart) -> None:
    [test] = find(chart.render(), "Pod")

    policy = test["metadata"]["annotations"]["helm.sh/hook-delete-policy"]
    assert policy == "before-hook-creation,hook-succeeded"


@pytest.mark.parametrize(("sleep", "graceful"), [(5, 30), (1, 0), (60, 1000000)])
def test_pod_has_time_to_finish(chart: Chart, sleep: int, graceful: int) -> None:
    values = {"preStopSeconds": sleep, "config": {"FASTAPI_GRACEFUL_TIMEOUT": graceful}}

    resources = chart.render(values)

    assert container(resources)["lifecycle"] == {"preStop": {"sleep": {"seconds": sleep}}}
    assert pod(resources)["spec"]["terminationGracePeriodSeconds"] > sleep + graceful


def test_changed_settings_replace_the_pods(chart: Chart) -> None:
    def template(values: dict[str, Any]) -> dict[str, Any]:
        return pod(chart.render(values))

    changed: list[dict[str, Any]] = [
        {},
        {"config": {"FASTAPI_DEBUG": True}},
        {"secrets": {"FASTAPI_REDIS_PASSWORD": "one"}},
        {"secrets": {"FASTAPI_REDIS_PASSWORD": "other"}},
        {"redis": {"mode": "none"}},
    ]
    templates = {json.dumps(template(values)) for values in changed}

    assert len(templates) == len(changed)
    assert template({"service": {"port": 8080}}) == template({})


@pytest.mark.parametrize(
    "release",
    ["a", "1a", "a.b", "x" * LONGEST, "1" + "x" * (LONGEST - 1), "null", "1e6", "a" + "-b" * 26],
)
@pytest.mark.parametrize("slug", ["x", "x" * LONGEST, "on"])
def test_names_are_short_enough_for_any_release_and_project(
    charts: Callable[..., Chart], slug: str, release: str
) -> None:
    chart = charts(project_slug=slug, package_name="empire")

    resources = chart.render(chart.cases()["all on"] | {"serviceAccount": {}}, release)

    names = {resource["metadata"]["name"] for resource in resources}
    [replication] = {each["metadata"]["name"] for each in find(resources, "RedisReplication")}
    derived = ("headless", "additional", "master", "replica", "replication", "s", "s-hl")
    for name in names | {f"{replication}-{suffix}" for suffix in derived}:
        assert re.fullmatch(r"[a-z]([a-z0-9-]*[a-z0-9])?", name), name
        assert len(name) <= 63, name
    # Kubernetes appends ten characters to it, for a label.
    assert len(f"{replication}-s") <= 52
    [cluster] = {each["metadata"]["name"] for each in find(resources, "Cluster")}
    assert len(cluster) <= 50


def test_long_names_stay_apart(charts: Callable[..., Chart]) -> None:
    chart = charts(project_slug="x" * LONGEST, package_name="empire")

    names = {
        resource["metadata"]["name"]
        for end in "ab"
        for resource in chart.render(release="r" * (LONGEST - 1) + end)
        if resource["kind"] in {"Cluster", "Deployment", "Job", "RedisReplication"}
    }

    assert len(names) == 8


def test_release_with_the_name_of_the_project_is_not_named_twice(chart: Chart) -> None:
    for release, name in {
        "galactic-empire": "galactic-empire",
        "my-galactic-empire": "my-galactic-empire",
        "prod": "prod-galactic-empire",
    }.items():
        [deployment] = find(chart.render(release=release), "Deployment")
        assert deployment["metadata"]["name"] == name


def test_service_and_policies_select_the_pods_of_the_service_alone(chart: Chart) -> None:
    resources = chart.render(chart.cases()["all on"])
    [test] = find(resources, "Pod")
    [replication] = find(resources, "RedisReplication")
    [cluster] = find(resources, "Cluster")
    # The operators set these labels on their pods, and their own.
    others = [
        test["metadata"]["labels"],
        {**replication["metadata"]["labels"], "app": replication["metadata"]["name"]},
        {
            **cluster["spec"]["inheritedMetadata"]["labels"],
            "cnpg.io/cluster": cluster["metadata"]["name"],
        },
        pod(resources, "Job")["metadata"]["labels"],
    ]
    [service] = find(resources, "Service")
    [deployment] = find(resources, "Deployment")
    spread = pod(resources)["spec"]["topologySpreadConstraints"]

    for selector in (
        service["spec"]["selector"],
        policy(resources, "service")["podSelector"]["matchLabels"],
        deployment["spec"]["selector"]["matchLabels"],
        *(constraint["labelSelector"]["matchLabels"] for constraint in spread),
    ):
        assert matches(selector, pod(resources)["metadata"]["labels"])
        assert not any(matches(selector, labels) for labels in others)
    for index, component in enumerate(("redis", "database", "migration"), start=1):
        selector = policy(resources, component)["podSelector"]["matchLabels"]
        assert [labels for labels in others if matches(selector, labels)] == [others[index]]


def test_labels_of_the_replication_never_change(charts: Callable[..., Chart]) -> None:
    """The operator uses them in selectors, which are immutable in Kubernetes."""
    labels = [
        find(charts(version=version).render(), "RedisReplication")[0]["metadata"]["labels"]
        for version in ("0.1.0", "2.0")
    ]

    assert labels[0] == labels[1]


def test_restricted_policy_lets_pods_be_tested_from_within(chart: Chart) -> None:
    resources = chart.render(chart.cases()["all on"])
    [test] = find(resources, "Pod")

    rule = policy(resources, "service")["ingress"][0]

    assert rule["ports"] == [{"port": 8000}]
    assert rule["from"][:-1] == EVERYTHING["networkPolicy"]["from"]
    assert matches(rule["from"][-1]["podSelector"]["matchLabels"], test["metadata"]["labels"])
    assert policy(chart.render(), "service")["ingress"] == [{"ports": [{"port": 8000}]}]


def test_redis_is_reached_by_the_service_and_the_operator_alone(chart: Chart) -> None:
    resources = chart.render()
    [replication] = find(resources, "RedisReplication")

    [rule] = policy(resources, "redis")["ingress"]

    service, redis, operator = rule["from"]
    assert matches(service["podSelector"]["matchLabels"], pod(resources)["metadata"]["labels"])
    assert redis["podSelector"]["matchLabels"] == replication["metadata"]["labels"]
    assert operator["podSelector"]["matchLabels"] == {"name": "redis-operator"}
    namespace = {"kubernetes.io/metadata.name": "redis-operator"}
    assert operator["namespaceSelector"]["matchLabels"] == namespace
    assert [port["port"] for port in rule["ports"]] == [6379, 26379]
    assert not find(chart.render({"networkPolicy": {"enabled": False}}), "NetworkPolicy")


def test_pods_are_restricted(rendered: list[Resource]) -> None:
    specs = [
        *(resource["spec"] for resource in find(rendered, "Pod")),
        *(
            resource["spec"]["template"]["spec"]
            for kind in ("Deployment", "Job")
            for resource in find(rendered, kind)
        ),
    ]

    assert len(specs) > 4
    for spec in specs:
        [one] = spec["containers"]
        security = {**spec["securityContext"], **one["securityContext"]}
        assert security == {
            "runAsNonRoot": True,
            "runAsUser": 65532,
            "runAsGroup": 65532,
            "seccompProfile": {"type": "RuntimeDefault"},
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert not spec["automountServiceAccountToken"]
        assert not spec["enableServiceLinks"]
        assert not any("host" in probe.get("httpGet", {}) for probe in probes(one).values())
    for account in find(rendered, "ServiceAccount"):
        assert not account["automountServiceAccountToken"]
    for replication in find(rendered, "RedisReplication"):
        for spec in (replication["spec"], replication["spec"]["sentinel"]):
            assert spec["podSecurityContext"]["runAsNonRoot"]
            assert spec["podSecurityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
            assert not spec["securityContext"]["allowPrivilegeEscalation"]
            assert spec["securityContext"]["capabilities"] == {"drop": ["ALL"]}


def probes(one: dict[str, Any]) -> dict[str, Any]:
    return {name: probe for name, probe in one.items() if name.endswith("Probe")}


def test_service_account_is_created_if_it_is_used(chart: Chart) -> None:
    def account(**values: Any) -> tuple[str, list[str]]:
        resources = chart.render({"serviceAccount": values})
        made = [
            each["metadata"]["name"]
            for each in find(resources, "ServiceAccount")
            if not each["metadata"]["name"].endswith("-redis")
        ]
        return pod(resources)["spec"]["serviceAccountName"], made

    assert account() == ("prod-galactic-empire", ["prod-galactic-empire"])
    assert account(name="trooper") == ("trooper", ["trooper"])
    assert account(create=False) == ("default", [])
    assert account(create=False, name="trooper") == ("trooper", [])


def test_container_matches_the_image(chart: Chart) -> None:
    lines = (chart.project.path / "Dockerfile").read_text("utf-8").splitlines()
    image = dict(line.split(" ", 1) for line in lines if re.match(r"[A-Z]+ ", line))
    resources = chart.render()
    one = container(resources)
    security = pod(resources)["spec"]["securityContext"]
    entrypoint, default = json.loads(image["ENTRYPOINT"]), json.loads(image["CMD"])

    assert image["USER"] == f"{security['runAsUser']}:{security['runAsGroup']}"
    assert [str(port["containerPort"]) for port in one["ports"]] == [image["EXPOSE"]]
    assert image["EXPOSE"] == default[-1].split(":")[1]
    # In a cluster, the address is a setting; everything else is the default of the image.
    assert "command" not in one
    assert one["args"] == default[: default.index("--bind")]
    assert chart.environment()["FASTAPI_BIND"] == default[-1]
    assert image["STOPSIGNAL"] == "SIGTERM"
    assert "signal" not in json.dumps(resources).lower()
    [test] = find(resources, "Pod")
    assert test["spec"]["containers"][0]["command"][0] == entrypoint[0]


@pytest.mark.parametrize("bind", ["[::]:9000", ":9000", "0.0.0.0:9000"])
def test_everything_follows_the_port_of_the_container(chart: Chart, bind: str) -> None:
    resources = chart.render({"config": {"FASTAPI_BIND": bind}, "service": {"port": 81}})

    [service] = find(resources, "Service")
    [test] = find(resources, "Pod")

    assert container(resources)["ports"] == [{"name": "http", "containerPort": 9000}]
    assert {probe["httpGet"]["port"] for probe in probes(container(resources)).values()} == {"http"}
    assert service["spec"]["ports"] == [{"name": "http", "port": 81, "targetPort": "http"}]
    assert policy(resources, "service")["ingress"][0]["ports"] == [{"port": 9000}]
    url = f"http://{service['metadata']['name']}:81/api/ready"
    assert test["spec"]["containers"][0]["command"][-1] == url


def test_probes_use_routes_that_exist(chart: Chart, full: Project) -> None:
    names = {
        path: name for method, path, _, name in routes.list_routes(full.path) if method == "GET"
    }

    used = {
        kind: names[probe["httpGet"]["path"]]
        for kind, probe in probes(container(chart.render())).items()
    }

    assert used == {"startupProbe": "live", "livenessProbe": "live", "readinessProbe": "ready"}


@pytest.mark.parametrize("status", [200, 502])
def test_helm_test_sends_a_request_to_the_service(chart: Chart, status: int) -> None:
    asked = []

    class Service(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(status)
            self.end_headers()
            self.wfile.write(b'{"status":"ok"}')

        def log_message(self, *_arguments: object) -> None:
            """Log nothing."""

    server = HTTPServer(("127.0.0.1", 0), Service)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    [test] = find(chart.render(), "Pod")
    _, *words, url = test["spec"]["containers"][0]["command"]
    address = f"http://127.0.0.1:{server.server_port}"

    try:
        url = re.sub("^http://[^/]+", address, url)
        done = subprocess.run([sys.executable, *words, url], capture_output=True, text=True)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()

    assert asked == ["/api/ready"]
    assert (done.returncode == 0) == (status == 200)
    assert ('{"status":"ok"}' in done.stdout) == (status == 200)


@features
def test_chart_computes_settings_that_exist(
    charts: Callable[..., Chart], answers: dict[str, Any]
) -> None:
    chart = charts(**answers)

    for name, values in chart.cases().items():
        assert chart.environment(values).keys() <= chart.project.settings().keys(), name


# Values of settings that need a special format.
SAMPLES: dict[str, Any] = {
    "FASTAPI_BIND": "[::]:65535",
    "FASTAPI_METRICS_BIND": "[::]:65534",
    "FASTAPI_CORS_ORIGINS": "https://a.example,http://[::1]:8080",
    "FASTAPI_DOCS_URL": "/a/b",
    "FASTAPI_ROOT_PATH": "/é",
    "FASTAPI_FORWARDED_ALLOW_IPS": "10.0.0.0/8, ::1",
    "FASTAPI_GUNICORN_LOG_FORMAT": """%(message)s "It's" 100 %% # a: b {{ c }} 🚀""",
    "FASTAPI_GUNICORN_LOG_LEVEL": "debug",
    "FASTAPI_LOG_FORMAT": "json",
    "FASTAPI_WORKER_CLASS": "asgi",
    "FASTAPI_DATABASE_URL": 'postgresql://é:"It\'s"{{c}}$100&%25x|`>*!\\\\n@a,[::1]:1/🚀: b',
    "FASTAPI_REDIS_SENTINELS": "a:26379,[::1]:26379",
    "FASTAPI_REDIS_HOST": "redis.example",
    "FASTAPI_REDIS_PORT": 65535,
    "FASTAPI_REDIS_CA_FILE": "",
}


def sample(name: str, kind: str) -> Any:
    """Return a value of a setting that a careless chart would change."""
    plain = {"bool": True, "int": 1000000, "float": 0.25}
    return SAMPLES.get(name, plain.get(kind, HOSTILE))


def as_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


READ = """
import json, sys
from importlib import import_module
package = sys.argv[1]
read = import_module(f"{package}.config.variables").read
print(json.dumps({
    f"FASTAPI_{name.upper()}": getattr(value, "get_secret_value", lambda value=value: value)()
    for settings in import_module(f"{package}.server.settings").SETTINGS
    for name, value in read(settings)
}))
"""


def test_settings_arrive_in_the_service_as_they_were_given(chart: Chart, full: Project) -> None:
    kinds = full.settings()
    given = {name: sample(name, kind) for name, kind in kinds.items()}
    secret = {name for name, kind in kinds.items() if kind == "SecretStr"}
    values = {
        "config": {name: value for name, value in given.items() if name not in secret},
        "secrets": {name: given[name] for name in secret},
        "database": {"mode": "none"},
    }

    variables = chart.environment(values)
    read = json.loads(run(full.python, "-c", READ, full.package.name, cwd=full.path, **variables))

    assert variables == {name: as_text(value) for name, value in given.items()}
    for name in ("FASTAPI_CORS_ORIGINS", "FASTAPI_REDIS_SENTINELS"):
        read[name] = ",".join(read[name])
    assert read == given


def test_other_variables_arrive_as_well(chart: Chart) -> None:
    others = {"OTEL_SERVICE_NAME": HOSTILE, "HTTPS_PROXY": "http://proxy:3128", "own_1": "x"}

    variables = chart.environment({"config": others, "secrets": {"STRIPE_TOKEN": HOSTILE}})

    assert variables.items() >= {**others, "STRIPE_TOKEN": HOSTILE}.items()


@pytest.mark.parametrize("name", MODES)
def test_service_receives_the_settings_of_redis(chart: Chart, name: str) -> None:
    received = {
        key.removeprefix("FASTAPI_"): text
        for key, text in chart.environment(MODES[name]).items()
        if "REDIS" in key
    }

    assert (
        received
        == {
            "operator": {
                "USE_REDIS": "true",
                "REDIS_USE_SENTINEL": "true",
                "REDIS_SENTINELS": outage.VARIABLES["FASTAPI_REDIS_SENTINELS"].replace(
                    outage.RELEASE, f"prod-{outage.RELEASE}"
                ),
                "REDIS_SENTINEL_MASTER": "mymaster",
            },
            "external": {"USE_REDIS": "true", "REDIS_HOST": "r.example", "REDIS_PORT": "6380"},
            "sentinels": {
                "USE_REDIS": "true",
                "REDIS_USE_SENTINEL": "true",
                "REDIS_SENTINELS": "a:26379,b:26379",
                "REDIS_SENTINEL_MASTER": "empire",
            },
            "none": {"USE_REDIS": "false"},
        }[name]
    )


@engines
def test_given_setting_takes_precedence_over_the_computed_one(chart: Chart, engine: str) -> None:
    config = {"FASTAPI_USE_REDIS": False, "FASTAPI_REDIS_SENTINELS": ""}

    [settings] = find(chart.render({"config": config}, engine=engine), "ConfigMap")

    assert settings["data"]["FASTAPI_USE_REDIS"] == "false"
    assert settings["data"]["FASTAPI_REDIS_SENTINELS"] == ""


@pytest.mark.parametrize("name", MODES)
def test_replication_exists_only_with_the_operator(chart: Chart, name: str) -> None:
    resources = chart.render(MODES[name])

    found = [each for each in resources if "redis" in each["metadata"]["name"]]

    assert bool(found) == name.startswith("operator")


@pytest.mark.parametrize("own", ["", "of-redis"])
def test_redis_and_the_service_read_the_same_password(chart: Chart, own: str) -> None:
    values = {
        "existingSecret": "empire-secrets",
        "redis": {"operator": {"existingSecret": own}},
        "database": {"mode": "none"},
    }

    resources = chart.render(values)

    [replication] = find(resources, "RedisReplication")
    secret = {"name": own or "prod-galactic-empire-redis", "key": "password"}
    assert replication["spec"]["kubernetesConfig"]["redisSecret"] == secret
    source = {"valueFrom": {"secretKeyRef": secret}}
    assert container(resources)["env"] == [{"name": "FASTAPI_REDIS_PASSWORD", **source}]
    assert "env" not in container(chart.render({**values, "redis": {"mode": "none"}}))


API = {
    "v1": ("ConfigMap", "Namespace", "Pod", "Secret", "Service", "ServiceAccount"),
    "apps/v1": ("Deployment",),
    "autoscaling/v2": ("HorizontalPodAutoscaler",),
    "batch/v1": ("Job",),
    "networking.k8s.io/v1": ("NetworkPolicy",),
    "policy/v1": ("PodDisruptionBudget",),
    "postgresql.cnpg.io/v1": ("Cluster",),
    "redis.redis.opstreelabs.in/v1beta2": ("RedisReplication",),
}


class Cluster(BaseHTTPRequestHandler):
    """The part of the Kubernetes API that Helm's `lookup` needs."""

    objects: ClassVar[dict[str, Any]] = {}

    def do_GET(self) -> None:
        known: dict[str, Any] = {
            "/version": {"major": "1", "minor": "36", "gitVersion": "v1.36.1"},
            "/api": {"kind": "APIVersions", "versions": ["v1"]},
            "/apis": {"kind": "APIGroupList", "apiVersion": "v1", "groups": self.groups()},
            **{
                f"/{'apis' if '/' in version else 'api'}/{version}": {
                    "kind": "APIResourceList",
                    "groupVersion": version,
                    "resources": [*map(self.resource, kinds)],
                }
                for version, kinds in API.items()
            },
            **self.objects,
        }
        path = self.path.partition("?")[0]
        missing = {"kind": "Status", "apiVersion": "v1", "reason": "NotFound", "code": 404}
        self.send_response(200 if path in known else 404)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps(known.get(path, missing)).encode())

    def groups(self) -> list[Any]:
        versions = [
            {"groupVersion": version, "version": version.split("/")[1]}
            for version in API
            if "/" in version
        ]
        return [
            {"name": each["groupVersion"].split("/")[0], "versions": [each]} for each in versions
        ]

    def resource(self, kind: str) -> dict[str, Any]:
        name = re.sub("ys$", "ies", f"{kind.lower()}s")
        return {"name": name, "kind": kind, "namespaced": kind != "Namespace", "verbs": []}

    def log_message(self, *_arguments: object) -> None:
        """Log nothing."""


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Callable[..., list[Resource]]]:
    """Let Helm render the chart for a cluster with Secrets."""
    server = HTTPServer(("127.0.0.1", 0), Cluster)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    config = tmp_path / "kubeconfig"
    (tmp_path / "releases").write_text("[]")
    releases = {"HELM_DRIVER": "memory", "HELM_MEMORY_DRIVER_DATA": str(tmp_path / "releases")}
    where = {"server": f"http://127.0.0.1:{server.server_port}"}
    config.write_text(
        yaml.safe_dump(
            {
                "kind": "Config",
                "apiVersion": "v1",
                "clusters": [{"name": "x", "cluster": where}],
                "contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}],
                "users": [{"name": "x", "user": {}}],
                "current-context": "x",
            }
        )
    )

    owned = {
        "labels": {"app.kubernetes.io/managed-by": "Helm"},
        "annotations": {
            "meta.helm.sh/release-name": "prod",
            "meta.helm.sh/release-namespace": "empire",
        },
    }

    def render(chart: Chart, engine: str, own: bool = True, **secrets: str) -> list[Resource]:
        place = "/api/v1/namespaces/empire"
        root = {"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": "x"}}
        Cluster.objects = {f"{place}/configmaps/kube-root-ca.crt": root}
        for name, password in secrets.items():
            data = {"password": base64.b64encode(password.encode()).decode()}
            metadata = {"name": name, **(owned if own else {})}
            secret = {"kind": "Secret", "apiVersion": "v1", "metadata": metadata}
            Cluster.objects[f"{place}/secrets/{name}"] = {**secret, "data": data}
        done = subprocess.run(
            [
                *(helm_path(engine), "install", "prod", chart.path),
                *("--dry-run=server", "--disable-openapi-validation", "--namespace", "empire"),
            ],
            capture_output=True,
            text=True,
            env={**os.environ, "KUBECONFIG": str(config), **releases},
        )
        assert done.returncode == 0, done.stderr
        manifest, notes = done.stdout.split("\nMANIFEST:\n")[1].split("\nNOTES:\n")
        assert "The pods wait" not in notes
        return [resource for resource in yaml.safe_load_all(manifest) if resource]

    yield render
    server.shutdown()
    thread.join()
    server.server_close()


def password_of(resources: list[Resource]) -> str:
    [secret] = find(resources, "Secret")
    assert secret["metadata"]["name"] == "prod-galactic-empire-redis"
    assert secret["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
    return base64.b64decode(secret["data"]["password"]).decode()


def checksums(resources: list[Resource]) -> tuple[str, str]:
    [replication] = find(resources, "RedisReplication")
    of_redis = replication["metadata"]["annotations"]["checksum/redis"]
    return of_redis, pod(resources)["metadata"]["annotations"]["checksum/secrets"]


@engines
def test_password_is_generated_once_and_kept(
    chart: Chart, cluster: Callable[..., list[Resource]], engine: str
) -> None:
    first = cluster(chart, engine)
    password = password_of(first)
    second = cluster(chart, engine, **{"prod-galactic-empire-redis": password})

    assert re.fullmatch("[A-Za-z0-9]{32}", password)
    assert password_of(second) == password
    assert checksums(first) == checksums(second)


@engines
@pytest.mark.parametrize("own", [True, False])
def test_changed_password_replaces_the_pods(
    chart: Chart, cluster: Callable[..., list[Resource]], engine: str, own: bool
) -> None:
    one, other = (
        cluster(chart, engine, own, **{"prod-galactic-empire-redis": password})
        for password in ("one", "other")
    )

    # Helm would refuse to adopt a Secret that it has not created.
    assert bool(find(one, "Secret")) == own
    before, after = checksums(one), checksums(other)

    assert before[0] != after[0]
    assert before[1] != after[1]


def test_documented_command_replaces_all_pods_of_redis_and_no_others(chart: Chart) -> None:
    page = (chart.project.path / "docs/deployment/redis.md").read_text("utf-8")
    resources = chart.render()
    [replication] = find(resources, "RedisReplication")

    [words] = re.findall(r"^kubectl delete pods --selector (\S+)$", page, re.M)
    selector = dict(word.split("=") for word in words.replace("RELEASE", "prod").split(","))

    # The operator sets these labels on the servers and on the Sentinels.
    assert matches(selector, replication["metadata"]["labels"])
    assert not matches(selector, pod(resources)["metadata"]["labels"])


def test_without_a_cluster_no_password_is_generated(chart: Chart) -> None:
    assert not find(chart.render(), "Secret")
    assert not find(chart.render(MODES["operator"]), "Secret")


def test_text_answers_arrive_in_the_chart(charts: Callable[..., Chart]) -> None:
    text = """"It's" 100 % # a: b, - \\ \\u0041 & * ! | > [c] {d} é 🚀 你好 null"""
    chart = charts(project_description=text, author=text.replace(">", ""))

    for engine in ENGINES:
        done = chart.helm(engine, "lint", chart.path, "--strict")
        assert done.returncode == 0, done.stdout
    described = yaml.safe_load(run(helm_path("helm4"), "show", "chart", chart.path, cwd=ROOT))
    assert described["description"] == text
    assert described["maintainers"][0]["name"] == text.replace(">", "")


@pytest.mark.parametrize(
    "version", ["1", "1.0", "0.10", "1.0rc1.dev2", "2026.11.24.post1", "1." * 49 + "0"]
)
def test_version_of_any_form_is_the_tag_of_the_image(
    charts: Callable[..., Chart], version: str
) -> None:
    chart = charts(version=version)

    for engine in ENGINES:
        resources = chart.render(engine=engine)
        assert container(resources)["image"] == f"galactic-empire:{version}"
        text = resources[0]["metadata"]["labels"]["app.kubernetes.io/version"]
        assert version.startswith(text)
        assert re.fullmatch(r"[a-z0-9]([a-z0-9.]{0,61}[a-z0-9])?", text)
        done = chart.helm(engine, "lint", chart.path, "--strict")
        assert done.returncode == 0, done.stdout


@features
def test_tables_list_every_value_with_its_default(
    charts: Callable[..., Chart], answers: dict[str, Any]
) -> None:
    chart = charts(**answers)
    pages = [chart.path / "README.md", *chart.project.path.glob("docs/deployment/*.md")]
    text = "".join(page.read_text("utf-8") for page in pages)

    rows = re.findall(r"^\| `([\w.]+)` \| `(.+?)` \| .+ \|$", text, re.M)

    assert dict(rows) == {
        ".".join(place): json.dumps(value) for place, value in leaves(chart.values)
    }
    assert len(rows) == len(dict(rows))


@pytest.mark.parametrize("redis", [True, False])
def test_notes_say_how_to_reach_the_service(charts: Callable[..., Chart], redis: bool) -> None:
    chart = charts(redis=redis)
    everything = chart.cases()["all on"]

    done = chart.helm(
        *("helm4", "install", "prod", chart.path, "--dry-run=client"), values=everything
    )

    assert done.returncode == 0, done.stderr
    notes = done.stdout.split("NOTES:")[1]
    assert "port-forward service/prod-galactic-empire 8000:80\n" in notes
    assert "The Ingress publishes it as empire.example, *.empire.example." in notes
    assert "The HTTPRoute publishes it as empire.example." in notes
    wait = "The pods wait for the Secret prod-galactic-empire-redis. Create it:"
    assert (wait in notes) == redis
    assert ("secret generic prod-galactic-empire-redis --from-file=password=" in notes) == redis


# Refused values ------------------------------------------------------------------------


@dataclass(frozen=True)
class Part:
    """A part of the schema, and its place in the values."""

    place: Place
    schema: dict[str, Any]

    def holding(self, value: Any) -> Any:
        """Return values with ``value`` in this place."""
        for key in reversed(self.place):
            value = [value] if isinstance(key, int) else {key: value}
        return value


def parts(root: dict[str, Any], schema: dict[str, Any], place: Place = ()) -> Iterator[Part]:
    """Yield a schema and all parts nested in it."""
    if "$ref" in schema:
        schema = at(root, tuple(schema["$ref"].split("/")[1:]))
    yield Part(place, schema)
    for key, below in schema.get("properties", {}).items():
        yield from parts(root, below, (*place, key))
    if isinstance(schema.get("additionalProperties"), dict):
        yield from parts(root, schema["additionalProperties"], (*place, "any"))
    if "items" in schema:
        yield from parts(root, schema["items"], (*place, 0))


# A value of each type, of which at least one is wrong in every place.
TYPED: dict[str, Any] = {
    "string": "?",
    "integer": 7,
    "number": 0.5,
    "boolean": True,
    "array": ["?"],
    "object": {"?": "?"},
}


def wrong(schema: dict[str, Any]) -> list[Any]:
    """Return values of every type that a part does not accept."""
    types = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    if "number" in types:
        types = [*types, "integer"]
    nulls = [] if "null" in types else [None]
    return [value for name, value in TYPED.items() if name not in types] + nulls


def complaints(validator: Validator, values: Any, place: Place, keyword: str) -> bool:
    """Return whether a keyword of the schema reports an error at exactly this place."""
    return any(
        tuple(error.instance_path) == place and error.schema_path[-1] == keyword
        for error in validator.iter_errors(values)
    )


@features
def test_schema_refuses_every_wrong_type_and_every_unknown_key(
    charts: Callable[..., Chart], answers: dict[str, Any]
) -> None:
    schema = charts(**answers).schema
    checked = validator_for(schema)
    count = 0

    for part in parts(schema, schema):
        for value in wrong(part.schema):
            values = part.holding(value)
            assert complaints(checked, values, part.place, "type"), (part.place, value)
            count += 1
        # Maps of variables accept any valid name.
        named = "propertyNames" in part.schema
        if "object" in part.schema["type"] and part.place != ("global",) and not named:
            open_map = isinstance(part.schema.get("additionalProperties"), dict)
            values = part.holding({"unknown": 1})
            place = (*part.place, "unknown") if open_map else part.place
            keyword = "type" if open_map else "additionalProperties"
            refused = complaints(checked, values, place, keyword)
            # A number is a valid quantity.
            quantity = open_map and part.place[-1] in {"requests", "limits"}
            assert refused != quantity, part.place

    assert count > 1500


def test_helm_refuses_what_the_schema_does(chart: Chart) -> None:
    """Helm is tried with one part of each kind; the schema alone is tested in every place."""
    schema = chart.schema
    kinds: dict[str, Part] = {}
    for part in parts(schema, schema):
        facts = {key: value for key, value in part.schema.items() if key != "properties"}
        kinds.setdefault(json.dumps(facts, sort_keys=True), part)

    for part in kinds.values():
        if not part.place:
            continue
        values = part.holding(wrong(part.schema)[0])
        done = chart.template("helm4", values)
        assert done.returncode == 1, part.place
        assert "values don't meet the specifications of the schema" in done.stderr
    for key in ("unknown", "replicacount"):
        for engine in ENGINES:
            done = chart.template(engine, {key: 1})
            assert done.returncode == 1
            assert key in done.stderr


@engines
@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"config": {"a-b": "x"}}, "a-b"),
        ({"config": {"1A": "x"}}, "1A"),
        ({"secrets": {"A B": "x"}}, "A B"),
        ({"config": {"FASTAPI_REDIS_PASSWORD": "x"}}, "FASTAPI_REDIS_PASSWORD"),
        ({"config": {"FASTAPI_DATABASE_URL": "x"}}, "FASTAPI_DATABASE_URL"),
        ({"config": {"STRIPE_API_KEY": "x"}}, "STRIPE_API_KEY"),
        ({"config": {"FASTAPI_UNKNOWN": ["x"]}}, "FASTAPI_UNKNOWN"),
        ({"secrets": {"FASTAPI_UNKNOWN": 1}}, "FASTAPI_UNKNOWN"),
        ({"config": {"FASTAPI_BIND": "unix:/tmp/x.sock"}}, "FASTAPI_BIND"),
        ({"config": {"FASTAPI_BIND": "0.0.0.0:65536"}}, "FASTAPI_BIND"),
        ({"config": {"FASTAPI_BIND": "127.0.0.1:8000"}}, "FASTAPI_BIND"),
        ({"config": {"FASTAPI_BIND": "localhost:8000"}}, "FASTAPI_BIND"),
        ({"config": {"FASTAPI_BIND": None}}, "FASTAPI_BIND"),
        ({"config": {"FASTAPI_GRACEFUL_TIMEOUT": None}}, "FASTAPI_GRACEFUL_TIMEOUT"),
        ({"redis": {"mode": "external"}}, "redis"),
        ({"redis": {"mode": "external", "external": {"host": "a", "sentinels": ["b:1"]}}}, "redis"),
        ({"redis": {"mode": "cluster"}}, "redis"),
        ({"database": {"mode": "external"}}, "existingSecret"),
        ({"database": {"mode": "sqlite"}}, "mode"),
        ({"database": {"operator": {"instances": 0}}}, "instances"),
        ({"database": {"operator": {"instance": 3}}}, "instance"),
        ({"database": {"operator": {"parameters": {"max_connections": 200}}}}, "max_connections"),
        ({"database": {"operator": {"backup": {"schedule": "0 3 * * *"}}}}, "schedule"),
        ({"database": {"migration": {"wait": "soon"}}}, "wait"),
        (
            {"secrets": {"FASTAPI_DATABASE_URL": "postgresql://db/app"}},
            "secrets.FASTAPI_DATABASE_URL needs database.mode none",
        ),
        ({"httpRoute": {"enabled": True}}, "httpRoute"),
        ({"service": {"nodePort": 30080}}, "service"),
        ({"image": {"tag": 1.0}}, "tag"),
        ({"image": {"tag": "a b"}}, "tag"),
        ({"image": {"digest": "sha256:0"}}, "digest"),
        ({"preStopSeconds": 0}, "preStopSeconds"),
        ({"config": {"FASTAPI_METRICS_BIND": "0.0.0.0"}}, "FASTAPI_METRICS_BIND"),
        ({"config": {"FASTAPI_METRICS_BIND": "unix:/tmp/x.sock"}}, "FASTAPI_METRICS_BIND"),
        ({"metrics": {"podMonitor": {"interval": "soon"}}}, "interval"),
        ({"metrics": {"prometheusRule": {"latencySeconds": 10}}}, "latencySeconds"),
        ({"metrics": {"prometheusRule": {"errorRatio": 5}}}, "errorRatio"),
        ({"resources": {"limits": {"memory": "lots"}}}, "memory"),
    ],
    ids=str,
)
def test_invalid_value_is_refused_by_name(
    chart: Chart, engine: str, values: dict[str, Any], named: str
) -> None:
    done = chart.template(engine, values)

    assert done.returncode == 1
    assert named in done.stderr


def test_settings_that_the_service_accepts_are_not_refused(chart: Chart) -> None:
    every: dict[str, list[Any]] = {
        "FASTAPI_BIND": ["0.0.0.0:1", ":8000", "[::]:65535", "0.0.0.0:59999", "x.example:65530"],
        "FASTAPI_METRICS_BIND": ["", "0.0.0.0:9000", "[::]:9000", "127.0.0.1:9000"],
        "FASTAPI_DOCS_URL": ["", "/a", "/a/b", "/docs"],
        "FASTAPI_FORWARDED_ALLOW_IPS": ["*", "10.0.0.0/8", "::1, 127.0.0.1"],
        "FASTAPI_REDIS_SENTINELS": ["", "a:1", "a:1,b:2", "a:1, [::1]:26379"],
        "FASTAPI_KEEPALIVE": [0, 65],
        "FASTAPI_REDIS_TIMEOUT": [1, 0.5],
    }
    for name, accepted in every.items():
        for value in accepted:
            values = merged(chart.values, {"config": {name: value}})
            assert validator_for(chart.schema).is_valid(values), (name, value)


def test_null_is_left_out_or_refused(chart: Chart) -> None:
    """Helm drops null values, so templates see them as missing."""
    everything = chart.cases()["all on"]
    places = {
        place[:length] for place, _ in leaves(chart.values) for length in range(1, len(place) + 1)
    }

    for place in sorted(places):
        done = chart.template("helm4", merged(everything, nested(place, None)))
        refusals = ("values don't meet the specifications of the schema", "autoscaling needs")
        refused = any(refusal in done.stderr for refusal in refusals)
        assert bool(done.returncode) == refused, f"{place}: {done.stderr}"
        assert not refused or place[-1] in done.stderr
        assert "<no value>" not in done.stdout, place
        assert refused or None not in contents([*yaml.safe_load_all(done.stdout)]), place
