"""The path of an alarm through real servers: service and textfiles, Prometheus, Alertmanager, webhook and PagerDuty.

The committed files are tested; only addresses and waiting times differ. The tests run in order, as one day.
"""

import itertools
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.helpers.grafana import DASHBOARDS, queries_of, read_dashboard, with_variables
from tests.helpers.monitoring import (
    CONFIGURATION,
    Prometheus,
    Sink,
    checked,
    free_address,
    in_namespace,
    quick_alertmanager,
    quick_prometheus,
    sink,
    started,
    tool,
    wait_for,
)
from tests.helpers.projects import make_project, shell
from tests.helpers.runs import rerun
from tests.helpers.servers import mlflow_server
from tests.helpers.services import RunningService, running_service
from tests.helpers.textfiles import figures_of_monitor, figures_of_outcomes, write_textfile

pytestmark = pytest.mark.monitoring

CASES = sorted((CONFIGURATION / "prometheus/tests").glob("*.yml"))
PROBES = CONFIGURATION / "blackbox/blackbox.yml"
OF_THE_MACHINE = {"ChurnDiskNearlyFull", "ChurnServiceSlow"}
"""Alarms that say something of the machine that runs the tests."""

CUSTOMERS: tuple[dict[str, Any], ...] = (
    {"plan": "basic", "months": 3, "fee": 29.85, "senior": True},
    {"plan": "pro", "months": 40, "fee": None, "senior": False},
    {"plan": "not seen in training", "months": 12, "fee": 50.0, "senior": False},
)


@dataclass(frozen=True)
class Chain:
    """All that runs."""

    prometheus: Prometheus
    service: RunningService
    webhook: Sink
    pagerduty: Sink
    pushgateway: str
    textfiles: Path


def test_the_tools_accept_the_committed_files() -> None:
    checked(tool("promtool"), "check", "rules", CONFIGURATION / "prometheus/rules/churn.yml")
    checked(tool("promtool"), "check", "config", "--syntax-only", CONFIGURATION / "prometheus/prometheus.yml")
    checked(tool("amtool"), "check-config", CONFIGURATION / "alertmanager/alertmanager.yml")
    checked(tool("prometheus-blackbox-exporter"), "--config.check", f"--config.file={PROBES}")


@pytest.mark.parametrize("cases", CASES, ids=lambda path: path.stem)
def test_each_alarm_fires_when_it_has_to_and_not_otherwise(cases: Path) -> None:
    checked(tool("promtool"), "test", "rules", cases)


def test_a_wrong_limit_is_found(tmp_path: Path) -> None:
    """So that the test above can fail."""
    rules = (CONFIGURATION / "prometheus/rules/churn.yml").read_text()
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules/churn.yml").write_text(rules.replace("> 0.25", "> 0.75"))
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests/service.yml").write_text((CONFIGURATION / "prometheus/tests/service.yml").read_text())
    with pytest.raises(AssertionError, match="alertname: ChurnServiceSlow"):
        checked(tool("promtool"), "test", "rules", tmp_path / "tests/service.yml")


