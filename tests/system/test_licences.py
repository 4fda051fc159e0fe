"""Each package of the images has a permissive licence, or is in the manual's table of those that ask for more."""

import re
from collections.abc import Iterable
from importlib.machinery import SourceFileLoader
from importlib.metadata import Distribution, distributions
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType

import pytest

from tests.helpers.projects import REPOSITORY

SHIPPED = [f"requirements{group}.lock" for group in ("", "-tune", "-notebook", "-serve")]
"""Locks that the Dockerfile installs into images, apart from the one that only sets up."""
PERMISSIVE = re.compile(
    r"(new )?(mit|mit-0|mit-cmu|0bsd|([23]-clause )?bsd([ -][23][ -]clause)?|isc|zlib|zpl-2\.1|cc0-1\.0)"
    r"|apache( license,?)?( version)?( software|[ -]2\.0)|(psf-2\.0|psfl|python software foundation)",
    re.IGNORECASE,
)
READ = {"huey": "MIT", "python-dateutil": "Apache-2.0", "skops": "MIT"}
"""Licences by the text, of packages whose metadata name none."""

WITHOUT_TEXT = {"antlr4-python3-runtime", "flask-cors"}
"""Their wheels have none; the list names their pages."""


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def module_at(path: Path) -> ModuleType:
    loader = SourceFileLoader(path.name, str(path))
    spec = spec_from_loader(path.name, loader)
    assert spec
    module = module_from_spec(spec)
    loader.exec_module(module)
    return module


NOTICES = module_at(REPOSITORY / "deploy/notices")


def is_permissive(licence: str) -> bool:
    """Whether all parts of a licence are permissive; of alternatives, one."""
    plain = re.sub(r" licen[sc]e$| licen[sc]e \(ISCL\)$|[()]", "", licence, flags=re.IGNORECASE)
    return all(any(map(PERMISSIVE.fullmatch, part.split(" OR "))) for part in re.split(r" AND |; ", plain))


def locked(locks: Iterable[str]) -> set[str]:
    texts = [(REPOSITORY / lock).read_text() for lock in locks]
    return {canonical(name) for text in texts for name in re.findall(r"^([\w.-]+)==", text, re.MULTILINE)}


def demanding(packages: Iterable[Distribution]) -> dict[str, str]:
    """Licence by name of each package whose licence is not permissive."""
    found = {canonical(package.metadata["Name"]): NOTICES.licence_of(package) for package in packages}
    found |= {name: licence for name, licence in READ.items() if name in found}
    return {name: licence for name, licence in found.items() if not is_permissive(licence)}


def test_the_manual_lists_each_shipped_package_whose_licence_asks_for_more() -> None:
    shipped = locked(SHIPPED)
    here = [package for package in distributions() if canonical(package.metadata["Name"]) in shipped]
    assert len(here) > len(shipped) * 0.9
    page = (REPOSITORY / "docs/containers.md").read_text().partition("## Licences")[2].partition("\n## ")[0]
    rows = [re.split(r" (?<!\\)\| ", line) for line in page.splitlines() if line.startswith("| `")]
    listed = {name.strip("|` "): licence.replace("\\|", "|") for name, licence, *_ in rows}
    assert demanding(here) == listed


OTHERS = ["GPL-3.0-only", "LGPLv3", "MIT AND GPL-2.0-only", "see its text", "SSPL-1.0", "Proprietary", "BUSL"]


@pytest.mark.parametrize("licence", OTHERS)
def test_a_new_package_of_another_licence_is_found(licence: str, tmp_path: Path) -> None:
    about = tmp_path / "new-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Name: new\nVersion: 1.0\nLicense-Expression: {licence}\n")
    assert demanding(distributions(path=[str(tmp_path)])) == {"new": licence}


def test_the_list_names_the_version_the_licence_and_the_text_of_each_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "licenses/packages.txt"
    monkeypatch.setattr("sys.argv", ["notices", str(target)])
    NOTICES.main()
    told = target.read_text()
    assert re.search(r"^numpy [\d.]+: BSD-3-Clause AND .*\n  /.*/LICENSE\.txt$", told, re.MULTILINE)
    paths = re.findall(r"^  (/.*)$", told, re.MULTILINE)
    assert all(Path(path).is_file() for path in paths)
    without = re.findall(r"^(\S+) .*\n  its distribution has no text$", told, re.MULTILINE)
    assert set(map(canonical, without)) & locked(SHIPPED) <= WITHOUT_TEXT
