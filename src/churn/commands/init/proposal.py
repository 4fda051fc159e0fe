"""Examine another table, and rewrite params.yaml for it. Only `data`, and slices that no longer fit, change."""

import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap

from churn.commands.init.profiling import ColumnProfile, TableProfile, profile_table
from churn.commands.init.target import TargetProfile
from churn.config.contract import Column, TableFormat, Target, UnusedColumn
from churn.config.params import PARAMS_FILE, Params, check_params, parse_yaml, read_yaml
from churn.config.yaml_edit import dump_like, load_editable, node, plain, put
from churn.drafts import replacing_outputs
from churn.errors import ChurnError, DataError, ParameterError, excerpt
from churn.history.git import git
from churn.table.reader import NOT_PACKED, PARQUET, first_line, head_of, read_source
from churn.table.sniffing import sniff
from churn.texts import aligned

PLAIN = TableFormat(delimiter=",", quote='"', encoding="utf-8", decimal=".")
"""Value of `format` for a Parquet table, which is read without it."""

LARGE_BYTES = 10_000_000
"""A larger table belongs in DVC, not in git."""

MOST_SLICES = 3
MOST_VALUES_OF_A_SLICE = 10

WIDEST_NAME = 32

ENTRY = ("type", "values", "min", "max", "decimal", "missing", "on_error", "missing_values")
"""Order of the keys of a column."""
OPTIONAL = frozenset({"decimal", "missing_values", "drop"})
"""Keys that are written only where they say something."""


@dataclass(frozen=True)
class ExaminedTable:
    """A table inside the project, with its format and profile.

    Attributes:
        source: its path, as in data.source.
        format: of a CSV table.
        profile: of its columns.
    """

    source: str
    format: TableFormat
    profile: TableProfile


@dataclass(frozen=True)
class Proposal:
    """params.yaml for another table.

    Attributes:
        old: its present text.
        new: its text for the table, which is valid.
        described: source of the table whose description is replaced; None if nothing is lost.
    """

    old: str
    new: str
    described: str | None


def examine(
    root: Path, table: Path, target: str, identifier: str | None = None, drop: tuple[str, ...] = ()
) -> ExaminedTable:
    """Read a table and profile its columns; rows with one of the texts `drop` in the target's column are left out.

    Raises:
        DataError: it is outside the project, is not a table, or has no usable column.
    """
    source = _source(root, table)
    head = b"" if table.suffix == PARQUET else _head(table)
    with _faults_with_table_name(table):
        how = PLAIN if table.suffix == PARQUET else sniff(head)
    texts = read_source(table, how)
    with _faults_with_table_name(table):
        profile = profile_table(texts, target, decimal=how.decimal, identifier=identifier, drop=drop)
    return ExaminedTable(source, how, profile)


def target_with(profile: TargetProfile, positive: str | None) -> Target:
    """Target of the contract; `positive` is the value that means churned, None to use the inferred one.

    Raises:
        DataError: it is not one of the two values, or cannot be inferred.
    """
    one, other = profile.values
    chosen = profile.positive if positive is None else positive.strip()
    if chosen is None:
        options = " or ".join(f"--positive {shlex.quote(value)}" for value in profile.values)
        raise DataError(
            f"column {profile.column!r} holds {excerpt(one)} and {excerpt(other)}: "
            f"pass the one that means churned, with {options}"
        )
    chosen = next((value for value in profile.values if value.casefold() == chosen.casefold()), chosen)
    if chosen not in profile.values:
        raise DataError(
            f"--positive {excerpt(chosen)} is not a value of column {profile.column!r}, which holds {excerpt(one)} and "
            f"{excerpt(other)}"
        )
    negative = other if chosen == one else one
    return Target(column=profile.column, positive=chosen, negative=negative, missing=profile.missing, drop=profile.drop)


