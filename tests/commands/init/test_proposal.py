"""`churn init`: another table, and params.yaml written for it."""

import contextlib
import functools
import gzip
import os
import pty
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import pandas as pd
import pytest
import yaml  # type: ignore[import-untyped]  # a reader of YAML 1.1
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from churn.cli.main import main
from churn.commands.init import proposal
from churn.config.params import Params, load_params, read_yaml
from churn.errors import ChurnError
from churn.stages import preprocess
from tests.helpers.command_line import Answer, churn
from tests.helpers.dvc_edits import changed_lines, set_param
from tests.helpers.projects import REPOSITORY, shell
from tests.helpers.sample import SAMPLE_PARAMS
from tests.helpers.strategies import repeatable
from tests.helpers.table_shapes import SHAPES, Shape, csv, drawn, zipped

DESCRIBED = load_params(SAMPLE_PARAMS).data.source
"""The table that params.yaml describes before, whichever it is."""

Churn = Callable[..., tuple[int, str, str]]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder: the sample's params.yaml, comments and all, and room for tables."""
    make_home(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def make_home(folder: Path) -> None:
    (folder / "data/raw").mkdir(parents=True)
    (folder / "params.yaml").write_bytes((SAMPLE_PARAMS / "params.yaml").read_bytes())


@pytest.fixture
def init(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Churn:
    """Run `churn init`, without a terminal: exit code, what it says, what it complains of."""

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["churn", "init", *arguments])
        monkeypatch.setattr("typer.confirm", _asked)
        monkeypatch.setattr("typer.prompt", _asked)
        with pytest.raises(SystemExit) as exit_:
            main()
        said, complaint = capsys.readouterr()
        code = exit_.value.code
        return (1, said, str(code)) if isinstance(code, str) else (int(code or 0), said, complaint)

    return run


def _asked(*_: object, **__: object) -> None:
    raise AssertionError("a question, and no terminal")


def put(home: Path, shape: Shape) -> list[str]:
    """Save the table; the arguments of `churn init` for it."""
    (home / "data/raw" / shape.file).write_bytes(shape.content)
    return [f"data/raw/{shape.file}", *(part.strip("'") for part in _split(shape.options))]


def _split(options: str) -> list[str]:
    return [part for place, text in enumerate(options.split("'")) for part in ([text] if place % 2 else text.split())]


@pytest.fixture(scope="session")
def _init_once(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Shape], tuple[Path, Answer]]:
    """A folder in which `churn init` has run with --yes for a table, and its answer."""

    @functools.cache
    def run(shape: Shape) -> tuple[Path, Answer]:
        folder = tmp_path_factory.mktemp("initialised")
        make_home(folder)
        arguments = put(folder, shape)
        with contextlib.chdir(folder), mock.patch("typer.confirm", _asked), mock.patch("typer.prompt", _asked):
            return folder, churn("init", *arguments, "--yes")

    return run


@pytest.fixture
def written(shape: Shape, _init_once: Callable[[Shape], tuple[Path, Answer]], home: Path) -> Answer:
    """What `churn init` answered for the table; the current folder is as it left it."""
    folder, answer = _init_once(shape)
    shutil.copytree(folder, home, dirs_exist_ok=True)
    return answer


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_params_are_written_for_tables_of_every_shape(home: Path, written: Answer, shape: Shape) -> None:
    assert (written.code, written.err) == (0, "")
    assert "\nparams.yaml is written; next: set your costs under `business` there, then run\n" in written.out
    assert f"  git add data/raw/{shape.file}  # or dvc add" in written.out
    steps = [
        "dvc repro preprocess",
        'make tune ARGS="--portfolio --apply"  # chooses a model for this table',
        "dvc repro",
    ]
    assert [line.strip() for line in written.out.splitlines()[-3:]] == steps
    data = load_params(home).data
    how = data.format
    assert data.source == f"data/raw/{shape.file}"
    assert (how.delimiter, how.quote, how.encoding, how.decimal) == shape.format
    assert (data.target.positive, data.missing_values) == (shape.positive, shape.missing_values)
    examined = proposal.examine(home, Path(data.source), data.target.column, data.id)
    assert " ".join(column.role for column in examined.profile.columns) == shape.roles
    assert (data.id, data.columns, data.unused) == (
        examined.profile.id,
        examined.profile.features,
        examined.profile.unused,
    )


