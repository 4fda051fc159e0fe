"""Provenance: what a stage's results were computed from, recorded by the stage itself.

dvc.lock alone cannot be trusted: a line-by-line merge of two branches can give a lock with the parameters of both and
the results of one, and DVC accepts it. The provenance file is written by the stage that ran. It is one of its results,
records the inputs that were read and the md5 of every other result, and so contradicts a wrong lock.

Its values are in lists, because DVC treats numbers and texts in a metrics file as metrics.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

FOLDER = "metrics/provenance"


def path_of(stage: str) -> str:
    """Path of a stage's provenance file."""
    return f"{FOLDER}/{stage}.json"


@dataclass(frozen=True)
class Provenance:
    """Inputs that a stage read, and results that it wrote."""

    command: str
    dependencies: Mapping[str, str | None]
    """md5 by path."""
    parameters: Mapping[str, Mapping[str, Any]]
    """Value by dotted key, by file."""
    packages: Mapping[str, str]
    """Version by name of packages that the lock files do not describe."""
    results: Mapping[str, str | None]
    """md5 by path, without the provenance file itself."""
    platform: str | None = None
    """Where the stage ran, such as "Linux x86_64"; no input, so it is not compared. None in old states."""

    def as_text(self) -> str:
        """JSON with one sorted entry per line, so that diffs are readable."""
        sections: dict[str, list[Any]] = {
            "command": [self.command],
            "dependencies": sorted(self.dependencies.items()),
            "packages": sorted(self.packages.items()),
            "parameters": sorted(_leaves(self.parameters), key=lambda entry: entry[:2]),
            "platform": [self.platform] if self.platform else [],
            "results": sorted(self.results.items()),
        }
        written = (
            f' "{name}": [' + ",".join(f"\n  {json.dumps(entry, default=str)}" for entry in entries) + "]"
            for name, entries in sections.items()
        )
        return "{\n" + ",\n".join(written) + "\n}\n"


def differences(content: bytes | None, expected: Provenance) -> list[str]:
    """Differences between the provenance that a stage wrote and the expected one; empty if they agree."""
    left = _parse(content)
    if left is None:
        return ["its provenance cannot be read"]
    right = _parse(expected.as_text().encode()) or {}
    return [line for name, compared in COMPARED.items() for line in compared(left.get(name, {}), right[name])]


def packages_in(content: bytes | None) -> dict[str, str]:
    """Packages that the stage ran with and the lock files do not describe; empty without provenance."""
    return {str(name): str(version) for name, version in (_parse(content) or {}).get("packages", {}).items()}


def results_in(content: bytes | None) -> dict[str, str]:
    """md5 by path of the results that the stage wrote; empty without provenance."""
    return {str(path): str(md5) for path, md5 in (_parse(content) or {}).get("results", {}).items()}


def platform_in(content: bytes | None) -> str | None:
    """Platform on which the stage ran; None in old states, and without provenance."""
    named = (_parse(content) or {}).get("platform")
    return str(named[0]) if named else None


def _leaves(parameters: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, str, Any]]:
    for file, values in parameters.items():
        for key, value in values.items():
            yield from ((file, name, leaf) for name, leaf in _flat(key, value))


def _flat(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from _flat(f"{name}.{key}", inner)
    else:
        yield name, value


def _parse(content: bytes | None) -> dict[str, dict[Any, Any]] | None:
    """The sections as mappings; None if the content is not a provenance file."""
    try:
        sections = json.loads(content or b"")
        return {
            "command": {"command": sections["command"][0]},
            "parameters": {(file, key): value for file, key, value in sections["parameters"]},
            **{name: dict(sections[name]) for name in ("dependencies", "packages", "results")},
            "platform": dict(enumerate(sections.get("platform", []))),
        }
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError):
        return None


def _other_command(left: Mapping[Any, Any], right: Mapping[Any, Any]) -> Iterator[str]:
    if left != right:
        yield f"made with another command ({_short(left.get('command'))})"


def _other_parameters(left: Mapping[Any, Any], right: Mapping[Any, Any]) -> Iterator[str]:
    for file, key in {**left, **right}:
        made, said = left.get((file, key), "nothing"), right.get((file, key), "nothing")
        if json.dumps(made) != json.dumps(said):  # NaN is not equal to itself
            where = "" if file == "params.yaml" else f"{file}: "
            yield f"made with {where}{key} {_short(made)}, not {_short(said)}"


def _other_files(left: Mapping[Any, Any], right: Mapping[Any, Any]) -> Iterator[str]:
    yield from (f"made with another {path}" for path in {**left, **right} if left.get(path) != right.get(path))


def _other_packages(left: Mapping[Any, Any], right: Mapping[Any, Any]) -> Iterator[str]:
    for name in {**left, **right}:
        made, said = left.get(name, "as locked"), right.get(name, "as locked")
        if made != said:
            yield f"made with {name} {made}, not {said}"


def _other_results(left: Mapping[Any, Any], right: Mapping[Any, Any]) -> Iterator[str]:
    for path in {**left, **right}:
        if left.get(path) != right.get(path):
            yield f"{path} is not the file that the stage wrote"


COMPARED = {
    "parameters": _other_parameters,
    "dependencies": _other_files,
    "packages": _other_packages,
    "command": _other_command,
    "results": _other_results,
}
"""Comparison function of each section."""


def _short(value: Any) -> str:
    text = " ".join(str(value if isinstance(value, str) else json.dumps(value)).split())
    return text if len(text) <= 40 else f"{text[:37]}..."