def propose(root: Path, examined: ExaminedTable, target: Target) -> Proposal:
    """New text of params.yaml for the table; the file is not written.

    Raises:
        ParameterError: the file cannot be read, or does not fit the table.
    """
    path = root / PARAMS_FILE
    content = read_yaml(path)
    sections = {name: content.get(name) for name in ("data", "evaluate", "preprocess")}
    for name, section in sections.items():
        if not isinstance(section, dict):
            raise ParameterError(f"{PARAMS_FILE}: {name}: must be a section of keys; `git checkout {PARAMS_FILE}`")
    old = path.read_bytes().decode("utf-8")
    document = load_editable(old)
    _rewrite(document, examined, target)
    new = dump_like(document, like=old)
    loaded = check_params(parse_yaml(new, PARAMS_FILE))
    _require_same(loaded, examined, target)
    split = loaded.preprocess.split
    if split.column is not None and split.column not in [column.name for column in examined.profile.columns]:
        raise ParameterError(
            f"{PARAMS_FILE}: preprocess.split.column: the table has no column {split.column!r}; set "
            "preprocess.split to {by: key, column: null, format: null} first"
        )
    before, after = content["data"], read_data(new)
    described = None if before == after else str(before.get("source"))
    return Proposal(old, new, described)


def read_data(text: str) -> Any:
    """The data section of a text of params.yaml, as plain values."""
    return YAML(typ="safe").load(text)["data"]


def write(root: Path, proposal: Proposal) -> None:
    """Write the new text atomically.

    Raises:
        ChurnError: the file has changed since, or cannot be written.
    """
    try:
        if (root / PARAMS_FILE).read_bytes() != proposal.old.encode("utf-8"):
            raise ChurnError(f"{PARAMS_FILE}: was edited in the meantime; run the same command again")
        with replacing_outputs(root / PARAMS_FILE) as (draft,):
            draft.write_bytes(proposal.new.encode("utf-8"))
    except OSError as error:
        raise ChurnError(f"{PARAMS_FILE}: cannot be written: {error.strerror}") from None


def as_text(examined: ExaminedTable) -> str:
    """Text for the terminal: one line per column, the format of the table, and the target."""
    return "\n".join([*_column_lines(examined.profile), "", *_table_lines(examined)])


def is_large_and_untracked(root: Path, source: str) -> bool:
    """Whether a table is large and tracked by neither DVC nor git."""
    return (root / source).stat().st_size > LARGE_BYTES and is_untracked(root, source)


def is_untracked(root: Path, source: str) -> bool:
    """Whether a table is tracked by neither DVC nor git."""
    if any((root / f"{part}.dvc").exists() for part in (Path(source), *Path(source).parents[:-1])):
        return False
    return not git(root, "ls-files", "--", source)


def add_to_dvc(root: Path, source: str) -> None:
    """Add the table to DVC.

    Raises:
        ChurnError: `dvc add` fails.
    """
    done = _run(root, sys.executable, "-P", "-m", "dvc", "add", "--", source)
    if done.returncode != 0:
        reasons = [line.removeprefix("ERROR: ") for line in done.stderr.splitlines() if line.startswith("ERROR: ")]
        raise ChurnError(f"{source}: `dvc add` fails: {(reasons or ['no reason given'])[0]}")


