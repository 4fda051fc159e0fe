"""The containers on a real engine, made by the project's own files; the tests are a day's work, in order.

It begins in a folder that was never run, and nothing but `make up` writes its `.env`.
"""

import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pandas as pd
import pytest

from churn.config.params import load_params
from churn.files import read_json
from tests.helpers.manual import blocks_of, commands_of
from tests.helpers.projects import REPOSITORY, shell
from tests.helpers.sample import clone_with_sample
from tests.helpers.servers import free_port
from tests.helpers.services import customers_of

pytestmark = pytest.mark.stack

NAMELESS = 12345
"""A user id that no image knows a name for."""

COMMANDS = [command.text for command in commands_of(REPOSITORY / "docs/containers.md", "sh")]

PICTURES = REPOSITORY / ".stack"

READ_BACK = """
import sys, mlflow, pandas as pd
from pathlib import Path
from churn.files import ENCODERS, TEST_PREDICTIONS, TEST_ROWS, read_pickle, read_rows
from churn.model.decision import churn_probability
from churn.model.encoding import column_types
from churn.history.verify import known_md5s

row = mlflow.search_runs(experiment_names=["churn"], filter_string=f"tags.`git.commit` = '{sys.argv[1]}'").iloc[-1]
files = [file.path for file in mlflow.MlflowClient().list_artifacts(row.run_id, "metrics")]
assert "metrics/roc_curve.png" in files, files
assert open(mlflow.artifacts.download_artifacts(run_id=row.run_id, artifact_path=files[0]), "rb").read()
its_own = f"source_run_id = '{row.run_id}'"
(model,) = mlflow.search_logged_models([row.experiment_id], filter_string=its_own, output_format="list")
decision = mlflow.sklearn.load_model(model.model_uri)
rows = read_rows(TEST_ROWS, column_types(read_pickle(ENCODERS, known_md5s(Path()))))
written = pd.read_csv(TEST_PREDICTIONS)["probability"]
assert (churn_probability(decision, rows) == written).all()
print("read back", row.run_id)
"""


