"""The code that each stage runs, by its imports. `make format` writes it into dvc.yaml, where a test checks it."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import jinja2
from jinja2 import meta

REPOSITORY = Path(__file__).parents[2]
SOURCE = REPOSITORY / "src"
TEMPLATES = SOURCE / "churn/report/templates"
STAGES = SOURCE / "churn/stages"
RUNNER = (
    *(STAGES / name for name in ("__main__.py", "start.py", "runner.py")),
    SOURCE / "churn/history/provenance.py",
)
"""What runs every stage, and what writes a result of each."""
ASIDE = ("churn.config.params", "churn.history", "churn.tracking")
"""They can refuse, but never change a result."""


def code_of(stage: str) -> set[str]:
    """Paths in the repository of the modules and templates that a stage's results depend on."""
    modules = modules_from(STAGES / f"{stage}.py").union(RUNNER)
    return {str(path.relative_to(REPOSITORY)) for path in modules | templates_of(modules)}


def modules_from(start: Path) -> set[Path]:
    """A module and everything of the package that it imports, directly or not, but for what is aside."""
    found: set[Path] = set()
    waiting = [start]
    while waiting:
        path = waiting.pop()
        if path not in found:
            found.add(path)
            waiting += [_file_of(name) for name in _imports(path) if not name.startswith(ASIDE)]
    return found


def templates_of(modules: set[Path]) -> set[Path]:
    """Templates that modules name, and those that these include or import."""
    environment = jinja2.Environment(autoescape=True)
    names = {path.name for path in TEMPLATES.iterdir()}
    waiting = [name for path in modules for name in names if f'"{name}"' in path.read_text()]
    found: set[Path] = set()
    while waiting:
        path = TEMPLATES / waiting.pop()
        if path not in found:
            found.add(path)
            waiting += filter(None, meta.find_referenced_templates(environment.parse(path.read_text())))
    return found


def with_code_of_stages(pipeline: str) -> str:
    """The text of dvc.yaml with the code of each stage among its dependencies, all else as it was."""
    return re.sub(r"^  (\w+):\n.*?(?=^  \w|\Z)", _with_code, pipeline, flags=re.MULTILINE | re.DOTALL)


def _with_code(stage: re.Match[str]) -> str:
    listed = re.compile(r"(?:^      - src/.*\n)+", re.MULTILINE)
    return listed.sub("".join(f"      - {path}\n" for path in sorted(code_of(stage[1]))), stage[0])


def _imports(path: Path) -> Iterator[str]:
    for node in _run_statements(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "churn":
            members = [f"{node.module}.{alias.name}" for alias in node.names]
            modules = [member for member in members if _file_of(member).exists()]
            yield from modules or [node.module]
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.split(".")[0] == "churn")


def _run_statements(node: ast.AST) -> Iterator[ast.AST]:
    """Every statement but those that only a type checker sees."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and isinstance(child.test, ast.Name) and child.test.id == "TYPE_CHECKING":
            continue
        yield child
        yield from _run_statements(child)


def _file_of(module: str) -> Path:
    return SOURCE / f"{module.replace('.', '/')}.py"


if __name__ == "__main__":
    file = REPOSITORY / "dvc.yaml"
    file.write_text(with_code_of_stages(file.read_text()))
