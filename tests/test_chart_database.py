"""PostgreSQL and migrations in the chart, rendered with Helm 3 and Helm 4."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import trustme
import yaml
from charts import (
    DATABASES,
    EVERYTHING,
    MONITORING,
    NEEDS,
    Chart,
    container,
    engines,
    find,
    matches,
    merged,
    pod,
    policy,
    validator,
)
from support import Project, run

pytestmark = pytest.mark.slow

NAME = "prod-galactic-empire-database"
BACKUPS = {"database": {"operator": {"backup": {"enabled": True}}}}
METRICS = {"metrics": NEEDS["metrics"]}
# In the format that the operator uses.
URI = f"postgresql://app:S3cret@{NAME}-rw.empire:5432/app"


def variables(one: dict[str, Any]) -> dict[str, Any]:
    """Return the variables of a container that are not in a ConfigMap."""
    return {
        each["name"]: each.get("value", each.get("valueFrom", {}).get("secretKeyRef"))
        for each in one["env"]
    }


@pytest.mark.parametrize(
    ("kind", "name"),
    [("Cluster", "cnpg-cluster.v1"), ("ScheduledBackup", "cnpg-scheduledbackup.v1")],
)
def test_resources_match_the_schema_of_the_operator(chart: Chart, kind: str, name: str) -> None:
    schema = validator(name)
    cases = [*chart.cases().values(), merged(BACKUPS, DATABASES["single server"])]
    found = [resource for case in cases for resource in find(chart.render(case), kind)]

    assert len(found) > 2
    for resource in found:
        assert resource["apiVersion"] == "postgresql.cnpg.io/v1"
        assert not [*schema.iter_errors(resource)]


def test_cluster_survives_the_loss_of_a_server_and_of_the_release(chart: Chart) -> None:
    [cluster] = find(chart.render(), "Cluster")
    spec = cluster["spec"]

    assert cluster["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}
    assert spec["instances"] == 3
    assert spec["enablePDB"]
    assert spec["postgresql"]["synchronous"] == {
        "method": "any",
        "number": 1,
        "dataDurability": "preferred",
    }
    assert spec["bootstrap"] == {"initdb": {"database": "app", "owner": "app"}}
    assert "backup" not in spec
    # The operator reads the version from the tag.
    assert re.fullmatch(r"[^:@]+:18\.\d+-[\w.-]+@sha256:[0-9a-f]{64}", spec["imageName"])
    assert spec["resources"]["requests"]["memory"] == spec["resources"]["limits"]["memory"]


def test_single_server_replicates_nothing_and_blocks_no_node(chart: Chart) -> None:
    [cluster] = find(chart.render(merged(BACKUPS, DATABASES["single server"])), "Cluster")

    assert "synchronous" not in cluster["spec"]["postgresql"]
    assert not cluster["spec"]["enablePDB"]
    # Backups must not stop the only server.
    assert cluster["spec"]["backup"]["volumeSnapshot"] == {"online": True}


def test_cluster_follows_the_values(chart: Chart) -> None:
    everything = chart.render(chart.cases()["all on"])
    given = EVERYTHING["database"]["operator"]
    [cluster] = find(everything, "Cluster")
    [backup] = find(everything, "ScheduledBackup")
    spec = cluster["spec"]

    assert spec["storage"] == {"size": "10Gi", "storageClass": "fast"}
    assert spec["postgresql"]["parameters"] == {"max_connections": "200", "work_mem": "8MB"}
    assert spec["priorityClassName"] == "high"
    assert spec["affinity"]["nodeSelector"] == given["nodeSelector"]
    assert spec["affinity"]["tolerations"] == given["tolerations"]
    assert spec["imagePullSecrets"] == EVERYTHING["imagePullSecrets"]
    assert spec["bootstrap"]["recovery"]["volumeSnapshots"]["storage"]["name"] == "snapshot-1"
    assert spec["backup"]["volumeSnapshot"] == {"className": "fast", "online": False}
    assert backup["spec"] == {
        "cluster": {"name": cluster["metadata"]["name"]},
        "method": "volumeSnapshot",
        "schedule": "0 0 3 * * *",
        # Backups outlive the resource that requested them.
        "backupOwnerReference": "none",
    }


def test_service_receives_the_url_of_the_database(chart: Chart) -> None:
    received = {
        name: variables(container(chart.render(merged({"redis": {"mode": "none"}}, case))))
        for name, case in {"operator": {}, **DATABASES}.items()
        if name != "no database"
    }

    url = (
        "$(DATABASE_URI)?sslmode=verify-full&sslrootcert=/run/database/ca.crt"
        "&target_session_attrs=read-write"
    )
    own = {"DATABASE_URI": {"name": f"{NAME}-app", "key": "uri"}, "FASTAPI_DATABASE_URL": url}
    other = {"name": "of-database", "key": "FASTAPI_DATABASE_URL"}
    assert received == {
        "operator": own,
        "single server": own,
        "external database": {"FASTAPI_DATABASE_URL": other},
    }


def test_variable_is_defined_before_it_is_used(chart: Chart) -> None:
    names = [each["name"] for each in container(chart.render())["env"]]

    assert names.index("DATABASE_URI") < names.index("FASTAPI_DATABASE_URL")


def test_service_accepts_the_url(
    chart: Chart, full: Project, tmp_path: Path, authority: trustme.CA
) -> None:
    authority.cert_pem.write_to_path(tmp_path / "ca.crt")
    url = variables(container(chart.render()))["FASTAPI_DATABASE_URL"]
    url = url.replace("$(DATABASE_URI)", URI).replace("/run/database", str(tmp_path))
    code = (
        "import sys; from galactic_empire.config.database_url import parse;"
        "url = parse(sys.argv[1]); tls = url.options['ssl'];"
        "print(url, tls.check_hostname, tls.verify_mode.name, len(tls.get_ca_certs()))"
    )

    read = run(full.python, "-c", code, url, cwd=full.path)

    assert read.split() == [
        *("PostgreSQL", "at", f"{NAME}-rw.empire:5432"),
        *("True", "CERT_REQUIRED", "1"),
    ]


@pytest.mark.parametrize("kind", ["Deployment", "Job"])
def test_authority_is_mounted_without_its_key(chart: Chart, kind: str) -> None:
    spec = pod(chart.render(), kind)["spec"]
    [volume] = [each for each in spec["volumes"] if each["name"] == "database"]
    [mount] = [each for each in spec["containers"][0]["volumeMounts"] if each["name"] == "database"]

    assert volume["secret"] == {
        "secretName": f"{NAME}-ca",
        "items": [{"key": "ca.crt", "path": "ca.crt"}],
    }
    assert mount == {"name": "database", "mountPath": "/run/database", "readOnly": True}


def test_migration_is_a_pod_of_the_service_with_another_command(chart: Chart) -> None:
    rendered = [chart.render(case) for case in chart.cases().values()]
    migrating = [resources for resources in rendered if find(resources, "Job")]

    assert len(migrating) > 2
    for resources in migrating:
        migration, service = pod(resources, "Job")["spec"], pod(resources)["spec"]
        one = container(resources, "Job")

        for key in (
            *("image", "imagePullPolicy", "securityContext", "resources"),
            *("env", "envFrom", "volumeMounts"),
        ):
            assert one.get(key) == container(resources).get(key), key
        for key in (
            *("serviceAccountName", "automountServiceAccountToken", "enableServiceLinks"),
            *("securityContext", "imagePullSecrets", "priorityClassName"),
            *("nodeSelector", "tolerations", "volumes"),
        ):
            assert migration.get(key) == service.get(key), key
        assert one["args"][:3] == ["db", "upgrade", "--wait"]


def test_service_accepts_the_command_of_the_migration(
    chart: Chart, full: Project, tmp_path: Path
) -> None:
    one = container(chart.render({"database": {"migration": {"wait": 1}}}), "Job")
    url = f"sqlite:///{tmp_path}/service.db"

    run(
        *(full.python, "-m", full.package.name, *one["args"]),
        cwd=full.path,
        FASTAPI_DATABASE_URL=url,
    )

    assert (tmp_path / "service.db").exists()


def test_name_of_the_migration_changes_exactly_with_its_pod(chart: Chart) -> None:
    def named(values: dict[str, Any]) -> tuple[str, str]:
        [found] = find(chart.render(values), "Job")
        return found["metadata"]["name"], json.dumps(found["spec"], sort_keys=True)

    same: list[dict[str, Any]] = [
        {},
        {"service": {"port": 8080}},
        {"config": {"FASTAPI_DEBUG": True}},
        {"replicaCount": 3},
        {"database": {"operator": {"storage": {"size": "20Gi"}}}},
    ]
    other: list[dict[str, Any]] = [
        {"image": {"tag": "2"}},
        {"image": {"digest": f"sha256:{'0' * 64}"}},
        {"secrets": {"FASTAPI_X": "1"}},
        {"resources": {"limits": {"cpu": "2"}}},
        {"database": {"migration": {"wait": 1}}},
        DATABASES["external database"],
    ]

    assert len({named(values) for values in same}) == 1
    changed = [named(values) for values in ({}, *other)]
    assert len({name for name, _ in changed}) == len({spec for _, spec in changed}) == 7


@engines
def test_migration_is_not_a_hook_and_has_no_deadline(chart: Chart, engine: str) -> None:
    resources = chart.render(engine=engine)
    [found] = find(resources, "Job")

    # A hook would wait for resources that are installed after it.
    assert not [name for name in found["metadata"]["annotations"] if name.startswith("helm.sh/")]
    # A pod waits for the Secret of the operator; a deadline could end the Job before that.
    assert found["spec"].keys() == {"template"}
    assert pod(resources, "Job")["spec"]["restartPolicy"] == "Never"
    for each in container(resources, "Job")["env"]:
        assert not each.get("valueFrom", {}).get("secretKeyRef", {}).get("optional")


@pytest.mark.parametrize(
    ("values", "kinds"),
    [
        ({}, ["Cluster", "Job"]),
        (BACKUPS, ["Cluster", "Job", "ScheduledBackup"]),
        ({"database": {"migration": {"enabled": False}}}, ["Cluster"]),
        (DATABASES["external database"], ["Job"]),
        (DATABASES["no database"], []),
        ({"database": None}, []),
    ],
    ids=str,
)
def test_mode_determines_the_resources(
    chart: Chart, values: dict[str, Any], kinds: list[str]
) -> None:
    resources = chart.render(values)

    there = {each["kind"] for each in resources}
    assert sorted(there & {"Cluster", "Job", "ScheduledBackup"}) == kinds
    assert bool(find(resources, "NetworkPolicy", "database")) == ("Cluster" in kinds)
    assert bool(find(resources, "NetworkPolicy", "migration")) == ("Job" in kinds)


def test_database_is_reached_by_the_service_and_the_operator_alone(chart: Chart) -> None:
    resources = chart.render()
    mine, theirs = policy(resources, "database")["ingress"]

    assert mine["ports"] == [{"port": 5432}]
    assert theirs["ports"] == [{"port": 5432}, {"port": 8000}]
    for peer, kind in zip(mine["from"], ("Deployment", "Job"), strict=True):
        labels = pod(resources, kind)["metadata"]["labels"]
        assert matches(peer["podSelector"]["matchLabels"], labels)
    server, operator = theirs["from"]
    assert server == {"podSelector": {"matchLabels": {"cnpg.io/cluster": NAME}}}
    assert operator == {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "cnpg-system"}},
        "podSelector": {"matchLabels": {"app.kubernetes.io/name": "cloudnative-pg"}},
    }
    assert "ingress" not in policy(resources, "migration")


def test_metrics_of_the_servers_are_collected(chart: Chart) -> None:
    values = merged(
        METRICS, {"metrics": {"networkPolicy": {"from": [{"podSelector": MONITORING}]}}}
    )
    resources = chart.render(values)
    [monitor] = find(resources, "PodMonitor", "database")

    assert not [*validator("podmonitor.v1").iter_errors(monitor)]
    assert monitor["spec"]["selector"] == {"matchLabels": {"cnpg.io/cluster": NAME}}
    assert [each["port"] for each in monitor["spec"]["podMetricsEndpoints"]] == ["metrics"]
    assert policy(resources, "database")["ingress"][-1] == {
        "ports": [{"port": 9187}],
        "from": [{"podSelector": MONITORING}],
    }


# The pool of each worker plus one connection, in ten pods and three more during a roll-out;
# two connections of the migration, and three of the operator.
@pytest.mark.parametrize(
    ("values", "needed"),
    [
        ({}, 13 * 8 + 5),
        ({"autoscaling": {"maxReplicas": 11}}, 14 * 8 + 5),
        ({"autoscaling": {"enabled": False}}, 3 * 8 + 5),
        ({"config": {"FASTAPI_WORKERS": 2}}, 13 * 2 * 8 + 5),
        ({"config": {"FASTAPI_DATABASE_POOL_SIZE": 1}}, 13 * 4 + 5),
        ({"config": {"FASTAPI_DATABASE_MAX_OVERFLOW": 0}}, 13 * 6 + 5),
    ],
    ids=str,
)
@engines
def test_too_few_connections_are_refused(
    chart: Chart, engine: str, values: dict[str, Any], needed: int
) -> None:
    def limited(most: int) -> dict[str, Any]:
        parameters = {"max_connections": str(most)}
        return merged(values, {"database": {"operator": {"parameters": parameters}}})

    assert chart.template(engine, limited(needed)).returncode == 0
    done = chart.template(engine, limited(needed - 1))
    assert done.returncode == 1
    assert f"can open {needed} connections" in done.stderr
    assert f"max_connections is {needed - 1}" in done.stderr


def test_chart_assumes_the_pool_of_the_service(chart: Chart, full: Project) -> None:
    code = (
        "from galactic_empire.config.database import DatabaseSettings as settings;"
        "print({name: field.default for name, field in settings.model_fields.items()})"
    )
    defaults = run(full.python, "-c", code, cwd=full.path)
    settings = chart.environment()

    for name in ("database_pool_size", "database_max_overflow"):
        assert f"'{name}': {settings[f'FASTAPI_{name.upper()}']}," in defaults


def test_url_of_the_user_is_used_without_a_database_in_the_chart(chart: Chart) -> None:
    values = {**DATABASES["no database"], "secrets": {"FASTAPI_DATABASE_URL": "postgresql://db"}}

    assert chart.environment(values)["FASTAPI_DATABASE_URL"] == "postgresql://db"


def test_documented_selectors_match(chart: Chart) -> None:
    page = (chart.project.path / "docs/deployment/database.md").read_text("utf-8")
    selectors = {
        words.replace("RELEASE", "prod").replace("NAME-database", NAME)
        for words in re.findall(r"--selector (\S+)", page)
    }
    resources = chart.render()
    [job] = find(resources, "Job")
    of_cluster = {f"cnpg.io/cluster={NAME}"}

    assert selectors > of_cluster
    for selector in selectors - of_cluster:
        wanted = dict(word.split("=") for word in selector.split(","))
        assert matches(wanted, pod(resources, "Job")["metadata"]["labels"])
        assert matches(wanted, job["metadata"]["labels"])
        assert not matches(wanted, pod(resources)["metadata"]["labels"])


def test_documented_resources_are_valid(chart: Chart) -> None:
    page = (chart.project.path / "docs/deployment/database.md").read_text("utf-8")
    [text] = re.findall("<<BACKUP\n(.*?)\nBACKUP", page, re.DOTALL)
    backup = yaml.safe_load(text.replace("NAME-database", NAME))
    [given] = re.findall("# production.yaml\n(.*?)```", page, re.DOTALL)
    [cluster] = find(chart.render(yaml.safe_load(given)), "Cluster")

    assert backup["spec"] == {"cluster": {"name": NAME}, "method": "volumeSnapshot"}
    assert cluster["spec"]["backup"]["volumeSnapshot"]["className"] == "fast"
