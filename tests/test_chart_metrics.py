"""Monitoring in the chart: Prometheus, alerts, and the Grafana dashboard."""

import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from charts import (
    EVERYTHING,
    HOSTILE,
    LONGEST,
    Chart,
    Resource,
    container,
    engines,
    find,
    leaves,
    matches,
    merged,
    nested,
    pod,
    policy,
    validator,
)
from support import METRICS, label, representatives, run

pytestmark = pytest.mark.slow

ON: dict[str, Any] = {"metrics": {"enabled": True}}
PARTS = ("podMonitor", "prometheusRule", "dashboard")
ALL = merged(ON, *({"metrics": {part: {"enabled": True}}} for part in PARTS))
KINDS = ("PodMonitor", "PrometheusRule")
# Labels that Prometheus adds.
GIVEN = {"container", "endpoint", "instance", "job", "namespace", "pod"}
JOB = "empire/prod-galactic-empire"
# The row of each feature and the name of its client, in the order of the dashboard.
CLIENTS = {
    "aiohttp": ("HTTP client", "http"),
    "database": ("Database", "database"),
    "redis": ("Redis", "redis"),
}
FEATURES = [each for each in representatives("charts/.*/dashboards/.*") if each["helm"]]


def promtool(*words: str, cwd: Path) -> None:
    """Run promtool on files, which must be valid."""
    if not shutil.which("promtool"):
        pytest.skip("needs promtool")
    run("promtool", *words, cwd=cwd)


def rules(resources: list[Resource]) -> list[dict[str, Any]]:
    [resource] = find(resources, "PrometheusRule")
    [group] = resource["spec"]["groups"]
    found: list[dict[str, Any]] = group["rules"]
    return found


def dashboards(resources: list[Resource]) -> Iterator[tuple[Resource, dict[str, Any]]]:
    """Yield each dashboard with the resource that contains it."""
    for resource in find(resources, "ConfigMap"):
        for name, text in resource["data"].items():
            if name.endswith(".json"):
                yield resource, json.loads(text)


def board(resources: list[Resource]) -> dict[str, Any]:
    [(_, dashboard)] = dashboards(resources)
    return dashboard


def queries(dashboard: dict[str, Any]) -> dict[tuple[str, str], str]:
    """Return each query by row and panel, as Grafana sends it for all pods of a release."""
    found, row = {}, ""
    for panel in dashboard["panels"]:
        row = panel["title"] if panel["type"] == "row" else row
        for target in panel.get("targets", ()):
            text = target["expr"]
            variables = {"__rate_interval": "5m", "__range": "1h", "job": JOB, "pod": ".*"}
            for name, value in variables.items():
                text = text.replace(f"${name}", value)
            found[row, f"{panel['title']} {target['refId']}"] = text
    return found


def selectors(expression: str) -> list[tuple[str, set[str]]]:
    """Return each metric in an expression, and the labels of its selector."""
    bare = re.sub(r'"(\\.|[^"\\])*"', '""', expression)
    named = re.findall(r"([a-zA-Z_:][\w:]*)\{([^}]*)\}", bare)
    # The remaining words must not be metrics without a selector.
    rest = re.sub(r"[a-zA-Z_:][\w:]*\{[^}]*\}|\[[^]]*\]|\bby \([^)]*\)", " ", bare)
    assert not set(re.findall(r"\b[a-zA-Z_]\w*\b(?! *\()", rest)) - {"bool", "by", "or"}, expression
    return [(name, set(re.findall(r"(\w+) *[=!]", inside))) for name, inside in named]


@pytest.fixture(scope="module")
def resources(chart: Chart) -> list[Resource]:
    return chart.render(ALL)


# The address of the metrics ------------------------------------------------------------


def test_metrics_are_off_by_default(chart: Chart) -> None:
    resources = chart.render()

    assert [port["name"] for port in container(resources)["ports"]] == ["http"]
    assert "FASTAPI_METRICS_BIND" not in chart.environment()
    assert not {resource["kind"] for resource in resources} & set(KINDS)
    assert not [*dashboards(resources)]
    assert not re.search("9000|9187", json.dumps(find(resources, "NetworkPolicy")))
    switches = [place for place, value in leaves(chart.values["metrics"]) if value is True]
    assert not switches