def without_values(text: str) -> list[str]:
    """The comments of params.yaml that are not those of single columns."""
    lines = text.splitlines()
    start = next(place for place, line in enumerate(lines) if line.startswith("  columns:"))
    end = next(place for place, line in enumerate(lines) if line.startswith("  unused:"))
    kept = [*lines[: start + 4], *lines[end:]]
    return [line.partition(" #")[2] for line in kept if " #" in line]


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.usefixtures("written")
def test_only_the_data_part_and_the_slices_change_and_comments_stay(home: Path, shape: Shape) -> None:
    before, old = (SAMPLE_PARAMS / "params.yaml").read_text(), load_params(SAMPLE_PARAMS)
    after, new = (home / "params.yaml").read_text(), load_params(home)
    assert without_values(after) == without_values(before)
    slices = {"slices": new.evaluate.slices}
    assert new == old.model_copy(update={"data": new.data, "evaluate": old.evaluate.model_copy(update=slices)})
    assert new.data.audit == old.data.audit.model_copy(update={"accept": ()}), "what was accepted, was in another table"
    assert set(new.evaluate.slices) <= set(new.data.columns)
    changed = [line for line in after.splitlines() if line not in before.splitlines()]
    tail = after[after.index("\npreprocess:") :].splitlines()
    assert [line for line in changed if line in tail and not line.startswith(("  slices:", "  - "))] == []


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.usefixtures("written")
def test_dvc_changes_no_line_of_what_is_written_but_those_that_it_is_to_set(home: Path, shape: Shape) -> None:
    text = (home / "params.yaml").read_text()
    (seed,) = (line for line in text.splitlines() if line.startswith("  seed: 2013"))
    edited = set_param(text, "compute.seed=5")
    assert changed_lines(text, edited) == [f"-{seed}", f"+{seed.replace('2013 ', '5    ')}"]
    there = ["data.missing_values=['?','Yes','']", "data.audit.accept=[a:b]", "evaluate.slices=[x]", "data.id=x y"]
    back = [
        f"data.missing_values={[*shape.missing_values]}",
        "data.audit.accept=[]",
        f"evaluate.slices={[*load_params(home).evaluate.slices]}",
        f"data.id={load_params(home).data.id or 'null'}",
    ]
    assert set_param(set_param(text, *there), *back) == text


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.usefixtures("written", "shape")
def test_readers_of_yaml_1_1_read_the_same_values(home: Path) -> None:
    assert yaml.safe_load((home / "params.yaml").read_text()) == read_yaml(home / "params.yaml")


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_a_dry_run_shows_the_change_and_makes_none(home: Path, init: Churn, shape: Shape) -> None:
    arguments = put(home, shape)
    files = {path: path.read_bytes() for path in home.rglob("*") if path.is_file()}
    code, said, _ = init(*arguments, "--dry-run")
    assert code == 0
    assert f"-  source: {DESCRIBED}" in said
    assert f"+  source: data/raw/{shape.file}" in said
    assert {path: path.read_bytes() for path in home.rglob("*") if path.is_file()} == files


def test_the_pipeline_accepts_what_is_written(folder: Path, init: Churn) -> None:
    path = folder / "data/raw/customers.csv"
    table = pd.read_csv(path, keep_default_na=False)
    table.insert(0, "customer id", [f"C{row}" for row in range(len(table))])
    table.to_csv(path, index=False)
    assert init("data/raw/customers.csv", "--target", "gone", "--yes")[0] == 0
    params = load_params(folder)
    preprocess.run(Path(), params)
    assert params.data.id == "customer id"
    assert params.data.missing_values == ("NA",)
    assert (folder / "data/processed/X_train.csv").exists()