@dataclass
class Stack:
    """A clone of the project, the user it belongs to, and its containers on ports of their own."""

    name: str
    project: Path
    user: int
    mlflow_port: int
    jupyter_port: int
    api_port: int
    commit: str
    ran: set[str] = field(default_factory=set)
    """Every command so far."""

    @cached_property
    def environment(self) -> dict[str, str]:
        return {
            "COMPOSE_PROJECT_NAME": self.name,
            "CHURN_UID": str(self.user),
            "CHURN_GID": str(self.user),
            "MLFLOW_PORT": str(self.mlflow_port),
            "JUPYTER_PORT": str(self.jupyter_port),
            "API_PORT": str(self.api_port),
        }

    def run(self, command: str, *, check: bool = True, **environment: str) -> subprocess.CompletedProcess[str]:
        self.ran.add(command)
        # Whoever calls may be another user, whose bytecode is not what containers made.
        settings = {"PYTHONDONTWRITEBYTECODE": "1"} | self.environment | environment
        return shell(self.project)(command, check=check, **settings)

    def pipeline(self, command: str, *, check: bool = True, **environment: str) -> subprocess.CompletedProcess[str]:
        return self.run(f"docker compose run --rm pipeline {command}", check=check, **environment)

    def host(self, command: str, *, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run without a container, as the user whom the files belong to (who may read this environment)."""
        home = {"HOME": str(self.project.parent), "USER": "host", "MLFLOW_TRACKING_URI": ""}
        if os.getuid() == 0:
            user = f"--reuid={self.user} --regid={self.user} --clear-groups"
            command = f"setpriv {user} --inh-caps=+dac_read_search --ambient-caps=+dac_read_search {command}"
        return shell(self.project)(f"env -u DVC_SITE_CACHE_DIR {command}", check=check, **home)

    def start(self, command: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            f"exec docker compose run --rm {command}",
            shell=True,
            cwd=self.project,
            env={**os.environ, **self.environment},
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    def changed(self) -> str:
        """What git calls changed, asked by the user whom the files belong to."""
        return subprocess.run(
            ["git", "status", "--porcelain"],
            cwd=self.project,
            env={**os.environ, "HOME": str(self.project.parent)},
            user=self.user,
            text=True,
            capture_output=True,
            check=True,
        ).stdout

    def reset(self, revision: str) -> None:
        """Back to a commit, with its results.

        DVC can write a file twice within a second, and git takes the second for the first if their sizes are equal.
        """
        for path in (self.project / "metrics").rglob("*"):
            path.touch()
        self.pipeline(f"git reset --quiet --hard {revision}")
        self.pipeline("dvc checkout")

    def edit(self, old: str, new: str) -> None:
        """Change the section `train`, which alone decides the model; others have the same keys."""
        path = self.project / "params.yaml"
        before, train, after = re.split(r"(?=^train:|^tune:)", path.read_text(), flags=re.MULTILINE)
        assert old in train
        path.write_text(before + train.replace(old, new) + after)

    def rows(self, condition: str = "") -> dict[str, dict[str, str]]:
        """Parameters and tags of MLflow's rows that meet a condition, by id; asked from outside the containers."""
        search = {"experiment_ids": ["1"], "filter": condition, "max_results": 100}
        request = Request(
            f"http://127.0.0.1:{self.mlflow_port}/api/2.0/mlflow/runs/search",
            json.dumps(search).encode(),
            {"Content-Type": "application/json"},
        )
        runs = json.load(urlopen(request)).get("runs", [])
        return {
            run["info"]["run_id"]: {
                pair["key"]: pair["value"] for pair in run["data"].get("params", []) + run["data"]["tags"]
            }
            for run in runs
        }

    def containers(self) -> dict[str, str]:
        """Id of each service's container."""
        listed = self.run("docker compose ps --format '{{.Service}} {{.ID}}'").stdout
        return dict(line.split() for line in listed.splitlines())

    def inspect(self, container: str, what: str) -> str:
        return self.run(f"docker inspect --format '{what}' {container}").stdout.strip()


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    if shell(REPOSITORY)("docker info", check=False).returncode:
        pytest.exit("no Docker engine answers; `docker info` says more", returncode=1)
    folder = Path(tempfile.mkdtemp(prefix="churn-stack-"))
    folder.chmod(0o755)
    clone_with_sample(folder / "project")
    commit = shell(folder / "project")("git rev-parse HEAD").stdout.strip()
    user = os.getuid() or NAMELESS
    if os.getuid() == 0:
        shell(folder)(f"chown -R {user}:{user} .")
    stack = Stack(
        name=f"churn-test-{os.getpid()}",
        project=folder / "project",
        user=user,
        mlflow_port=free_port(),
        jupyter_port=free_port(),
        api_port=free_port(),
        commit=commit,
    )
    try:
        yield stack
    finally:
        stack.run("docker compose --profile run down --volumes --rmi local --timeout 3", check=False)
        stack.run("docker image rm churn-browser", check=False)
        stack.run(
            "docker image prune --force --filter label=org.opencontainers.image.title=churn-pipeline", check=False
        )
        shutil.rmtree(folder)


def until_told(process: subprocess.Popen[str], text: str) -> None:
    assert process.stdout
    told = ""
    for line in process.stdout:
        told += line
        if text in line:
            return
    raise AssertionError(f"ended without {text!r}:\n{told}")


def test_everything_is_built_from_nothing(stack: Stack) -> None:
    begun = time.monotonic()
    stack.run("docker compose build --no-cache jupyter")
    stack.run("docker compose --profile run build")
    print(f"\nbuilt in {time.monotonic() - begun:.0f} s")
    for service in ("mlflow", "pipeline", "jupyter", "api"):
        image = f"{stack.name}-{service}"
        print(f"{service}: {int(stack.inspect(image, '{{.Size}}')) / 1e6:,.0f} MB")
        found = f"docker run --rm --entrypoint sh {image} -c"
        assert stack.run(f"{found} 'which gcc cc g++ make'", check=False).stdout == "", "a compiler"
        secrets = "\\( -name .env -o -name .git -o -name params.yaml -o -name mlflow.db -o -name *.lock \\)"
        listed = stack.run(f"{found} 'find /workspace /mlflow /setup /opt/churn {secrets} 2>/dev/null || true'").stdout
        assert [path for path in listed.split() if not path.startswith("/opt/churn/locks/requirements")] == []
        assert "mlops-demo" not in stack.run(f"docker history --no-trunc {image}").stdout
        assert stack.inspect(image, "{{.Config.User}}") == "1000:1000"
        texts = "grep '^  /' /licenses/packages.txt | xargs ls | wc -l"
        assert int(stack.run(f'{found} "{texts}"').stdout) > 50, "each text of a licence that is named is there"


def test_a_change_of_the_code_leaves_all_layers_but_the_last(stack: Stack) -> None:
    image = f"{stack.name}-pipeline"
    before = json.loads(stack.inspect(image, "{{json .RootFS.Layers}}"))
    path = stack.project / "src/churn/__init__.py"
    content = path.read_text()
    path.write_text(content + "# changed\n")
    stack.run("docker compose build pipeline")
    after = json.loads(stack.inspect(image, "{{json .RootFS.Layers}}"))
    path.write_text(content)
    assert before[:-1] == after[:-1]
    assert before[-1] != after[-1]


def test_a_setting_may_hold_a_dollar_between_single_quotes(stack: Stack) -> None:
    (stack.project / ".env").write_text("JUPYTER_TOKEN='a$b'\n")
    shown = json.loads(stack.run("docker compose config --format json").stdout)
    (stack.project / ".env").unlink()
    given = shown["services"]["jupyter"]["environment"]
    assert given["JUPYTER_TOKEN"].replace("$$", "$") == "a$b", "Compose escapes what it shows"


def test_compose_of_version_1_refuses_the_file_as_the_manual_says(stack: Stack, debian: str) -> None:
    settings = " ".join(f"--env {name}" for name in stack.environment)
    mounted = f"--volume {stack.project}:/project:ro --workdir /project"
    old = f"docker run --rm {settings} {mounted} {debian} docker-compose"
    assert stack.run(f"{old} version --short").stdout.startswith("1.")
    refused = stack.run(f"{old} up --detach", check=False)
    assert refused.returncode != 0
    message = "'name' does not match any of the regexes"
    assert message in refused.stderr
    assert message in (REPOSITORY / "docs/troubleshooting.md").read_text()


def test_without_its_settings_compose_says_in_a_line_what_writes_them(stack: Stack) -> None:
    for command in ("docker compose up --detach", "docker compose run --rm pipeline"):
        refused = shell(stack.project)(command, check=False)
        assert refused.returncode != 0
        (line,) = refused.stderr.splitlines()
        assert "run `make up`, which writes .env" in line


def test_make_up_in_a_folder_that_was_never_run_ends_with_links_that_work(stack: Stack) -> None:
    begun = time.monotonic()
    told = stack.run("make up").stdout
    print(f"\nup in {time.monotonic() - begun:.0f} s")
    links = dict(re.findall(r"^(MLflow|JupyterLab|scoring) +(http://localhost:\S+)", told, re.MULTILINE))
    assert len(links) == 3
    for link in links.values():
        assert status_of(link.partition("#")[0]) == 200
    assert links["MLflow"].startswith(f"http://localhost:{stack.mlflow_port}/#/experiments/1/runs?")
    assert f"network     {stack.name}_mlops-network" in told
    for container in stack.containers().values():
        assert stack.inspect(container, "{{.State.Health.Status}}") == "healthy"
    print(stack.run("docker stats --no-stream --format '{{.Name}}: {{.MemUsage}}'").stdout)
    replaced = (
        "docker images --quiet --filter dangling=true --filter label=org.opencontainers.image.title=churn-pipeline"
    )
    assert stack.run(replaced).stdout == ""
    assert stack.rows() == {}
    assert stack.changed() == ""


def answer_of(url: str, given: object = None) -> tuple[int, Any]:
    body = None if given is None else json.dumps(given).encode()
    try:
        with urlopen(Request(url, body, {"Content-Type": "application/json"})) as answer:
            return int(answer.status), json.load(answer)
    except HTTPError as error:
        return error.code, json.load(error)


def test_before_the_first_run_the_service_is_live_and_says_what_it_waits_for(stack: Stack) -> None:
    status, answer = answer_of(f"http://127.0.0.1:{stack.api_port}/health/ready")
    assert status == 503
    assert answer["detail"].startswith(
        "models/churn_model.pkl: not here: `dvc pull` or `dvc checkout` brings the model"
    )
    assert answer_of(f"http://127.0.0.1:{stack.api_port}/health/live")[0] == 200


def test_the_first_run_is_one_row_with_its_model_and_the_bytes_of_the_host(stack: Stack) -> None:
    told = stack.pipeline("dvc repro").stdout
    assert re.findall(r"Running stage '(.+?)'", told) == ["preprocess", "train", "evaluate"]
    assert stack.changed() == "", "what is committed was made without containers"
    (row,) = stack.rows().values()
    assert (row["pipeline.complete"], row["model"], row["git.commit"]) == ("true", "shown", stack.commit)
    assert "this state is in MLflow" in stack.pipeline("churn status").stdout


def test_the_service_finds_the_model_and_answers_with_the_bits_of_the_batch(stack: Stack) -> None:
    service = f"http://127.0.0.1:{stack.api_port}"
    deadline = time.monotonic() + 60
    while answer_of(f"{service}/health/ready")[0] != 200:
        assert time.monotonic() < deadline
        time.sleep(0.5)
    table = "data/raw/sample_data.csv"
    stack.pipeline(f"churn predict {table} -o predictions/scores.parquet")
    columns = load_params(stack.project).data.columns
    labels = [name for name, column in columns.items() if column.type == "categorical"]
    customers = customers_of(stack.project / table, list(columns), labels)[:1000]
    answers = answer_of(f"{service}/v1/score", customers)[1]
    predicted = pd.read_parquet(stack.project / "predictions/scores.parquet")["probability"][:1000]
    assert [one["probability"] for one in answers] == predicted.tolist()
    assert answer_of(f"{service}/v1/model")[1]["path"] == "plain"
    (row,) = stack.rows().values()
    assert answers[0]["fingerprint"] == row["pipeline.fingerprint"]
    shutil.rmtree(stack.project / "predictions")


def test_a_second_folder_of_the_same_name_leaves_this_stack_alone(stack: Stack) -> None:
    other = stack.project.parent / "elsewhere" / stack.project.name
    other.parent.mkdir()
    shell(other.parent)(f"git clone --quiet {REPOSITORY} {other.name} && chown -R {stack.user}:{stack.user} .")
    before = stack.containers()
    settings = [shell(folder)("deploy/settings").stdout for folder in (stack.project, other)]
    names = [re.findall(r"^COMPOSE_PROJECT_NAME=(\S+)$", one, re.MULTILINE) for one in settings]
    assert names[0] != names[1]
    assert all(name.startswith("churn-project-") for (name,) in names)
    ports = re.findall(r"^(?:MLFLOW|JUPYTER)_PORT=(\d+)$", settings[1], re.MULTILINE)
    assert not {str(stack.mlflow_port), str(stack.jupyter_port)} & set(ports)
    (other / ".env").write_text(settings[1].replace(names[1][0], stack.name))
    refused = shell(other)("make up", check=False)
    assert refused.returncode != 0
    assert f"the stack {stack.name} belongs to {stack.project}: set COMPOSE_PROJECT_NAME in .env" in refused.stderr
    assert stack.containers() == before


def test_an_edit_on_the_host_runs_in_the_container_and_is_one_row(stack: Stack) -> None:
    before = read_json(stack.project / "metrics/train.json")
    stack.edit("max_leaf_nodes: 6", "max_leaf_nodes: 4")
    begun = time.monotonic()
    told = stack.pipeline("dvc repro").stdout
    print(f"\ndvc repro: {time.monotonic() - begun:.0f} s")
    assert "Running stage 'train'" in told
    assert "Running stage 'preprocess'" not in told
    assert " M dvc.lock\n" in stack.changed()
    assert read_json(stack.project / "metrics/train.json") != before
    assert "max_leaf_nodes" in stack.pipeline("dvc params diff").stdout
    assert "cv_roc_auc" in stack.pipeline("dvc metrics diff").stdout
    (row,) = stack.rows("params.`train.params.max_leaf_nodes` = '4'").values()
    assert row["pipeline.complete"] == "true"
    assert stack.run("docker compose exec -T jupyter dvc status").stdout.strip().endswith("up to date.")


def test_each_stage_can_be_run_alone_and_is_published(stack: Stack) -> None:
    stack.edit("max_leaf_nodes: 4", "max_leaf_nodes: 6")
    stack.pipeline("dvc repro")  # restored
    for stage in ("preprocess", "train", "evaluate"):
        told = stack.pipeline(f"python -m churn.stages.{stage}").stderr
        assert f"{stage}: written to" in told
        assert "kept for MLflow" not in told
        stack.pipeline("churn status --strict")
    assert stack.changed() == ""


def test_an_image_of_other_locks_is_refused_in_a_line(stack: Stack) -> None:
    lock = stack.project / "requirements.lock"
    content = lock.read_text()
    lock.write_text(content + "# a newer one\n")
    for command in (
        "docker compose run --rm --no-deps pipeline churn status",
        "docker compose exec -T jupyter dvc repro",
    ):
        refused = stack.run(command, check=False)
        assert refused.returncode == 1
        assert "requirements.lock is not the one that this image was built from; run `make up`" in refused.stderr
    lock.write_text(content)


def test_a_search_of_the_container_can_be_made(stack: Stack) -> None:
    assert "trials" in stack.pipeline("churn tune --help").stdout
    stack.pipeline("python -c 'import optuna'")


def until_healthy(stack: Stack, service: str) -> float:
    """Seconds until a service that has failed is there again by itself."""
    begun = time.monotonic()
    while time.monotonic() < begun + 120:
        found = stack.run(f"docker compose ps --format '{{{{.Health}}}}' {service}", check=False).stdout.strip()
        if found == "healthy":
            return time.monotonic() - begun
        time.sleep(0.5)
    raise AssertionError(f"{service} does not come back")


KILL_WORKERS = """
import os, pathlib
for process in pathlib.Path("/proc").glob("[0-9]*"):
    if b"uvicorn" in (process / "cmdline").read_bytes() and process.name != str(os.getpid()):
        os.kill(int(process.name), 9)
"""


def test_a_server_whose_worker_is_killed_comes_back_by_itself_with_its_rows(stack: Stack) -> None:
    before = stack.rows()
    kill = f"docker compose exec -T mlflow python -c '{KILL_WORKERS}'"
    stack.run(kill, check=False)
    while stack.inspect(stack.containers()["mlflow"], "{{.RestartCount}}") == "0":
        time.sleep(0.2)
    print(f"\nback in {until_healthy(stack, 'mlflow'):.0f} s")
    assert stack.rows() == before


AS_ROOT = "sudo --non-interactive"


def test_services_are_to_come_back_with_the_engine(stack: Stack) -> None:
    for container in stack.containers().values():
        assert stack.inspect(container, "{{.HostConfig.RestartPolicy.Name}}") == "unless-stopped"


def test_after_a_restart_of_the_engine_all_services_are_there_again(stack: Stack) -> None:
    before, ours = stack.rows(), set(stack.containers().values())
    running = dict(line.split() for line in stack.run("docker ps --format '{{.ID}} {{.Names}}'").stdout.splitlines())
    if others := [name for container, name in running.items() if container not in ours]:
        pytest.skip(f"a restart of the engine would end containers of somebody else: {', '.join(others)}")
    if os.getuid() and shell(REPOSITORY)(f"{AS_ROOT} true", check=False).returncode:
        pytest.skip(f"only root may restart the engine; user {os.getuid()} is not, and sudo asks for a password")
    restart_engine()
    print(f"\nback in {max(until_healthy(stack, service) for service in ('mlflow', 'jupyter', 'api')):.0f} s")
    assert stack.rows() == before


def restart_engine() -> None:
    """By systemd where it looks after the engine, else as the engine was started."""
    run = shell(REPOSITORY)
    if run("systemctl is-active --quiet docker", check=False).returncode == 0:
        run("systemctl restart docker" if os.getuid() == 0 else f"{AS_ROOT} systemctl restart docker")
        return
    engine = Path("/proc") / Path("/var/run/docker.pid").read_text().strip()
    command = engine.joinpath("cmdline").read_bytes().rstrip(b"\0").split(b"\0")
    os.kill(int(engine.name), signal.SIGTERM)
    while engine.exists():
        time.sleep(0.1)
    silent = subprocess.DEVNULL
    started = subprocess.Popen(command, stdin=silent, stdout=silent, stderr=silent, start_new_session=True)
    started.returncode = 0  # left to itself: it outlives the tests
    for _ in range(100):
        if not shell(REPOSITORY)("docker info", check=False).returncode:
            return
        time.sleep(0.5)
    raise AssertionError("the engine does not come back")


def test_an_experiment_is_read_back_from_outside_and_from_jupyter(stack: Stack) -> None:
    (stack.project.parent / "read_back.py").write_text(READ_BACK)
    uri = f"http://127.0.0.1:{stack.mlflow_port}"
    script = f"- {stack.commit} < {stack.project.parent}/read_back.py"
    outside = stack.run(f"python {script}", MLFLOW_TRACKING_URI=uri, PYTHONPATH="src").stdout
    inside = stack.run(f"docker compose exec -T jupyter python {script}").stdout
    assert "read back" in outside
    assert outside == inside


def test_the_notebook_runs_in_its_container(stack: Stack) -> None:
    stack.run("docker compose exec -T jupyter jupyter execute --output=/tmp/ran.ipynb notebooks/explore.ipynb")
    ran = stack.run("docker compose exec -T jupyter cat /tmp/ran.ipynb").stdout
    assert "metrics.cv_roc_auc" in ran
    assert '"output_type": "error"' not in ran
    assert stack.changed() == ""


def test_a_server_that_stops_in_the_middle_costs_no_row(stack: Stack) -> None:
    stack.edit("max_leaf_nodes: 6", "max_leaf_nodes: 5")
    running = stack.start("pipeline dvc repro")
    until_told(running, "Running stage 'train'")
    stack.run("docker compose stop --timeout 5 mlflow")
    told, _ = running.communicate()
    assert running.returncode == 0
    assert "`churn sync` publishes it" in told
    stack.run("docker compose up --detach --wait mlflow")
    assert stack.rows("params.`train.params.max_leaf_nodes` = '5' and tags.`pipeline.complete` = 'true'") == {}
    stack.pipeline("churn sync")
    (row,) = stack.rows("params.`train.params.max_leaf_nodes` = '5'").values()
    assert row["pipeline.complete"] == "true"


def test_health_checks_do_not_fill_the_logs(stack: Stack) -> None:
    told = stack.run("docker compose logs").stdout
    assert "Uvicorn running on" in told
    assert "get-by-name" not in told
    assert "/api/status" not in told


def test_down_and_up_again_loses_nothing(stack: Stack) -> None:
    before = stack.rows()
    stack.run("make down")
    assert stack.containers() == {}
    stack.run("docker compose up --detach --wait")
    assert stack.rows() == before
    assert len(before) >= 3


@pytest.mark.parametrize("ending", ["kill", "stop"])
def test_a_pipeline_that_is_ended_in_the_middle_of_a_stage_leaves_nothing_to_clean(stack: Stack, ending: str) -> None:
    stack.edit("max_leaf_nodes: 5", "max_leaf_nodes: 3")
    name = f"{stack.name}-ended"
    running = stack.start(f"--name {name} pipeline dvc repro")
    until_told(running, "Running stage 'train'")
    stack.run(f"docker {ending} {name}")
    running.communicate()
    assert running.returncode != 0
    assert "busy" not in stack.host("dvc status").stdout
    stack.edit("max_leaf_nodes: 3", "max_leaf_nodes: 5")
    assert "train" not in stack.pipeline("dvc repro").stdout.replace("Stage 'train' is cached", "")


def test_two_at_once_take_turns(stack: Stack) -> None:
    stack.edit("max_leaf_nodes: 5", "max_leaf_nodes: 6")
    first = stack.start("pipeline dvc repro --force")
    until_told(first, "Running stage")
    second = stack.start("pipeline dvc repro")
    told = second.communicate()[0]
    first.communicate()
    assert [first.returncode, second.returncode] == [0, 0]
    assert "waiting for DVC in another container" in told
    assert stack.changed() == ""


def test_host_and_container_at_once_leave_the_right_results(stack: Stack) -> None:
    running = stack.start("pipeline dvc repro --force")
    until_told(running, "Running stage 'train'")
    told = stack.host("dvc repro", check=False)
    assert told.returncode == 0 or "another stage is running here" in told.stderr
    running.communicate()
    assert running.returncode == 0
    assert stack.changed() == ""
    assert stack.host("dvc status").stdout.strip().endswith("up to date.")


IDENTITY = " ".join(f"--env GIT_{role}_NAME=A --env GIT_{role}_EMAIL=a@b" for role in ("AUTHOR", "COMMITTER"))


def test_an_edit_outlives_an_experiment_that_ends_well_or_badly(stack: Stack) -> None:
    branch = (stack.project / ".git/HEAD").read_text()
    stack.edit("max_leaf_nodes: 6", "max_leaf_nodes: 1")
    assert "max_leaf_nodes" in stack.pipeline("dvc exp run", check=False).stderr
    stack.edit("max_leaf_nodes: 1", "max_leaf_nodes: 4")  # the value has been tried, so the results are in the cache
    assert "applied to your workspace" in stack.pipeline("dvc exp run").stdout
    stack.edit("max_leaf_nodes: 4", "max_leaf_nodes: 4")  # is still there
    assert (stack.project / ".git/HEAD").read_text() == branch
    edited = [line[3:] for line in stack.changed().splitlines()]
    assert {"dvc.lock", "params.yaml"} <= set(edited)
    assert all(path.startswith("metrics/") for path in set(edited) - {"dvc.lock", "params.yaml"})
    stack.run(f"docker compose run --rm {IDENTITY} pipeline git commit --quiet --all --message Edit")
    assert stack.changed() == ""
    committed = stack.pipeline("git show --format= --name-only HEAD").stdout
    assert committed.split() == edited
    stack.reset("HEAD~1")
    assert stack.changed() == ""


def test_experiments_in_copies_and_in_a_queue_leave_nothing_but_themselves(stack: Stack) -> None:
    """With values that have been tried, so that the results are in the cache."""
    inside = "docker compose exec -T jupyter dvc exp"
    stack.run(f"{inside} run --temp --set-param train.params.max_leaf_nodes=4 --name copy")
    stack.pipeline("dvc exp run --queue --set-param train.params.max_leaf_nodes=5 --name alone")
    stack.pipeline("dvc queue start")  # the container lives as long as the worker
    stack.run(f"{inside} run --queue --set-param train.params.max_leaf_nodes=4 --name all")
    stack.run(f"{inside} run --run-all")
    shown = stack.run(f"{inside} show --csv --hide-workspace").stdout
    assert {"copy", "alone", "all"} <= set(shown.replace("\n", ",").split(","))
    assert stack.changed() == ""
    stack.run(f"{inside} apply alone")
    assert "max_leaf_nodes: 5" in (stack.project / "params.yaml").read_text()
    stack.reset("HEAD")
    stack.run(f"{inside} remove copy alone all")
    assert stack.changed() == ""


def test_the_folders_of_a_fresh_clone_belong_to_the_user(stack: Stack) -> None:
    fresh = stack.project.parent / "fresh"
    shell(fresh.parent)(f"git clone --quiet {REPOSITORY} fresh && chown -R {stack.user}:{stack.user} fresh")
    user = {"CHURN_UID": str(stack.user), "CHURN_GID": str(stack.user)}
    told = shell(fresh)("docker compose run --rm --no-deps pipeline dvc status", **(stack.environment | user))
    assert "preprocess" in told.stdout
    assert {path.lstat().st_uid for path in fresh.rglob("*")} == {stack.user}


def test_only_the_user_can_write_where_dvc_keeps_its_pickles(stack: Stack) -> None:
    for told in (stack.pipeline("python -m dvc doctor"), stack.run("docker compose exec -T jupyter dvc doctor")):
        assert "Repo.site_cache_dir: /tmp/.cache/churn-dvc/repo/" in told.stdout
    where = stack.run("docker compose exec -T jupyter stat --format '%a %u' /tmp/.cache/churn-dvc").stdout
    assert where.split() == ["700", str(stack.user)]


def test_a_terminal_of_jupyterlab_finds_the_environment(stack: Stack) -> None:
    found = stack.run("docker compose exec -T jupyter bash --login -c 'command -v dvc python churn'").stdout
    assert found.split() == ["/opt/churn/dvc", "/opt/venv/bin/python", "/opt/venv/bin/churn"]


def status_of(url: str, data: bytes | None = None, **headers: str) -> int:
    request = Request(url, data, {name.replace("_", "-"): value for name, value in headers.items()})
    try:
        with urlopen(request) as answer:
            return int(answer.status)
    except HTTPError as error:
        return error.code


def test_only_this_machine_reaches_the_ports(stack: Stack) -> None:
    published = stack.run("docker compose ps --format json").stdout.splitlines()
    addresses = {port["URL"] for line in published for port in json.loads(line)["Publishers"] if port["PublishedPort"]}
    assert addresses == {"127.0.0.1"}
    ports = {f":{port:04X}" for port in (stack.mlflow_port, stack.jupyter_port, stack.api_port)}
    listening = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines() if line.split()[3] == "0A"]
    assert {line[1] for line in listening if line[1][8:] in ports} == {f"0100007F{port}" for port in ports}