@contextmanager
def traffic(service: RunningService, token: str) -> Iterator[None]:
    """Customers that are scored one after the other while the block runs."""
    ended = threading.Event()

    def ask() -> None:
        # The last test ends the service while customers still come.
        with requests.Session() as client, suppress(requests.ConnectionError):
            client.headers["Authorization"] = f"Bearer {token}"
            for customer in itertools.cycle(CUSTOMERS):
                if ended.wait(0.02):
                    return
                client.post(f"{service.url}/v1/score", json=customer, timeout=30)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def make_served_project(folder: Path) -> None:
    """A project with a model; its plans can be any, so that a label can be unknown."""
    make_project(folder)
    params = folder / "params.yaml"
    params.write_text(params.read_text().replace("values: [basic, plus, pro]", "values: null"))
    rerun(folder, "preprocess", "train")
    shell(folder)("git add --all && git commit --quiet --message results")


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chain]:
    folder = tmp_path_factory.mktemp("chain")
    make_served_project(folder / "project")
    run = shell(folder / "project")
    (folder / "metrics-token").write_text(run("churn token new prometheus --scope metrics").stdout)
    (folder / "webhook-token").write_text("secret of the webhook\n")
    (folder / "routing-key").write_text("key of the on-call service\n")
    token = run("churn token new shop").stdout.strip()
    textfiles = folder / "monitoring"
    textfiles.mkdir()
    write_textfile(textfiles, "churn_monitor.prom", figures_of_monitor())
    write_textfile(textfiles, "churn_outcomes.prom", figures_of_outcomes())
    with ExitStack() as running:
        service = running.enter_context(running_service(folder / "project", "--log", "predictions/service"))
        mlflow = running.enter_context(mlflow_server(folder))
        webhook, pagerduty = running.enter_context(sink()), running.enter_context(sink())
        node, blackbox, pushgateway = free_address(), free_address(), free_address()
        alertmanager, prometheus = free_address(), free_address()

        def start(path: str, address: str, *command: str, within: Any = list) -> None:
            line = [tool(command[0]), *command[1:], f"--web.listen-address={address}"]
            running.enter_context(started(within(line), address, path, folder / f"{command[0]}.log"))

        start("/", node, "prometheus-node-exporter", f"--collector.textfile.directory={textfiles}")
        start("/", blackbox, "prometheus-blackbox-exporter", f"--config.file={PROBES}")
        start("/-/ready", pushgateway, "prometheus-pushgateway", f"--persistence.file={folder}/pushed")
        tellings = quick_alertmanager(
            folder,
            {
                "https://alerts.example.com": f"http://{webhook.address}",
                "https://events.pagerduty.com": f"http://{pagerduty.address}",
                "/run/secrets/alert-webhook-token": f"{folder}/webhook-token",
                "/run/secrets/pagerduty-routing-key": f"{folder}/routing-key",
            },
        )
        options = [f"--config.file={tellings}", "--cluster.listen-address=", f"--storage.path={folder}/notified"]
        start("/-/ready", alertmanager, "prometheus-alertmanager", *options, within=in_namespace)
        running.enter_context(traffic(service, token))
        reading = quick_prometheus(
            folder,
            {
                "api:8000": service.url.removeprefix("http://"),
                "http://mlflow:5000": mlflow,
                "node-exporter:9100": node,
                "blackbox-exporter:9115": blackbox,
                "pushgateway:9091": pushgateway,
                "alertmanager:9093": alertmanager,
                "localhost:9090": prometheus,
                "/run/secrets/metrics-token": f"{folder}/metrics-token",
            },
        )
        checked(tool("promtool"), "check", "config", reading)
        start("/-/ready", prometheus, "prometheus", f"--config.file={reading}", f"--storage.tsdb.path={folder}/series")
        yield Chain(Prometheus(prometheus), service, webhook, pagerduty, pushgateway, textfiles)


def test_prometheus_reads_every_target(chain: Chain) -> None:
    wait_for(lambda: chain.prometheus.values("count(up == 1)") == [5.0], "5 targets")
    assert chain.prometheus.targets() == dict.fromkeys(
        ("prometheus", "churn-service", "node", "pushgateway", "mlflow"), ""
    )
    assert chain.prometheus.values('probe_success{job="mlflow"}') == [1.0]


def test_the_service_shows_its_metrics_only_with_the_token(chain: Chain) -> None:
    assert chain.service.get("/metrics").status_code == 401