def test_each_column_stands_with_its_reason(home: Path, init: Churn) -> None:
    assert init(*put(home, SHAPES["byte order mark, yes and no, gaps"]), "--yes")[0] == 0
    text = (home / "params.yaml").read_text()
    assert "\n    senior: {type: boolean, missing: allow, on_error: fail} # No / Yes\n" in text
    assert "\n    tenure: # numbers from 1 to 24.5\n      type: numeric\n      min: 0\n      max:\n" in text
    assert "\n  # texts that mean unknown; an empty cell always does\n  missing_values:\n  - '?'\n" in text
    assert "\n    constant:\n      kind: constant\n      format:\n      reason: \"constant: always 'x'\"\n" in text


def test_what_was_found_is_shown_in_columns(home: Path, init: Churn) -> None:
    _, said, _ = init(*put(home, SHAPES["byte order mark, yes and no, gaps"]), "--dry-run")
    assert said.splitlines()[:5] == [
        "column    becomes  missing  distinct  why",
        "senior    boolean      50%         2  No / Yes",
        "tenure    numeric       2%         3  numbers from 1 to 24.5",
        "constant  unused         -         1  constant: always 'x'",
        "Has Left  target         -         2  'Yes' or 'No'",
    ]
    assert "target:  'Has Left': 'Yes' in " in said
    assert "'Yes' means churned; 'No' means stayed" in said


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.usefixtures("written")
def test_a_second_run_changes_nothing_and_asks_nothing(home: Path, init: Churn, shape: Shape) -> None:
    arguments = put(home, shape)
    first = (home / "params.yaml").read_bytes()
    assert init(*arguments)[0] == 0
    assert (home / "params.yaml").read_bytes() == first


def test_a_reason_of_an_earlier_version_gives_way_to_a_typed_one(home: Path, init: Churn) -> None:
    path = home / "params.yaml"
    path.write_text(path.read_text().replace("unused: {}", "unused: {constant: \"constant: always 'x'\"}"))
    assert init(*put(home, SHAPES["byte order mark, yes and no, gaps"]), "--yes")[0] == 0
    assert load_params(home).data.unused["constant"].kind == "constant"


def test_comments_of_the_users_own_stay_when_the_table_is_the_same(home: Path, init: Churn) -> None:
    arguments = put(home, SHAPES["gzip"])
    assert init(*arguments, "--yes")[0] == 0
    path = home / "params.yaml"
    text = path.read_text()
    start, end = text.index("  columns:"), text.index("  unused:")
    commented = re.sub(r"(?m)^(    [a-z]+:.*?)( +#.*)?$", r"\1   # checked by hand", text[start:end])
    path.write_text(text[:start] + commented + text[end:])
    before = path.read_bytes()
    assert b"# checked by hand" in before
    assert init(*arguments)[0] == 0
    assert path.read_bytes() == before


def test_line_ends_of_another_system_stay(home: Path, init: Churn) -> None:
    path = home / "params.yaml"
    arguments = put(home, SHAPES["gzip"])
    assert init(*arguments, "--yes")[0] == 0
    plain = path.read_bytes()
    path.write_bytes((SAMPLE_PARAMS / "params.yaml").read_bytes().replace(b"\n", b"\r\n"))
    assert init(*arguments, "--yes")[0] == 0
    assert path.read_bytes() == plain.replace(b"\n", b"\r\n")


def test_a_params_file_that_is_a_link_stays_one_and_keeps_its_mode(home: Path, init: Churn) -> None:
    path, kept = home / "params.yaml", home / "kept.yaml"
    path.rename(kept)
    kept.chmod(0o600)
    path.symlink_to(kept.name)
    assert init(*put(home, SHAPES["gzip"]), "--yes")[0] == 0
    assert path.is_symlink()
    assert load_params(home).data.source == f"data/raw/{SHAPES['gzip'].file}"
    assert kept.stat().st_mode & 0o777 == 0o600