def test_jupyter_asks_for_its_token(stack: Stack) -> None:
    contents = f"http://127.0.0.1:{stack.jupyter_port}/api/contents"
    assert status_of(contents) == 403
    assert status_of(contents, Authorization="token wrong") == 403
    assert status_of(contents, Authorization="token mlops-demo") == 200
    assert status_of(contents, Authorization="token mlops-demo", Host="evil.example") == 403


def test_mlflow_answers_no_foreign_page(stack: Stack) -> None:
    uri = f"http://localhost:{stack.mlflow_port}"
    search = f"{uri}/api/2.0/mlflow/runs/search", b'{"experiment_ids": ["1"]}'
    assert status_of(*search, Content_Type="application/json", Origin=uri) == 200
    assert status_of(*search, Content_Type="application/json", Origin="http://evil.example") == 403
    assert status_of(uri, Host="evil.example") == 403


@pytest.fixture(scope="module")
def debian(stack: Stack) -> Iterator[str]:
    """An image with programs that users have from Debian."""
    image = f"{stack.name}-debian"
    stack.run(f"docker build --quiet --tag {image} {REPOSITORY}/tests/system/debian")
    yield image
    stack.run(f"docker image rm {image}", check=False)


@pytest.fixture(scope="module")
def proxies(stack: Stack, debian: str) -> Iterator[dict[str, int]]:
    """Port of each reverse proxy that the manual has an example for, with the services named as it says."""
    blocks = {block.language: "\n".join(block.lines) for block in blocks_of(REPOSITORY / "docs/containers.md")}
    names = dict(re.findall(r"^(MLFLOW_HOSTS|JUPYTER_HOSTS)=(\S+)$", blocks["text"], re.MULTILINE))
    stack.run("docker compose up --detach --wait", **names)
    ports = {"caddyfile": free_port(), "nginx": free_port()}
    settings = Path(tempfile.mkdtemp(prefix="churn-proxy-"))
    settings.chmod(0o755)
    for name, text in blocks.items():
        for port, of_stack in (("5000", stack.mlflow_port), ("8888", stack.jupyter_port)):
            text = text.replace(f"127.0.0.1:{port}", f"127.0.0.1:{of_stack}")
        (settings / name).write_text(text)
    settings_of_caddy = ("local_certs", "auto_https disable_redirects", "admin off", f"https_port {ports['caddyfile']}")
    own = "\n".join(["{", *settings_of_caddy, "}", ""])
    (settings / "caddyfile").write_text(own + (settings / "caddyfile").read_text())
    (settings / "nginx").write_text((settings / "nginx").read_text().replace("443", str(ports["nginx"])))
    mounted = f"--volume {settings}/caddyfile:/Caddyfile:ro --volume {settings}/nginx:/etc/nginx/conf.d/churn.conf:ro"
    for kind, command in (("caddyfile", "caddy run --config /Caddyfile"), ("nginx", "nginx -g 'daemon off;'")):
        stack.run(f"docker run --detach --name {stack.name}-{kind} --network host {mounted} {debian} {command}")
    try:
        yield ports
    finally:
        for kind in ports:
            stack.run(f"docker rm --force {stack.name}-{kind}", check=False)
        stack.run("docker compose up --detach --wait")
        shutil.rmtree(settings)


