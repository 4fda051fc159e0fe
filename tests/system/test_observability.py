"""Alarms, dashboards and their containers fit together, as far as it shows without servers and without an engine."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from churn.config.params import read_yaml
from tests.helpers.grafana import DASHBOARDS, read_dashboard
from tests.helpers.monitoring import CONFIGURATION
from tests.helpers.projects import REPOSITORY

OVERLAY = REPOSITORY / "deploy/compose/observability.yml"
SERVICES: dict[str, dict[str, Any]] = read_yaml(OVERLAY)["services"]
PAGE = (REPOSITORY / "docs/alarms.md").read_text()
CASES = [read_yaml(path) for path in sorted((CONFIGURATION / "prometheus/tests").glob("*.yml"))]
every_service = pytest.mark.parametrize("name", SERVICES)
every_dashboard = pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
needs_compose = pytest.mark.skipif(
    not shutil.which("docker") or subprocess.run(["docker", "compose", "version"], capture_output=True).returncode != 0,
    reason="docker compose is not installed",
)


GROUPS = read_yaml(CONFIGURATION / "prometheus/rules/churn.yml")["groups"]
ALARMS: list[dict[str, Any]] = [rule for group in GROUPS for rule in group["rules"] if "alert" in rule]
every_alarm = pytest.mark.parametrize("alarm", ALARMS, ids=lambda alarm: alarm["alert"])


@every_alarm
def test_an_alarm_says_how_bad_it_is_and_where_it_is_explained(alarm: dict[str, Any]) -> None:
    assert alarm["labels"]["severity"] in ("critical", "warning")
    assert alarm["annotations"]["runbook"] == f"docs/alarms.md#{alarm['alert'].lower()}"
    assert alarm["annotations"]["summary"]
    assert "{{" in alarm["annotations"]["description"]


@every_alarm
def test_an_alarm_is_tested_when_it_fires_and_when_it_does_not(alarm: dict[str, Any]) -> None:
    tested = [
        one
        for cases in CASES
        for case in cases["tests"]
        for one in case.get("alert_rule_test", [])
        if one["alertname"] == alarm["alert"]
    ]
    assert {bool(one.get("exp_alerts")) for one in tested} == {True, False}


def test_every_alarm_is_explained_and_no_other() -> None:
    assert re.findall(r"^### (Churn\w+)$", PAGE, re.MULTILINE) == [alarm["alert"] for alarm in ALARMS]


@every_dashboard
def test_a_dashboard_is_what_grafana_takes(path: Path) -> None:
    dashboard = read_dashboard(path)
    source = read_yaml(CONFIGURATION / "grafana/provisioning/datasources/prometheus.yml")["datasources"][0]
    assert dashboard.uid == f"churn-{path.stem}"
    assert {panel.datasource.uid for panel in dashboard.panels} == {source["uid"]}
    assert {target.datasource.uid for panel in dashboard.panels for target in panel.targets} == {source["uid"]}
    assert len({panel.id for panel in dashboard.panels}) == len(dashboard.panels)


@every_dashboard
def test_no_two_panels_of_a_dashboard_cover_each_other(path: Path) -> None:
    cells = [
        (x, y)
        for place in (panel.grid_pos for panel in read_dashboard(path).panels)
        for x in range(place.x, place.x + place.w)
        for y in range(place.y, place.y + place.h)
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24


@pytest.mark.parametrize(
    ("written", "instead"),
    [('"type": "stat"', '"type": "statistic"'), ('"w": 6', '"w": 25'), ('"expr":', '"query":'), ('"uid":', '"id":')],
)
def test_what_grafana_does_not_take_is_found(written: str, instead: str, tmp_path: Path) -> None:
    text = (CONFIGURATION / "grafana/dashboards/service.json").read_text()
    assert written in text
    (tmp_path / "wrong.json").write_text(text.replace(written, instead, 1))
    with pytest.raises(ValidationError):
        read_dashboard(tmp_path / "wrong.json")


@every_service
def test_a_container_is_confined(name: str) -> None:
    declared = SERVICES[name]
    assert declared["read_only"] is True
    assert declared["cap_drop"] == ["ALL"]
    assert declared["security_opt"] == ["no-new-privileges:true"]
    assert declared["user"].startswith("${CHURN_UID")
    assert declared["mem_limit"]
    assert declared["healthcheck"]["test"][0] == "CMD"
    assert all(port.startswith("127.0.0.1:") for port in declared.get("ports", []))


@every_service
def test_an_image_has_an_exact_tag_which_the_manual_names(name: str) -> None:
    image = SERVICES[name]["image"]
    assert re.fullmatch(r"[\w/-]+:v?\d+\.\d+\.\d+", image)
    assert f"`{image}`" in PAGE


@every_service
def test_what_a_container_mounts_is_committed_or_made_by_the_script(name: str, tmp_path: Path) -> None:
    subprocess.run([REPOSITORY / "deploy/monitoring/prepare"], cwd=tmp_path, check=True, capture_output=True)
    for volume in SERVICES[name].get("volumes", []):
        assert volume["source"] == "/" or any((top / volume["source"]).is_dir() for top in (REPOSITORY, tmp_path))
    for secret in SERVICES[name].get("secrets", []):
        path = tmp_path / read_yaml(OVERLAY)["secrets"][secret]["file"]
        assert path.stat().st_mode & 0o077 == 0


def test_the_password_of_grafana_is_random_and_stays(tmp_path: Path) -> None:
    passwords = []
    for folder in (tmp_path / "one", tmp_path / "one", tmp_path / "two"):
        folder.mkdir(exist_ok=True)
        subprocess.run([REPOSITORY / "deploy/monitoring/prepare"], cwd=folder, check=True, capture_output=True)
        passwords.append((folder / ".secrets/grafana-admin-password").read_text())
    assert passwords[0] == passwords[1] != passwords[2]
    assert all(len(password.strip()) == 32 for password in passwords)


def test_no_secret_is_committed() -> None:
    ignored = (REPOSITORY / ".gitignore").read_text().splitlines()
    assert {"/.secrets/", "/.monitoring/"} <= set(ignored)
    told = (CONFIGURATION / "alertmanager/alertmanager.yml").read_text()
    assert not re.search(r"^\s*(routing_key|service_key|credentials|password):", told, re.MULTILINE)


@needs_compose
@pytest.mark.parametrize("overlay", ["observability", "logs"])
def test_compose_accepts_the_overlay(overlay: str) -> None:
    command = f"docker compose --env-file .env.example --file docker-compose.yml --file deploy/compose/{overlay}.yml"
    done = subprocess.run([*command.split(), "config", "--quiet"], cwd=REPOSITORY, text=True, capture_output=True)
    assert (done.returncode, done.stderr) == (0, "")