def test_a_read_only_params_file_is_left_as_it_is(home: Path, init: Churn) -> None:
    path = home / "params.yaml"
    path.chmod(0o444)
    before = path.read_bytes()
    code, _, complaint = init(*put(home, SHAPES["gzip"]), "--yes")
    assert (code, path.read_bytes()) == (1, before)
    assert complaint.startswith("churn: params.yaml: is read-only; ")


def test_an_edit_while_it_asks_is_not_overwritten(home: Path) -> None:
    table, _, target = put(home, SHAPES["gzip"])
    examined = proposal.examine(home, home / table, target)
    proposed = proposal.propose(home, examined, proposal.target_with(examined.profile.target, None))
    path = home / "params.yaml"
    path.write_text(f"{path.read_text()}# edited\n")
    with pytest.raises(ChurnError, match=r"^params.yaml: was edited in the meantime; run the same command again$"):
        proposal.write(home, proposed)
    assert path.read_text().endswith("# edited\n")


def test_slices_that_still_fit_stay(folder: Path, init: Churn) -> None:
    assert init("data/raw/customers.csv", "--target", "gone", "--yes")[0] == 0
    assert load_params(folder).evaluate.slices == ("plan", "senior")


def test_a_params_file_without_comments_and_in_flow_style_will_do(folder: Path, init: Churn) -> None:
    assert init(*put(folder, SHAPES["ids, names, free text and copies"]), "--yes")[0] == 0
    params = load_params(folder)
    assert list(params.data.columns) == ["band"]
    assert params.evaluate.slices == ("band",)


TABLE = b"fee,left\n1.5,A\n2.5,B\n4,A\n"


def refused(home: Path, init: Churn, *arguments: str, content: bytes = TABLE, name: str = "data/raw/t.csv") -> str:
    """The line in which `churn init` refuses; params.yaml is as it was."""
    (home / name).write_bytes(content)
    before = (home / "params.yaml").read_bytes()
    code, _, complaint = init(name, *arguments)
    assert code == 1
    (line,) = complaint.splitlines()
    assert (home / "params.yaml").read_bytes() == before
    assert not list(home.rglob("*.draft"))
    return line.removeprefix("churn: ")


def test_nothing_is_guessed_or_asked_without_a_terminal(home: Path, init: Churn) -> None:
    assert refused(home, init, "--target", "left", "--yes") == (
        "column 'left' holds 'A' and 'B': pass the one that means churned, with --positive A or --positive B"
    )
    assert refused(home, init, "--target", "left", "--positive", "B") == (
        f"params.yaml: data describes {DESCRIBED}; give --yes to replace it"
    )


def test_wrong_options_are_told_in_one_line(home: Path, init: Churn) -> None:
    assert refused(home, init, "--target", "gone") == (
        "data/raw/t.csv: no column 'gone' (--target); the table has: 'fee', 'left'"
    )
    assert refused(home, init, "--target", "left", "--positive", "C", "--yes") == (
        "--positive 'C' is not a value of column 'left', which holds 'A' and 'B'"
    )
    assert refused(home, init, "--target", "left", "--id", "no") == (
        "data/raw/t.csv: no column 'no' (--id); the table has: 'fee', 'left'"
    )