def through(port: int, name: str, path: str, headers: dict[str, str], data: bytes = b"") -> int:
    """Status that a proxy answers with, asked by a name that leads nowhere else; 0 while it does not listen yet."""
    trusting = ssl.create_default_context()
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    try:
        plain = socket.create_connection(("127.0.0.1", port), timeout=30)
        with trusting.wrap_socket(plain, server_hostname=name) as connection:
            sent = {"Host": name, "Content-Length": str(len(data)), **headers}
            lines = [
                f"{'POST' if data else 'GET'} {path} HTTP/1.1",
                *(f"{key}: {value}" for key, value in sent.items()),
            ]
            connection.sendall("\r\n".join([*lines, "", ""]).encode() + data)
            return int(connection.recv(4096).split()[1])
    except (OSError, IndexError):
        return 0


@pytest.mark.parametrize("kind", ["caddyfile", "nginx"])
def test_both_services_are_reached_through_the_proxies_of_the_manual(
    stack: Stack, proxies: dict[str, int], kind: str
) -> None:
    mlflow, jupyter = "mlflow.example.com", "jupyter.example.com"
    port = proxies[kind]
    for _ in range(60):
        if through(port, mlflow, "/", {}) == 200:
            break
        time.sleep(0.5)
    for origin, status in ((f"https://{mlflow}", 200), ("https://evil.example", 403)):
        headers = {"Content-Type": "application/json", "Origin": origin}
        assert through(port, mlflow, "/api/2.0/mlflow/runs/search", headers, b'{"experiment_ids": ["1"]}') == status
    token = {"Authorization": "token mlops-demo"}
    assert through(port, jupyter, "/api/contents", token) == 200
    assert through(port, jupyter, "/api/contents", {}) == 403
    websocket = {
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "YQ==",
    }
    headers = {**token, **websocket, "Origin": f"https://{jupyter}"}
    assert through(port, jupyter, "/api/events/subscribe", headers) == 101