@engines
def test_metrics_have_a_port_that_nothing_publishes(chart: Chart, engine: str) -> None:
    values = merged(
        EVERYTHING, *(nested((key, "enabled"), True) for key in ("ingress", "httpRoute"))
    )

    resources = chart.render(merged(values, ALL), engine=engine)

    assert container(resources)["ports"] == [
        {"name": "http", "containerPort": 8000},
        {"name": "metrics", "containerPort": 9000},
    ]
    [settings] = [one for one in find(resources, "ConfigMap") if "FASTAPI_BIND" in one["data"]]
    assert settings["data"]["FASTAPI_METRICS_BIND"] == "0.0.0.0:9000"
    for kind in ("Service", "Ingress", "HTTPRoute"):
        [resource] = find(resources, kind, "service")
        assert not re.search("9000|metrics", json.dumps(resource)), kind
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert container(resources)[probe]["httpGet"]["port"] == "http"


@pytest.mark.parametrize("bind", ["[::]:9100", ":9100", "0.0.0.0:9100", "metrics.example:9100"])
def test_everything_follows_the_port_of_the_metrics(chart: Chart, bind: str) -> None:
    values = merged(ALL, {"config": {"FASTAPI_METRICS_BIND": bind}})

    resources = chart.render(values)
    notes = chart.helm(
        *("helm4", "install", "prod", chart.path, "--dry-run=client"), values=values
    ).stdout

    assert chart.environment(values)["FASTAPI_METRICS_BIND"] == bind
    assert container(resources)["ports"][1] == {"name": "metrics", "containerPort": 9100}
    assert policy(resources, "service")["ingress"][1]["ports"] == [{"port": 9100}]
    assert "port-forward deployment/prod-galactic-empire 9100:metrics\n" in notes
    assert "Then http://127.0.0.1:9100/metrics answers.\n" in notes


def test_own_address_without_metrics_is_only_a_setting(chart: Chart) -> None:
    values = {"config": {"FASTAPI_METRICS_BIND": "127.0.0.1:9000"}}

    assert chart.environment(values)["FASTAPI_METRICS_BIND"] == "127.0.0.1:9000"
    assert len(container(chart.render(values))["ports"]) == 1


UNREACHABLE = (
    "metrics.enabled needs an address in config.FASTAPI_METRICS_BIND that other pods can reach."
)


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        ({"FASTAPI_METRICS_BIND": ""}, UNREACHABLE),
        ({"FASTAPI_METRICS_BIND": "127.0.0.1:9000"}, UNREACHABLE),
        ({"FASTAPI_METRICS_BIND": "localhost:9000"}, UNREACHABLE),
        ({"FASTAPI_METRICS_BIND": "[::1]:9000"}, UNREACHABLE),
        (
            {"FASTAPI_BIND": "[::]:9000"},
            "config.FASTAPI_METRICS_BIND must have a different port than config.FASTAPI_BIND.",
        ),
    ],
    ids=str,
)
def test_unsuitable_address_of_the_metrics_is_refused(
    chart: Chart, config: dict[str, Any], sentence: str
) -> None:
    done = chart.template("helm4", merged(ON, {"config": config}))

    assert done.returncode == 1
    assert sentence in done.stderr
    assert chart.template("helm4", {"config": config}).returncode == 0


@engines
@pytest.mark.parametrize("part", PARTS)
def test_part_without_metrics_is_refused(chart: Chart, engine: str, part: str) -> None:
    values = merged(ALL, {"metrics": {"enabled": False}})
    others = {"metrics": {other: {"enabled": False} for other in PARTS if other != part}}

    done = chart.template(engine, merged(values, others))

    assert done.returncode == 1
    needed = "needs metrics.enabled: without it the service has no metrics."
    assert f"metrics.{part}.enabled {needed}" in done.stderr


@engines
def test_alerts_without_a_pod_monitor_are_refused(chart: Chart, engine: str) -> None:
    done = chart.template(engine, merged(ALL, {"metrics": {"podMonitor": {"enabled": False}}}))

    assert done.returncode == 1
    sentence = (
        "metrics.prometheusRule.enabled needs metrics.podMonitor.enabled: "
        "its alerts select the job that the PodMonitor creates."
    )
    assert sentence in done.stderr