@pytest.mark.parametrize(
    ("name", "content", "line"),
    [
        ("t.csv", b"", "is empty; name a table with a header and rows"),
        ("t.csv", b"left\nyes\nno\n", "no column can be used by a model (there is only the target)"),
        ("t.csv", b"fee,left\n", "holds no rows"),
        ("t.csv", b"fee,left\n1,yes\n2\n3,no\n", "data row 2 differs from the header in its number of cells"),
        ("t.gz", b"fee,left\n1,yes\n", "cannot be decompressed (not a gzipped file"),
        ("t.gz", gzip.compress(TABLE, mtime=0)[:20], "cannot be decompressed ("),
        ("t.zip", TABLE, "cannot be decompressed (file is not a zip file"),
        ("t.zip", zipped(TABLE, "a.csv", "b.csv"), "contains 2 files; compress only the table"),
        ("t.parquet", TABLE, "parquet magic bytes not found"),
        ("t.csv", zipped(TABLE, "a.csv"), "is a spreadsheet or another archive; save the table as CSV"),
    ],
)
def test_what_is_no_table_is_told_in_one_line(home: Path, init: Churn, name: str, content: bytes, line: str) -> None:
    told = refused(home, init, "--target", "left", "--yes", content=content, name=f"data/raw/{name}")
    assert told.lower().startswith(f"data/raw/{name}: {line}".lower())


def test_a_missing_table_is_told_in_one_line(home: Path, init: Churn) -> None:
    assert init("data/raw/no.csv", "--target", "left")[2].endswith("cannot be read: no such file or directory")


def test_a_table_outside_the_project_is_refused(
    home: Path, init: Churn, tmp_path_factory: pytest.TempPathFactory
) -> None:
    outside = tmp_path_factory.mktemp("elsewhere") / "t.csv"
    outside.write_bytes(TABLE)
    advice = "is outside the project's folder; copy or move it to data/raw/ and name it there"
    assert init(str(outside), "--target", "left")[2] == f"churn: {outside}: {advice}"
    assert init(str(home / "data" / ".." / "data/raw/../../../x.csv"), "--target", "left")[2].endswith(advice)


def test_an_absolute_path_inside_the_project_is_written_relative_to_it(home: Path, init: Churn) -> None:
    put(home, SHAPES["gzip"])
    assert init(str(home / "data/raw/export.csv.gz"), "--target", "churn", "--yes")[0] == 0
    assert load_params(home).data.source == "data/raw/export.csv.gz"


def test_a_split_by_a_column_that_is_not_there_is_refused(home: Path, init: Churn) -> None:
    path = home / "params.yaml"
    split = "split: {by: key, column: null, format: null}"
    path.write_text(path.read_text().replace(split, "split: {by: time, column: joined, format: null}"))
    told = refused(home, init, "--target", "left", "--positive", "A", "--yes")
    assert told.startswith("params.yaml: preprocess.split.column: the table has no column 'joined'")


@pytest.mark.parametrize("broken", ["", "data: 5\n", "data: [\n", "data: {}\nevaluate: {}\npreprocess: {}\n"])
def test_a_params_file_that_cannot_be_mended_is_told(home: Path, init: Churn, broken: str) -> None:
    (home / "params.yaml").write_text(broken)
    code, _, complaint = init(*put(home, SHAPES["gzip"]), "--yes")
    assert code == 1
    assert all(line.removeprefix("churn: ").startswith("params.yaml: ") for line in complaint.splitlines())
    assert (home / "params.yaml").read_text() == broken


def test_names_and_labels_with_traps_for_yaml_come_back_as_they_are(home: Path, init: Churn) -> None:
    names = ["no", "1", "a: b", "#x", "- y", "'q'", "&z", "{f}", "~", "<<", "é ü", "=", "*"]
    labels = ["on", "1e3x", "null?", "c: d", "e #f", '"g"', "[h]", "\\n", "!i", "%j", "@k"]
    columns = {name: drawn(*labels[: 3 + place % 8]) for place, name in enumerate(names)}
    content = csv(columns | {"left": drawn("yes", "no")}, ";")
    (home / "data/raw/t.csv").write_bytes(content)
    assert init("data/raw/t.csv", "--target", "left", "--yes")[0] == 0
    columns_read = load_params(home).data.columns
    assert list(columns_read) == names
    found = {name: set(one.values or ()) for name, one in columns_read.items() if one.type == "categorical"}
    assert found == {name: set(values) for name, values in columns.items()}


@pytest.fixture
def small_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proposal, "LARGE_BYTES", 100)


