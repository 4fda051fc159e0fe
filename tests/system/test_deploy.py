"""What the containers are made of and start with, as far as it shows without an engine."""

import importlib.util
import os
import re
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType

import pytest

from churn.config.params import read_yaml
from tests.helpers.projects import NO_SERVER, REPOSITORY, shell

COMPOSE = read_yaml(REPOSITORY / "docker-compose.yml")


def settings(folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run deploy/settings, as `make up` does for a folder without .env."""
    return subprocess.run(
        ["sh", REPOSITORY / "deploy/settings"], cwd=folder, env=environment, text=True, capture_output=True, check=False
    )


def engine(folder: Path, says: str) -> str:
    """A search path on which `docker info` gives an answer, before the tools of the system."""
    (folder / "docker").write_text(f"#!/bin/sh\necho '{says}'\n")
    (folder / "docker").chmod(0o755)
    return f"{folder}:/usr/bin:/bin"


def test_without_an_engine_one_line_says_what_to_do(tmp_path: Path) -> None:
    told = settings(REPOSITORY, PATH="/usr/bin:/bin", DOCKER_HOST=f"unix://{tmp_path}/none")
    assert told.returncode == 1
    assert told.stdout == ""
    assert told.stderr.startswith("no Docker engine answers: ")
    assert len(told.stderr.splitlines()) == 1


def test_without_the_plugin_one_line_says_which_compose_is_needed(tmp_path: Path) -> None:
    (tmp_path / "docker").write_text('#!/bin/sh\ntest "$1" = info')
    (tmp_path / "docker").chmod(0o755)
    told = settings(REPOSITORY, PATH=f"{tmp_path}:/usr/bin:/bin")
    assert (told.returncode, told.stdout) == (1, "")
    assert told.stderr.startswith("Docker has no Compose plugin: install docker-compose-plugin or docker-compose-v2")
    assert len(told.stderr.splitlines()) == 1


def test_folders_of_the_same_name_get_stacks_and_ports_of_their_own(tmp_path: Path) -> None:
    path = engine(tmp_path, "127.0.0.1:5000->5000/tcp, 127.0.0.1:8889->8888/tcp")
    names = []
    for folder in ("one/Churn Model", "two/Churn Model"):
        (tmp_path / folder).mkdir(parents=True)
        shutil.copy(REPOSITORY / ".env.example", tmp_path / folder)
        if os.getuid() == 0:
            shutil.chown(tmp_path / folder, 4242, 4343)
        told = settings(tmp_path / folder, PATH=path).stdout
        names += re.findall(r"^COMPOSE_PROJECT_NAME=(churn-churnmodel-[0-9a-f]{6})$", told, re.MULTILINE)
        assert "\nMLFLOW_PORT=5001\n" in told
        assert "\nJUPYTER_PORT=8888\n" in told
    assert len(set(names)) == 2


def test_the_settings_name_the_user_whom_the_folder_belongs_to(tmp_path: Path) -> None:
    path = engine(tmp_path, "[name=seccomp]")
    shutil.copy(REPOSITORY / ".env.example", tmp_path)
    told = settings(tmp_path, PATH=path)
    user = subprocess.run(["id", "-u"], text=True, capture_output=True, check=True).stdout.strip()
    if user == "0":
        assert told.returncode == 1
        assert "containers are not to run as root" in told.stderr
        shutil.chown(tmp_path, 4242, 4343)
        told, user = settings(tmp_path, PATH=path), "4242"
    assert f"CHURN_UID={user}\n" in told.stdout
    assert told.stdout.count("\n") == (tmp_path / ".env.example").read_text().count("\n")


def test_with_an_engine_that_runs_without_root_the_user_outside_is_root_inside(tmp_path: Path) -> None:
    shutil.copy(REPOSITORY / ".env.example", tmp_path)
    told = settings(tmp_path, PATH=engine(tmp_path, "[name=seccomp name=rootless]"))
    assert "CHURN_UID=0\nCHURN_GID=0\n" in told.stdout


NO_DEFAULT = ("COMPOSE_PROJECT_NAME", "CHURN_UID", "CHURN_GID")
"""Settings that no two folders, or users, share."""


def test_every_setting_has_the_same_value_in_the_example_as_without_a_file_or_is_asked_for() -> None:
    text = (REPOSITORY / "docker-compose.yml").read_text()
    example = (REPOSITORY / ".env.example").read_text().splitlines()
    settings = dict(line.split("=") for line in example if line and not line.startswith("#"))
    assert settings
    for name, value in settings.items():
        default = "?run `make up`, which writes .env" if name in NO_DEFAULT else f"-{value}"
        assert f"${{{name}:{default}}}" in text


@pytest.mark.parametrize("service", ["mlflow", "jupyter", "pipeline"])
def test_every_container_is_confined(service: str) -> None:
    declared = COMPOSE["services"][service]
    assert declared["read_only"] is True
    assert declared["cap_drop"] == ["ALL"]
    assert declared["user"].startswith("${CHURN_UID")
    assert all(port.startswith("127.0.0.1:") for port in declared.get("ports", []))
    assert "mem_limit" in declared


def test_the_builder_gets_only_what_the_dockerfile_copies() -> None:
    lines = (REPOSITORY / ".dockerignore").read_text().splitlines()
    assert lines[1] == "*"
    copied = (REPOSITORY / "Dockerfile").read_text()
    for line in lines[2:]:
        if line.startswith("!"):
            assert line[1:].split("*")[0] in copied


SECRET_FILES = [".env", ".env.old", "deploy/.env", ".secrets/metrics-token", ".dvc/config.local"]
CUSTOMERS_FILES = [".churn/errors.log", ".churn/tokens.json", "data/faults.csv", "scores.rejects.csv", "mlflow.db"]


@pytest.mark.parametrize("path", SECRET_FILES + CUSTOMERS_FILES)
def test_what_holds_a_secret_or_customers_is_not_added_to_git(path: str, tmp_path: Path) -> None:
    for name in (".gitignore", ".dvc/.gitignore"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(REPOSITORY / name, tmp_path / name)
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    assert subprocess.run(["git", "check-ignore", "--quiet", path], cwd=tmp_path).returncode == 0


def test_no_secret_that_lies_in_a_folder_for_the_builder_is_given_to_it() -> None:
    lines = (REPOSITORY / ".dockerignore").read_text().splitlines()
    given = max(number for number, line in enumerate(lines) if line.startswith("!"))
    assert {"**/.env*", "**/.secrets", "**/*.local", "**/*.key", "**/*.pem"} <= set(lines[given:])


def test_nothing_is_mounted_inside_the_project() -> None:
    """git and DVC replace folders, and a folder that something is mounted on cannot be removed."""
    for service in ("jupyter", "pipeline"):
        assert COMPOSE["services"][service]["volumes"] == [".:/workspace"]


@pytest.fixture(scope="module")
def container_dvc() -> ModuleType:
    """deploy/dvc, loaded without being run."""
    loader = SourceFileLoader("container_dvc", str(REPOSITORY / "deploy/dvc"))
    specification = importlib.util.spec_from_loader("container_dvc", loader)
    assert specification
    module = importlib.util.module_from_spec(specification)
    loader.exec_module(module)
    return module


def test_one_container_at_a_time_works_on_a_project(
    container_dvc: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stale, of_the_host = tmp_path / ".dvc/tmp/rwlock.container", tmp_path / ".dvc/tmp/rwlock"
    stale.parent.mkdir(parents=True)
    stale.touch()
    of_the_host.touch()
    first = container_dvc.attend(tmp_path)
    assert not stale.exists()  # nobody was at work, so a killed container has left it
    assert of_the_host.exists()
    stale.touch()
    second = container_dvc.attend(tmp_path)  # another process of the same container
    assert stale.exists()
    monkeypatch.setattr(container_dvc, "this_container", lambda: "another")
    with (tmp_path / ".churn/container-dvc.lock").open("a+") as lock:
        first.close()
        assert not container_dvc.admitted(lock, tmp_path)
        second.close()
        assert container_dvc.admitted(lock, tmp_path)
    assert not stale.exists()


HERE = "import os, private_dvc_cache; print(os.environ['DVC_SITE_CACHE_DIR'])"


def chosen(home: Path | str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Which folder DVC gets in this home; without what the environment itself may have set (-S)."""
    modules = {"PYTHONPATH": str(REPOSITORY / "deploy/site-packages"), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        [sys.executable, "-S", "-c", HERE],
        env={"HOME": str(home), **modules, **environment},
        text=True,
        capture_output=True,
        check=True,
    )


def private(folder: Path) -> bool:
    found = folder.lstat()
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and stat.S_IMODE(found.st_mode) == 0o700


def test_dvc_gets_a_folder_that_is_the_users_alone(tmp_path: Path) -> None:
    for _ in range(2):
        assert chosen(tmp_path).stdout.strip() == f"{tmp_path}/.cache/churn-dvc"
        assert private(tmp_path / ".cache/churn-dvc")
    elsewhere = chosen(tmp_path, XDG_CACHE_HOME=str(tmp_path / "cache")).stdout.strip()
    assert elsewhere == f"{tmp_path}/cache/churn-dvc"
    assert private(Path(elsewhere))


def test_a_folder_that_the_user_names_is_taken(tmp_path: Path) -> None:
    assert chosen(tmp_path, DVC_SITE_CACHE_DIR="/srv/shared").stdout.strip() == "/srv/shared"
    assert not (tmp_path / ".cache").exists()


def open_to_all(folder: Path) -> None:
    folder.mkdir()
    folder.chmod(0o777)


def open_to_a_group(folder: Path) -> None:
    folder.mkdir()
    folder.chmod(0o770)


def a_symlink(folder: Path) -> None:
    (folder.parent / "another").mkdir(mode=0o700)
    folder.symlink_to("another")


def a_file(folder: Path) -> None:
    folder.touch()


def of_another_user(folder: Path) -> None:
    folder.mkdir(mode=0o700)
    os.chown(folder, 4242, 4242)


def below_a_folder_of_another_user(folder: Path) -> None:
    os.chown(folder.parent, 4242, 4242)


def below_a_folder_open_to_all(folder: Path) -> None:
    folder.parent.chmod(0o777)


FOLDERS_OF_ANOTHER_USER = [of_another_user, below_a_folder_of_another_user] if os.getuid() == 0 else []
"""Only root can give a folder away; for everyone, a test below says that it has been given away."""


@pytest.mark.parametrize(
    "make",
    [
        open_to_all,
        open_to_a_group,
        a_symlink,
        a_file,
        below_a_folder_open_to_all,
        *FOLDERS_OF_ANOTHER_USER,
    ],
)
def test_a_folder_that_somebody_else_can_replace_is_not_used(make: Callable[[Path], None], tmp_path: Path) -> None:
    (tmp_path / ".cache").mkdir()
    (tmp_path / "temporary").mkdir()
    make(tmp_path / ".cache/churn-dvc")
    folder = Path(chosen(tmp_path, TMPDIR=str(tmp_path / "temporary")).stdout.strip())
    assert folder == tmp_path / f"temporary/churn-dvc-{os.getuid()}"
    assert private(folder)


@pytest.mark.parametrize("given_away", ["churn-dvc", "."], ids=["itself", "the one above it"])
def test_a_folder_that_belongs_to_another_user_is_not_used(
    given_away: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", "/set")  # so that the module chooses nothing when it is loaded
    specification = importlib.util.spec_from_file_location(
        "choosing", REPOSITORY / "deploy/site-packages/private_dvc_cache.py"
    )
    assert specification
    assert specification.loader
    choosing = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(choosing)
    folder = tmp_path / "churn-dvc"
    folder.mkdir(mode=0o700)
    assert choosing.private(str(folder)) == str(folder)

    ask_kernel = {"stat": os.stat, "lstat": os.lstat}

    def as_if_given_away(call: str) -> Callable[[str], os.stat_result]:
        def answer(path: str) -> os.stat_result:
            found = ask_kernel[call](path)
            if Path(path) != (tmp_path / given_away):
                return found
            return os.stat_result((*found[:4], os.getuid() + 4242, *found[5:]))

        return answer

    for call in ask_kernel:
        monkeypatch.setattr(choosing.os, call, as_if_given_away(call))
    assert choosing.private(str(folder)) is None


def test_a_home_that_cannot_be_written_needs_no_setting(tmp_path: Path) -> None:
    folder = Path(chosen("/dev/null", TMPDIR=str(tmp_path)).stdout.strip())
    assert folder.parent == tmp_path
    assert private(folder)


def test_without_a_private_folder_dvc_does_not_start(project: Path, tmp_path: Path) -> None:
    (tmp_path / ".cache").mkdir()
    open_to_all(tmp_path / ".cache/churn-dvc")
    command = "env -u DVC_SITE_CACHE_DIR -u XDG_CACHE_HOME dvc status"
    told = shell(project)(command, check=False, HOME=str(tmp_path), TMPDIR="/dev/null")
    assert told.returncode
    assert told.stderr.startswith("no private folder for DVC's cache: set DVC_SITE_CACHE_DIR to")
    assert "Traceback" not in told.stderr
    assert not any((tmp_path / ".cache/churn-dvc").iterdir())


@pytest.mark.parametrize("dvc", ["dvc", "python -m dvc"])
def test_the_environment_gives_dvc_that_folder(dvc: str, project: Path, tmp_path: Path) -> None:
    """Called by its path, as without an activated environment."""
    command = f"env -u DVC_SITE_CACHE_DIR -u XDG_CACHE_HOME {Path(sys.executable).parent}/{dvc} doctor"
    told = shell(project)(command, HOME=str(tmp_path)).stdout
    assert f"Repo.site_cache_dir: {tmp_path}/.cache/churn-dvc/repo/" in told
    assert private(tmp_path / ".cache/churn-dvc")


@pytest.mark.slow
def test_an_experiment_in_a_copy_uses_that_folder(finished: Path, tmp_path: Path) -> None:
    run = shell(finished)
    run("git config user.name Tester && git config user.email tester@example.invalid")
    command = "env -u DVC_SITE_CACHE_DIR -u XDG_CACHE_HOME dvc exp run --temp --set-param train.params.C=1.0"
    run(command, HOME=str(tmp_path), MLFLOW_TRACKING_URI=NO_SERVER)
    assert len(list((tmp_path / ".cache/churn-dvc/repo").iterdir())) == 2  # the project's and the copy's
    assert private(tmp_path / ".cache/churn-dvc")


def compose_files() -> list[Path]:
    found = [REPOSITORY / "docker-compose.yml", *sorted((REPOSITORY / "deploy").rglob("*.y*ml"))]
    return [path for path in found if re.search(r"^services:", path.read_text(), re.MULTILINE)]


@pytest.mark.parametrize("path", compose_files(), ids=lambda path: path.name)
def test_a_service_without_tokens_is_published_on_this_machine_only(path: Path) -> None:
    for name, service in read_yaml(path)["services"].items():
        if "off" in str(service.get("environment", {}).get("CHURN_SERVE_AUTHENTICATION", "")):
            assert service.get("network_mode") != "host", name
            assert all(str(port).startswith("127.0.0.1:") for port in service.get("ports", [])), name


def test_the_check_of_published_ports_has_something_to_check() -> None:
    services = COMPOSE["services"]
    assert services["api"]["environment"]["CHURN_SERVE_AUTHENTICATION"] == "off"
    assert services["api"]["ports"]