def test_network_policy_restricts_scraping(chart: Chart) -> None:
    def ingress(values: dict[str, Any]) -> Any:
        return policy(chart.render(values), "service")["ingress"]

    peers = EVERYTHING["metrics"]["networkPolicy"]["from"]
    closed = {"metrics": {"networkPolicy": {"from": peers}}}
    service = {"networkPolicy": {"from": EVERYTHING["networkPolicy"]["from"]}}

    anyone, scrapers = {"ports": [{"port": 9000}]}, {"ports": [{"port": 9000}], "from": peers}
    assert ingress(closed) == ingress({}) == [{"ports": [{"port": 8000}]}]
    assert ingress(ON)[1:] == [anyone]
    assert ingress(merged(ON, closed)) == [{"ports": [{"port": 8000}]}, scrapers]
    # Access to the service and access to the metrics are separate.
    assert ingress(merged(ON, service))[1:] == [anyone]
    assert ingress(merged(ON, service, closed))[1:] == [scrapers]
    assert len(ingress(merged(ON, service))[0]["from"]) == len(service["networkPolicy"]["from"]) + 1
    off = {"networkPolicy": {"enabled": False}, "redis": {"mode": "none"}}
    assert not find(chart.render(merged(ALL, off)), "NetworkPolicy")


# Resources of the Prometheus operator ---------------------------------------------------


@engines
@pytest.mark.parametrize("kind", KINDS)
def test_resources_match_the_schema_of_the_operator(chart: Chart, engine: str, kind: str) -> None:
    schema = validator(f"{kind.lower()}.v1")

    for values in (ALL, merged(EVERYTHING, ALL)):
        [resource] = find(chart.render(values, engine=engine), kind, "service")
        assert resource["apiVersion"] == "monitoring.coreos.com/v1"
        assert not [*schema.iter_errors(resource)]
        unknown = merged(resource, {"spec": {"unknown": 1}})
        assert not schema.is_valid(unknown)


def test_monitor_selects_only_the_pods_of_the_service(resources: list[Resource]) -> None:
    [monitor] = find(resources, "PodMonitor", "service")
    [test] = find(resources, "Pod")
    [replication] = find(resources, "RedisReplication")
    spec = monitor["spec"]

    [endpoint] = spec["podMetricsEndpoints"]

    assert endpoint == {"port": "metrics", "path": "/metrics", "interval": "30s"}
    assert endpoint["port"] in {port["name"] for port in container(resources)["ports"]}
    selector = spec["selector"]["matchLabels"]
    assert matches(selector, pod(resources)["metadata"]["labels"])
    assert not matches(selector, test["metadata"]["labels"])
    assert not matches(selector, replication["metadata"]["labels"])
    # The operator searches the namespace of the monitor, and builds the job from both names.
    metadata = monitor["metadata"]
    assert spec.keys() == {"selector", "podMetricsEndpoints"}
    assert f"{metadata['namespace']}/{metadata['name']}" == JOB


def test_empty_interval_means_that_of_prometheus(chart: Chart) -> None:
    values = merged(ALL, {"metrics": {"podMonitor": {"interval": ""}}})

    [monitor] = find(chart.render(values), "PodMonitor", "service")

    assert "interval" not in monitor["spec"]["podMetricsEndpoints"][0]