@pytest.mark.slow
@pytest.mark.usefixtures("small_limit")
def test_a_large_table_is_given_to_dvc_on_demand(project: Path, init: Churn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)
    arguments = put(project, SHAPES["semicolons, decimal commas, windows-1252"])
    assert "dvc add data/raw/kunden.csv" in init(*arguments, "--yes")[1]
    assert (project / "data/raw/kunden.csv.dvc").exists()
    assert "dvc add" not in init(*arguments)[1]


@pytest.mark.usefixtures("small_limit")
def test_a_large_table_that_git_has_needs_no_dvc(project: Path, init: Churn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)
    assert "dvc add" not in init("data/raw/customers.csv", "--target", "gone", "--yes")[1]


@pytest.mark.slow
@pytest.mark.usefixtures("small_limit")
def test_when_dvc_refuses_nothing_is_written(home: Path, init: Churn) -> None:
    arguments = put(home, SHAPES["semicolons, decimal commas, windows-1252"])
    before = (home / "params.yaml").read_bytes()
    code, _, complaint = init(*arguments, "--yes")
    assert code == 1
    assert complaint.startswith("churn: data/raw/kunden.csv: `dvc add` fails: ")
    assert (home / "params.yaml").read_bytes() == before


def at_a_terminal(home: Path, answers: str, *arguments: str) -> tuple[int, str]:
    """Run the command with a terminal before it, and the answers typed in."""
    ours, its = pty.openpty()
    os.write(ours, answers.encode())
    command = [sys.executable, "-c", "from churn.cli.main import main; main()", "init", *arguments]
    done = subprocess.run(command, cwd=home, stdin=its, capture_output=True, text=True, check=False)
    os.close(its)
    os.close(ours)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.slow
def test_at_a_terminal_it_asks_what_it_cannot_know(home: Path) -> None:
    (home / "data/raw/t.csv").write_bytes(TABLE)
    code, said = at_a_terminal(home, "b\nB\ny\n", "data/raw/t.csv", "--target", "left")
    assert code == 0
    assert said.count("Which value means churned, 'A' or 'B'?") == 2
    assert "'b' is neither of them" in said
    assert f"params.yaml: data describes {DESCRIBED}; replace it?" in said
    assert load_params(home).data.target.positive == "B"


@pytest.mark.slow
def test_a_no_leaves_everything_as_it_is(home: Path) -> None:
    before = (home / "params.yaml").read_bytes()
    (home / "data/raw/t.csv").write_bytes(TABLE)
    code, said = at_a_terminal(home, "n\n", "data/raw/t.csv", "--target", "left", "--positive", "A")
    assert code == 1
    assert said.endswith("churn: params.yaml is unchanged\n")
    assert (home / "params.yaml").read_bytes() == before


def test_help_says_what_init_is_for() -> None:
    assert "init" in shell(REPOSITORY)(f"{sys.executable} -c 'from churn.cli.main import main; main()' --help").stdout


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=6) | st.sampled_from(["1", "2,5", "NA", "yes", "x"])


@settings(repeatable, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.integers(1, 12).flatmap(
        lambda rows: st.dictionaries(TEXTS, st.lists(TEXTS, min_size=rows, max_size=rows), max_size=4).map(
            lambda columns: csv(columns | {"left": (["yes", "no"] * rows)[:rows]}, ",")
        )
    )
    | st.binary(max_size=200).map(lambda noise: b"left,fee\n" + noise)
    | st.binary(max_size=50),
    st.sampled_from(["t.csv", "t.gz", "t.zip", "t.parquet"]),
)
def test_any_file_is_proposed_or_refused(home: Path, content: bytes, name: str) -> None:
    (home / name).write_bytes(content)
    with contextlib.suppress(ChurnError):
        examined = proposal.examine(home, Path(name), "left")
        target = proposal.target_with(examined.profile.target, "yes")
        (home / "params.yaml").write_text(proposal.propose(home, examined, target).new)
        assert isinstance(load_params(home), Params)