def test_a_command_elsewhere_can_push_its_figures(chain: Chain) -> None:
    url = f"http://{chain.pushgateway}/metrics/job/churn_monitor/instance/elsewhere"
    requests.post(url, data=figures_of_monitor(), timeout=10).raise_for_status()
    pushed = 'churn_monitor_customers{job="churn_monitor", instance="elsewhere"}'
    chain.prometheus.wait_for(pushed, "what was pushed, under its own names")
    requests.delete(url, timeout=10).raise_for_status()
    wait_for(lambda: not chain.prometheus.values(pushed), "nothing of it is left")


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_every_query_of_a_dashboard_gives_data(chain: Chain, path: Path) -> None:
    dashboard = read_dashboard(path)
    for model in ("champion", "shadow"):
        values = {"__rate_interval": "1m", "__range": "5m", "route": ".*", "model": model}
        for panel, query in queries_of(dashboard):
            chain.prometheus.wait_for(with_variables(query, values), panel)
    for variable in dashboard.templating.list:
        metric, label = variable.query.removeprefix("label_values(").rstrip(")").split(", ")
        assert chain.prometheus.labels(metric, label), variable.name


def test_while_all_is_well_nobody_is_told_anything(chain: Chain) -> None:
    assert chain.prometheus.firing() <= OF_THE_MACHINE
    assert chain.pagerduty.received == []


def told(body: dict[str, Any], alarm: str, status: str) -> bool:
    return bool(body["status"] == status and body["commonLabels"]["alertname"] == alarm)


def paged(body: dict[str, Any], summary: str, action: str) -> bool:
    return bool(body["event_action"] == action and body["payload"]["summary"] == summary)


def test_drift_is_told_with_its_figures_and_taken_back(chain: Chain) -> None:
    write_textfile(chain.textfiles, "churn_monitor.prom", figures_of_monitor({"scores", "columns"}))
    path, token, body = chain.webhook.wait_for(lambda body: told(body, "ChurnDrift", "firing"), "drift")
    assert (path, token) == ("/churn", "Bearer secret of the webhook")
    assert body["commonAnnotations"]["summary"] == "New customers differ from those of training (columns)"
    assert body["commonAnnotations"]["description"].startswith("p-value 0.0004. Most shifted columns: plan 0.31")
    assert body["commonAnnotations"]["runbook"] == "docs/alarms.md#churndrift"
    chain.webhook.wait_for(lambda body: told(body, "ChurnScoreShift", "firing"), "shifted scores")

    summary = "The scores of new customers differ from those of training"
    path, _, page = chain.pagerduty.wait_for(lambda body: paged(body, summary, "trigger"), "page")
    assert path == "/v2/enqueue"
    assert page["routing_key"] == "key of the on-call service"
    assert page["payload"]["severity"] == "critical"
    details = page["payload"]["custom_details"]
    assert details["description"].strip() == "Kolmogorov-Smirnov distance 0.210, p-value 0.0004, 1000 customers."
    assert details["runbook"] == "docs/alarms.md#churnscoreshift"

    write_textfile(chain.textfiles, "churn_monitor.prom", figures_of_monitor())
    chain.webhook.wait_for(lambda body: told(body, "ChurnDrift", "resolved"), "drift is over")
    chain.webhook.wait_for(lambda body: told(body, "ChurnScoreShift", "resolved"), "scores are as before")
    _, _, end = chain.pagerduty.wait_for(lambda body: body["event_action"] == "resolve", "page is over")
    assert end["dedup_key"] == page["dedup_key"]


def test_only_what_is_critical_pages(chain: Chain) -> None:
    assert {body["payload"]["severity"] for _, _, body in chain.pagerduty.received if "payload" in body} == {"critical"}
    assert "ChurnDrift" not in str(chain.pagerduty.received)


def test_a_service_that_is_gone_pages(chain: Chain) -> None:
    assert chain.service.end() == 0
    summary = "The scoring service does not answer"
    chain.pagerduty.wait_for(lambda body: paged(body, summary, "trigger"), "page")
    chain.webhook.wait_for(lambda body: told(body, "ChurnServiceDown", "firing"), "the webhook is told as well")