@engines
def test_labels_can_be_chosen_freely(chart: Chart, engine: str) -> None:
    labels = {"release": "1", "app.kubernetes.io/component": "null"}
    values = merged(EVERYTHING, ALL, {"metrics": {part: {"labels": labels} for part in PARTS}})

    resources = chart.render(values, engine=engine)

    [(configured, _)] = dashboards(resources)
    for resource in (*(find(resources, kind)[0] for kind in KINDS), configured):
        own = {**labels, "app.kubernetes.io/instance": "prod"}
        assert resource["metadata"]["labels"].items() >= own.items()
    assert configured["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert configured["metadata"]["annotations"] == {"grafana_folder": HOSTILE}


@pytest.mark.parametrize("release", ["x" * LONGEST, "1e6", "a.b"])
@pytest.mark.parametrize("slug", ["x" * LONGEST, "on"])
def test_names_are_short_enough_and_those_of_the_monitor(
    charts: Callable[..., Chart], slug: str, release: str
) -> None:
    chart = charts(project_slug=slug, package_name="empire")

    resources = chart.render(ALL, release)

    [monitor] = find(resources, "PodMonitor", "service")
    [(configured, dashboard)] = dashboards(resources)
    job = f"empire/{monitor['metadata']['name']}"
    assert all(f'job="{job}"' in rule["expr"] for rule in rules(resources))
    assert all(isinstance(text, str) for rule in rules(resources) for _, text in leaves(rule))
    assert dashboard["title"] == job
    assert len(configured["metadata"]["name"]) <= 63
    # The maximum length in Grafana.
    assert re.fullmatch("[0-9a-f]{40}", dashboard["uid"])
    [file] = configured["data"]
    assert re.fullmatch(r"[-._a-zA-Z0-9]{1,253}", file)


def test_releases_stay_apart(chart: Chart) -> None:
    """All releases share a Grafana, whose dashboards are files in one folder."""
    found = [
        (job, configured["metadata"]["name"], *configured["data"], board["uid"], board["title"])
        for release in ("prod", "staging", "r" * (LONGEST - 1) + "a", "r" * (LONGEST - 1) + "b")
        for resources in [chart.render(ALL, release)]
        for configured, board in dashboards(resources)
        for job in {*re.findall('job="([^"]+)"', json.dumps(rules(resources)).replace("\\", ""))}
    ]

    assert len(found) == 4
    for column in zip(*found, strict=True):
        assert len(set(column)) == 4


# Alerts --------------------------------------------------------------------------------


def series(name: str, values: str, **labels: str) -> dict[str, str]:
    """Return samples of a metric, one every 30 seconds, in the format of promtool."""
    own = {"job": JOB, "pod": "a", **labels}
    selector = ", ".join(f'{key}="{value}"' for key, value in own.items())
    return {"series": f"{name}{{{selector}}}", "values": values}


def answers(values: str, status: str, **labels: str) -> dict[str, str]:
    return series("http_request_duration_seconds_count", values, status=status, **labels)


def durations(*counts: int, **labels: str) -> list[dict[str, str]]:
    """Return the numbers of requests that took at most 1, 2.5 and any number of seconds."""
    return [
        series("http_request_duration_seconds_bucket", f"0+{count}x120", le=le, **labels)
        for le, count in zip(("1", "2.5", "+Inf"), counts, strict=True)
    ]


def pool(client: str, used: str, limit: str = "", **labels: str) -> list[dict[str, str]]:
    limits = [series("client_connections_limit", limit, client=client, **labels)] if limit else []
    return [series("client_connections_in_use", used, client=client, **labels), *limits]


READY = series("service_ready", "1x120")
STARTED = "service_start_time_seconds"
ABSENT = (
    "None of its pods was ready at the last readiness probe, or Prometheus receives no "
    "metrics from them."
)

Series = list[dict[str, str]]
# For each alert, series that make it fire; the minutes at which it does not fire yet and at
# which it does; its labels besides those of the rule; and its description.
FIRING: dict[str, tuple[str, Series, int, int, dict[str, str], str]] = {
    "errors": (
        "ErrorRatioHigh",
        [answers("0+90x120", "200"), answers("0+10x120", "502", pod="b")],
        *(9, 12),
        {},
        "In the last five minutes, 10% of its responses had a 5xx status.",
    ),
    "nothing but errors": (
        "ErrorRatioHigh",
        [answers("0+1x120", "500")],
        *(9, 12),
        {},
        "In the last five minutes, 100% of its responses had a 5xx status.",
    ),
    "latency": (
        "LatencyHigh",
        durations(90, 100, 100),
        *(9, 12),
        {},
        "In the last five minutes, the 0.95 quantile of its request durations was 1.75s.",
    ),
    "not ready": (
        "NoReadyPod",
        [series("service_ready", "0x120"), series("service_ready", "0x120", pod="b")],
        *(1, 3),
        {"job": JOB},
        ABSENT,
    ),
    "no metrics": ("NoReadyPod", [], 1, 3, {"job": JOB}, ABSENT),
    "not ready, then gone": (
        "NoReadyPod",
        [series("service_ready", "1x4 0x3 stale")],
        *(3, 5),
        {"job": JOB},
        ABSENT,
    ),
    "pool": (
        "ConnectionPoolExhausted",
        [*pool("x", "7x120", "7x120"), *pool("y", "1x120", "7x120")],
        *(4, 6),
        {"job": JOB, "pod": "a", "client": "x"},
        "In the last five minutes, the client x of pod a used 100% of its connections on average.",
    ),
    "restarts": (
        "PodRestarting",
        [series(STARTED, "100x9 200x9 300x9 400x120"), series(STARTED, "50x120", pod="b")],
        *(14, 18),
        {"job": JOB, "pod": "a"},
        "In the last hour, pod a restarted 3 times.",
    ),
}
OTHER = {"job": "empire/staging-galactic-empire"}
# Series that never fire an alert.
QUIET: dict[str, Series] = {
    "few errors": [answers("0+96x120", "200"), answers("0+4x120", "500")],
    "errors of clients": [answers("0+1x120", "404"), answers("0+9x120", "429")],
    "a single error": [answers("0x20 1x100", "200"), answers("0x10 1x110", "500")],
    "no requests": [answers("5x120", "200"), answers("5x120", "500"), *durations(0, 0, 0)],
    "fast": durations(96, 100, 100),
    "one pod of two": [series("service_ready", "0x120", pod="b")],
    "unready for a minute": [series("service_ready", "1x10 0x2 1x120", pod="a")],
    "no limit": pool("x", "1000x120"),
    "limit of none": pool("x", "1000x120", "0x120"),
    "room in the pool": pool("x", "6x120", "7x120"),
    "full for a moment": pool("x", "1x20 7x4 1x120", "7x120"),
    "full, but elsewhere": [*pool("x", "7x120"), *pool("x", "1x120", "7x120", pod="b")],
    "two restarts": [series(STARTED, "100x9 200x9 300x120")],
    "roll-outs": [series(STARTED, f"{n}x30 stale", pod=f"pod-{n}") for n in range(9)],
    "another release": [
        answers("0+1x120", "500", **OTHER),
        *durations(0, 0, 100, **OTHER),
        series("service_ready", "0x120", **OTHER),
        *pool("x", "7x120", "7x120", **OTHER),
        series(STARTED, "100x9 200x9 300x9 400x120", **OTHER),
    ],
}


def check_alerts(folder: Path, groups: Any, tests: list[dict[str, Any]]) -> None:
    (folder / "rules.yaml").write_text(yaml.safe_dump({"groups": groups}))
    times = {"rule_files": ["rules.yaml"], "evaluation_interval": "30s"}
    (folder / "test.yaml").write_text(yaml.safe_dump({**times, "tests": tests}))
    promtool("test", "rules", "test.yaml", cwd=folder)


def groups_of(resources: list[Resource]) -> Any:
    [resource] = find(resources, "PrometheusRule")
    return resource["spec"]["groups"]


def test_rules_are_valid(resources: list[Resource], tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump({"groups": groups_of(resources)}))

    promtool("check", "rules", "--lint=all", "--lint-fatal", "rules.yaml", cwd=tmp_path)


def test_every_alert_has_a_firing_test(resources: list[Resource]) -> None:
    assert {rule["alert"] for rule in rules(resources)} == {case[0] for case in FIRING.values()}
    for rule in rules(resources):
        assert rule["labels"].keys() == {"severity", "namespace", "service"}
        assert rule["labels"]["severity"] in {"critical", "warning"}
        assert rule["annotations"].keys() == {"summary", "description"}
        assert re.fullmatch(r"prod-galactic-empire [^{}]+\.", rule["annotations"]["summary"])
        assert re.fullmatch("[0-9]+m", rule["for"])


@pytest.mark.parametrize("name", FIRING)
def test_alert_fires_in_time(resources: list[Resource], tmp_path: Path, name: str) -> None:
    alert, samples, early, late, own, description = FIRING[name]
    [rule] = [rule for rule in rules(resources) if rule["alert"] == alert]
    expected = {
        "exp_labels": {**rule["labels"], **own},
        "exp_annotations": {**rule["annotations"], "description": description},
    }
    times: list[tuple[int, list[Any]]] = [(early, []), (late, [expected])]

    check_alerts(
        tmp_path,
        groups_of(resources),
        [
            {
                "interval": "30s",
                "input_series": samples,
                "alert_rule_test": [
                    {"eval_time": f"{minute}m", "alertname": alert, "exp_alerts": alerts}
                    for minute, alerts in times
                ],
            }
        ],
    )


def quiet(resources: list[Resource], samples: Series) -> dict[str, Any]:
    """Return a test in which no alert fires within the hour."""
    ready = [] if any(each["series"] == READY["series"] for each in samples) else [READY]
    return {
        "interval": "30s",
        "input_series": [*samples, *ready],
        "alert_rule_test": [
            {"eval_time": f"{minute}m", "alertname": rule["alert"], "exp_alerts": []}
            for minute in range(2, 60)
            for rule in rules(resources)
        ],
    }


@pytest.mark.parametrize("name", QUIET)
def test_nothing_else_is_an_alert(resources: list[Resource], tmp_path: Path, name: str) -> None:
    check_alerts(tmp_path, groups_of(resources), [quiet(resources, QUIET[name])])


QUANTILE = ("metrics", "prometheusRule", "latencyQuantile")


@engines
def test_thresholds_are_values(chart: Chart, tmp_path: Path, engine: str) -> None:
    lenient = {
        "errorRatio": 0.2,
        "latencySeconds": 2,
        "poolUsage": 1,
        "restartsPerHour": 1000000,
    }
    values = merged(ALL, {"metrics": {"prometheusRule": lenient}})
    resources = chart.render(values, engine=engine)
    samples = [
        *(FIRING[name][1] for name in ("errors", "latency", "restarts")),
        pool("x", "95x120", "100x120"),
    ]

    check_alerts(tmp_path, groups_of(resources), [quiet(resources, each) for each in samples])

    [by_quantile] = [
        rule
        for rule in rules(chart.render(merged(values, nested(QUANTILE, 0.5)), engine=engine))
        if rule["alert"] == "LatencyHigh"
    ]
    assert re.search(r"histogram_quantile\(\s*0\.5,", by_quantile["expr"])
    assert "the 0.5 quantile of" in by_quantile["annotations"]["description"]


# The dashboard -------------------------------------------------------------------------


@pytest.mark.parametrize("answers", FEATURES, ids=label)
def test_dashboard_has_a_row_for_each_client(
    charts: Callable[..., Chart], answers: dict[str, Any]
) -> None:
    chart = charts(**answers)
    clients = {feature: client for feature, client in CLIENTS.items() if answers[feature]}

    dashboard = board(chart.render(ALL))

    rows = [panel["title"] for panel in dashboard["panels"] if panel["type"] == "row"]
    general = ["Service", "Rate", "Errors", "Duration", "Saturation"]
    assert rows == [*general, *(title for title, _ in clients.values())]
    read: dict[str, set[str]] = {}
    for (row, _), query in queries(dashboard).items():
        read.setdefault(row, set()).update(re.findall('client="([^"]+)"', query))
    own = {row: {name} for row, name in clients.values()}
    assert read == {**{row: set() for row in general}, **own}
    files = {file.stem for file in (chart.path / "dashboards").iterdir()}
    assert files == {"service", "client", *clients}
    check_layout(dashboard)


def check_layout(dashboard: dict[str, Any]) -> None:
    """Check that panels have unique ids, do not overlap, leave no gap, and have queries."""
    panels = dashboard["panels"]
    cells: set[tuple[int, int]] = set()
    assert [panel["id"] for panel in panels] == [*range(1, len(panels) + 1)]
    for panel in panels:
        place = panel["gridPos"]
        own = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert own and not own & cells, panel["title"]
        cells |= own
        if panel["type"] == "row":
            assert (place["x"], place["w"], place["h"]) == (0, 24, 1)
            # The panels of an expanded row follow it in the list.
            assert (panel["collapsed"], panel["panels"]) == (False, [])
        else:
            assert panel["type"] in {"stat", "timeseries"}
            assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
            assert panel["description"].endswith(".")
            identifiers = [target["refId"] for target in panel["targets"]]
            assert identifiers and len(identifiers) == len(set(identifiers))
            assert all(target["expr"] for target in panel["targets"])
    assert {x for x, _ in cells} == {*range(24)}
    order = [(panel["gridPos"]["y"], panel["gridPos"]["x"]) for panel in panels]
    assert order == sorted(order)
    # There are no gaps: each line is full.
    assert len(cells) == 24 * (max(y for _, y in cells) + 1)


@engines
def test_dashboard_begins_with_its_release(chart: Chart, engine: str) -> None:
    [(configured, dashboard)] = dashboards(chart.render(ALL, engine=engine))
    variables = {each["name"]: each for each in dashboard["templating"]["list"]}

    assert configured["metadata"]["name"] == "prod-galactic-empire-dashboard"
    assert configured["metadata"]["namespace"] == "empire"
    assert [*configured["data"]] == ["empire.prod-galactic-empire.json"]
    # A client-side apply keeps a copy in an annotation, which must be smaller.
    assert len(configured["data"]["empire.prod-galactic-empire.json"]) < 256 * 1024
    # The last version of the classic schema.
    assert dashboard["schemaVersion"] == 42
    assert "id" not in dashboard
    assert [*variables] == ["datasource", "job", "pod"]
    assert (variables["datasource"]["type"], variables["datasource"]["query"]) == (
        "datasource",
        "prometheus",
    )
    assert variables["job"]["current"] == {"text": JOB, "value": JOB}
    assert variables["job"]["query"] == "label_values(service_info, job)"
    assert variables["pod"]["query"] == 'label_values(service_info{job="$job"}, pod)'
    assert "grafana_dashboard" in configured["metadata"]["labels"]


def test_every_query_is_valid(resources: list[Resource], tmp_path: Path) -> None:
    found = queries(board(resources))
    recorded = [
        {"record": f"query:{number}", "expr": query} for number, query in enumerate(found.values())
    ]
    groups = [{"name": "queries", "rules": recorded}]
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump({"groups": groups}))

    promtool("check", "rules", "rules.yaml", cwd=tmp_path)

    assert len(found) > 25
    assert not re.search(r"\$", " ".join(found.values()))