def test_nothing_runs_as_root_and_what_can_be_is_read_only(stack: Stack) -> None:
    for service, container in stack.containers().items():
        users = stack.run(f"docker top {container} -eo pid,uid").stdout.split()[3::2]
        assert set(users) == {str(stack.user)}, service
        assert stack.inspect(container, "{{.HostConfig.ReadonlyRootfs}}") == "true"
        assert stack.inspect(container, "{{.HostConfig.CapDrop}}") == "[ALL]"
        assert int(stack.inspect(container, "{{.HostConfig.Memory}}")) > 0
        written = stack.run(f"docker compose exec -T {service} touch /opt/venv/new", check=False)
        assert "Read-only file system" in written.stderr


def test_a_folder_of_another_user_is_refused_with_one_line(stack: Stack) -> None:
    told = stack.run("docker compose run --rm --no-deps pipeline dvc repro", check=False, CHURN_UID="54321")
    assert told.returncode == 1
    assert (
        f"/workspace belongs to user {stack.user}, and this container runs as user 54321: set CHURN_UID" in told.stderr
    )


def test_everything_that_was_made_belongs_to_the_user(stack: Stack) -> None:
    made_outside = {".env"}  # by whoever called `make up`
    foreign = [path for path in stack.project.rglob("*") if not path.is_symlink() and path.stat().st_uid != stack.user]
    assert {str(path.relative_to(stack.project)) for path in foreign} <= made_outside
    assert (stack.project / "mlruns/server/mlflow.db").stat().st_uid == stack.user