def _run(root: Path, *command: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(  # noqa: S603
            command, cwd=root, text=True, encoding="utf-8", errors="replace", capture_output=True, check=False
        )
    except OSError as error:
        return subprocess.CompletedProcess(command, 1, "", f"{command[0]}: {error.strerror}")


def _source(root: Path, table: Path) -> str:
    # The file itself is not resolved: it may be a link to DVC's cache.
    place = table.parent.resolve() / table.name
    try:
        return place.relative_to(root.resolve()).as_posix()
    except ValueError:
        raise DataError(
            f"{table}: is outside the project's folder; copy or move it to data/raw/ and name it there"
        ) from None


@contextmanager
def _faults_with_table_name(table: Path) -> Iterator[None]:
    """Add the table's name to errors."""
    try:
        yield
    except DataError as error:
        raise DataError(f"{table}: {error}") from None


def _head(path: Path) -> bytes:
    try:
        return head_of(path)
    except NOT_PACKED as error:
        raise DataError(f"{path}: cannot be decompressed ({first_line(error)}); compress it again") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {(error.strerror or str(error)).lower()}") from None


def _rewrite(document: CommentedMap, examined: ExaminedTable, target: Target) -> None:
    profile, data = examined.profile, document["data"]
    if plain(data.get("source")) != examined.source and isinstance(data.get("audit"), CommentedMap):
        put(data["audit"], "accept", [])  # findings accepted for another table
    put(data, "source", examined.source)
    _put_keys(data, "format", examined.format.model_dump())
    put(data, "id", profile.id)
    given = target.model_dump()
    _put_keys(data, "target", {name: value for name, value in given.items() if value or name not in OPTIONAL})
    put(data, "missing_values", list(profile.missing_values))
    _put_columns(data, profile)
    _put_unused(data, profile.unused)
    evaluate = document["evaluate"]
    slices = plain(evaluate.get("slices"))
    if not isinstance(slices, list) or not all(name in list(profile.features) for name in slices):
        put(evaluate, "slices", _slices(profile))


def _put_keys(section: CommentedMap, key: str, values: Mapping[str, Any]) -> None:
    if not isinstance(section.get(key), CommentedMap) or set(section[key]) != set(values):
        section[key] = node(values)
    for name, value in values.items():
        put(section[key], name, value)


def _put_columns(data: CommentedMap, profile: TableProfile) -> None:
    if not isinstance(data.get("columns"), CommentedMap):
        data["columns"] = CommentedMap()
    columns = data["columns"]
    proposed = {column.name: _entry(column.spec) for column in profile.columns if column.spec is not None}
    if plain(columns) == proposed:  # the user's comments are kept
        return
    columns.clear()
    columns.ca.items.clear()  # comments of removed columns
    columns.fa.set_block_style()
    for column in profile.columns:
        if column.spec is not None:
            columns[column.name] = node(proposed[column.name])
            columns.yaml_add_eol_comment(column.reason, column.name, column=0)


def _put_unused(data: CommentedMap, unused: Mapping[str, UnusedColumn]) -> None:
    proposed = {name: column.model_dump() for name, column in unused.items()}
    if data.get("unused") == proposed:
        return
    entries = node(proposed)
    if unused:
        entries.fa.set_block_style()
    data["unused"] = entries


def _entry(spec: Column) -> dict[str, Any]:
    values = {name: getattr(spec, name) for name in ENTRY if name in type(spec).model_fields}
    values = {name: value for name, value in values.items() if value or name not in OPTIONAL}
    whole = {name: int(value) for name, value in values.items() if isinstance(value, float) and value.is_integer()}
    return values | whole


def _slices(profile: TableProfile) -> list[str]:
    """Up to three columns with few values, categorical ones first."""
    few = [column for column in profile.columns if 2 <= column.distinct <= MOST_VALUES_OF_A_SLICE]
    ranked = [column.name for role in ("categorical", "boolean") for column in few if column.role == role]
    return ranked[:MOST_SLICES]


def _require_same(loaded: Params, examined: ExaminedTable, target: Target) -> None:
    """Check that the written YAML reads back as the intended values."""
    data, profile = loaded.data, examined.profile
    read = (data.source, data.format, data.id, data.target, data.missing_values, data.columns, data.unused)
    meant = (examined.source, examined.format, profile.id, target, profile.missing_values, profile.features)
    if read != (*meant, profile.unused):
        raise ParameterError(f"{PARAMS_FILE}: a name or label of the table cannot be written in YAML; rename it")


def _column_lines(profile: TableProfile) -> Iterator[str]:
    header = ("column", "becomes", "missing", "distinct", "why")
    yield from aligned([header, *map(_cells_of, profile.columns)], right=(2, 3))
    yield ""
    yield "missing: allow for columns with gaps, fail for all others, so that new gaps are noticed"
    yield "numbers: min 0 for columns without negative values, so that a wrong sign is noticed; no max"


def _cells_of(column: ColumnProfile) -> tuple[str, str, str, str, str]:
    name = column.name if column.name.isprintable() else repr(column.name)
    short = name if len(name) <= WIDEST_NAME else f"{name[: WIDEST_NAME - 1]}…"
    return short, column.role, _percent(column.missing_share), f"{column.distinct:,}", column.reason


def _percent(share: float) -> str:
    if share == 0:
        return "-"
    return "< 1%" if share < 0.01 else f"{share:.0%}"


def _table_lines(examined: ExaminedTable) -> Iterator[str]:
    how, profile = examined.format, examined.profile
    written = f"delimiter {how.delimiter!r}, quote {how.quote}, encoding {how.encoding}, decimal sign {how.decimal}"
    if examined.source.endswith(PARQUET):
        written = "Parquet"
    yield f"table:   {examined.source}, {profile.rows:,} rows; {written}"
    counted = zip(profile.target.values, profile.target.counts, strict=True)
    values = ", ".join(f"{excerpt(value)} in {count:,} rows" for value, count in counted)
    yield f"target:  {excerpt(profile.target.column)}: {values}"