def test_queries_and_rules_use_existing_metrics(resources: list[Resource]) -> None:
    parts = {"": "", "histogram": "_bucket _sum _count"}
    known = {"up": frozenset[str]()}
    for name, (kind, labels) in METRICS.items():
        for suffix in parts.get(kind, "").split() or [""]:
            known[name + suffix] = labels.union({"le"} if suffix == "_bucket" else ())
    dashboard = board(resources)
    expressions = [*(rule["expr"] for rule in rules(resources)), *queries(dashboard).values()]

    read = set()
    for expression in expressions:
        found = selectors(expression)
        assert found
        for name, chosen in found:
            assert chosen - GIVEN <= known[name], expression
            assert "job" in chosen, expression
            read.add(name)
        grouped = {
            word
            for inside in re.findall(r"\bby \(([^)]*)\)", expression)
            for word in re.split(r",\s*", inside)
        }
        assert grouped - GIVEN <= frozenset().union(*(known[name] for name, _ in found)), expression

    # The dashboard shows every metric.
    shown = {name for query in queries(dashboard).values() for name, _ in selectors(query)}
    assert {re.sub("_(bucket|sum|count)$", "", name) for name in shown} == METRICS.keys() | {"up"}
    assert len(read) > len(METRICS)


def test_legends_use_labels_of_their_queries(resources: list[Resource]) -> None:
    for panel in board(resources)["panels"]:
        for target in panel.get("targets", ()):
            named = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
            grouped = re.findall(r"\bby \(([^)]*)\)", target["expr"])
            if grouped:
                assert named == set(re.split(r",\s*", grouped[0])) - {"le"}, panel["title"]
            else:
                assert named <= {"pod"}, panel["title"]