PICTURES_OF_PAGES = ("mlflow-first-page.png", "mlflow.png", "mlflow-run.png", "jupyterlab.png")


def test_a_browser_shows_the_experiments_and_the_notebook(stack: Stack) -> None:
    image = "churn-browser"  # as the tests of the report call it
    stack.run(f"docker build --quiet --tag {image} {REPOSITORY}/tests/system/browser")
    PICTURES.mkdir(exist_ok=True)
    for name in PICTURES_OF_PAGES:  # what else is there is of other tests
        (PICTURES / name).unlink(missing_ok=True)
    with suppress(PermissionError):
        os.chown(PICTURES, stack.user, stack.user)
    (row,) = [tags["mlflow.runName"] for tags in stack.rows("params.`train.params.max_leaf_nodes` = '4'").values()]
    assert row == "max_leaf_nodes 6 → 4"
    (link,) = re.findall(r"^http://localhost:\d+(/#/\S+)$", stack.pipeline("churn status").stdout, re.MULTILINE)
    where = f"--network container:{stack.containers()['mlflow']} --user {stack.user}:{stack.user}"
    command = f"/photograph.py mlops-demo '{row}' '{link}' /pictures"
    stack.run(f"docker run --rm {where} --volume {PICTURES}:/pictures {image} {command}")
    for name in PICTURES_OF_PAGES:
        assert (PICTURES / name).stat().st_size > 50_000
    print(f"\nlook at the pictures in {PICTURES}")
    assert stack.changed() == ""


def test_every_command_of_the_readme_runs(stack: Stack) -> None:
    """Most of them have by now."""
    assert COMMANDS
    for command in COMMANDS:
        if command not in stack.ran:
            stack.run(command)
    assert stack.changed() == ""