def value(query: str, *expected: float) -> dict[str, Any]:
    """Return a test that a query gives this value, or no result, after half an hour."""
    samples = [{"labels": "{}", "value": number} for number in expected]
    return {"expr": query, "eval_time": "30m", "exp_samples": samples}


def test_queries_are_empty_where_there_is_nothing(
    resources: list[Resource], tmp_path: Path
) -> None:
    """If a client has no limit, or nothing waits for it, panels show no data instead of 0."""
    found = queries(board(resources))
    used = [
        each
        for _, name in CLIENTS.values()
        for pod in "ab"
        for each in pool(name, "3x120", pod=pod)
    ]
    shown = {(title, "Connections A"): (6.0,) for title, _ in CLIENTS.values()}
    tests = [
        {
            "interval": "30s",
            "input_series": samples,
            "promql_expr_test": [
                value(query, *values.get(place, ())) for place, query in found.items()
            ],
        }
        for samples, values in (([], {}), (used, shown))
    ]

    check_alerts(tmp_path, [], tests)


def test_dashboard_shows_correct_values(resources: list[Resource], tmp_path: Path) -> None:
    found = queries(board(resources))
    healthy = [
        READY,
        series("service_ready", "0x120", pod="b"),
        series("up", "1x120"),
        series("up", "0x120", pod="c"),
        answers("0+30x120", "200"),
        *durations(100, 100, 100),
        series(STARTED, "100x9 200x120"),
        *pool("http", "3x120", "4x120"),
        *pool("http", "1x120", "4x120", pod="b"),
        # Another release, which is never counted.
        answers("0+30x120", "500", **OTHER),
        series("service_ready", "1x120", **OTHER),
        series("up", "1x120", **OTHER),
    ]
    expected = {
        ("Service", "Ready pods A"): 1,
        ("Service", "Requests A"): 1,
        ("Service", "Errors A"): 0,
        ("Service", "95th percentile A"): 0.95,
        ("Service", "Restarts A"): 1,
        ("Errors", "Share of errors A"): 0,
        ("Duration", "Duration A"): 0.5,
        ("Saturation", "Pods A"): 2,
        ("Saturation", "Pods B"): 1,
        ("Saturation", "Pods C"): 1,
        ("HTTP client", "Connections A"): 4,
        ("HTTP client", "Connections B"): 8,
    }
    broken = [*healthy, answers("0+10x120", "500", pod="b")]
    tests = [
        {
            "interval": "30s",
            "input_series": samples,
            "promql_expr_test": [value(found[place], wanted) for place, wanted in values.items()],
        }
        for samples, values in (
            (healthy, expected),
            (broken, {("Service", "Errors A"): 0.25, ("Errors", "Share of errors A"): 0.25}),
        )
    ]

    check_alerts(tmp_path, [], tests)


# The documentation ---------------------------------------------------------------------


def page(chart: Chart) -> str:
    return (chart.project.path / "docs/deployment/kubernetes.md").read_text("utf-8")


def test_page_lists_every_alert(chart: Chart, resources: list[Resource]) -> None:
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| .+ \|$", page(chart), re.M)

    assert rows == [(rule["alert"], rule["labels"]["severity"]) for rule in rules(resources)]


def test_values_on_the_page_enable_everything(chart: Chart) -> None:
    blocks = re.findall(r"^```yaml\n(.+?)^```$", page(chart), re.M | re.S)
    [values] = [yaml.safe_load(block) for block in blocks if "\nmetrics:" in block]

    resources = chart.render(values)

    for kind in KINDS:
        [resource] = find(resources, kind, "service")
        assert resource["metadata"]["labels"]["release"] == "kube-prometheus-stack"
    assert board(resources)["title"] == JOB
    assert policy(resources, "service")["ingress"][1]["from"]


def test_ci_values_of_the_chart_enable_everything(chart: Chart) -> None:
    values = yaml.safe_load((chart.path / "ci/metrics-values.yaml").read_text("utf-8"))

    assert values == ALL


def test_tracing_is_configured_by_settings(chart: Chart) -> None:
    others = {
        "OTEL_SERVICE_NAME": HOSTILE,
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318",
        "OTEL_TRACES_SAMPLER_ARG": 0.1,
    }
    secrets = {"OTEL_EXPORTER_OTLP_HEADERS": "authorization=Basic a=="}

    variables = chart.environment(merged(ALL, {"config": others, "secrets": secrets}))

    assert variables.items() >= {**others, **secrets, "OTEL_TRACES_SAMPLER_ARG": "0.1"}.items()
