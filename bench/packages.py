"""Which installed packages the usual commands import, and how large they are: `python -m bench.packages`."""

import os
import re
import subprocess
import sys
import tempfile
from importlib.metadata import Distribution, distributions, packages_distributions
from importlib.util import cache_from_source
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
IMPORT = re.compile(r"^import time: .*\| +([\w.]+)$", re.MULTILINE)
"""A line of Python's report of imports."""
COMMANDS = {
    "`dvc repro`, its three stages and their publisher": ["dvc", "repro", "--force"],
    "`churn sync`": ["churn", "sync"],
    "`churn summary`": ["churn", "summary"],
    "`dvc metrics diff`": ["dvc", "metrics", "diff"],
    "`mlflow ui`, until it answers": ["python", "-c", "import mlflow.server.fastapi_app"],
}


def canonical(name: str) -> str:
    """Name of a package as an index has it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def megabytes(package: Distribution) -> float:
    """Size of the installed files of a package, with their bytecode."""
    paths = [Path(str(package.locate_file(file))) for file in package.files or []]
    paths += [Path(cache_from_source(str(path))) for path in paths if path.suffix == ".py"]
    return sum(path.stat().st_size for path in paths if path.is_file()) / 1e6


def imported_by(command: list[str], clone: Path, place: Path) -> set[str]:
    """Packages that a command and the processes below it import."""
    settings = {"PYTHONPROFILEIMPORTTIME": "1", "MLFLOW_TRACKING_URI": f"sqlite:///{place}/mlflow.db"}
    settings["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(command, cwd=clone, env=os.environ | settings, capture_output=True, text=True)  # noqa: S603
    if done.returncode:
        sys.exit(f"{' '.join(command)}: {IMPORT.sub('', done.stderr).strip()}")
    publisher = clone / ".churn/publisher.log"
    told = done.stderr + (publisher.read_text() if publisher.exists() else "")
    modules = {name.partition(".")[0] for name in IMPORT.findall(told)}
    known = packages_distributions()
    return {canonical(name) for module in modules for name in known.get(module, [])}


def main() -> None:
    """Print a table of the commands, with the packages of `requirements.lock` that each imports."""
    locked = {canonical(name) for name in re.findall(r"^([\w.-]+)==", (ROOT / "requirements.lock").read_text(), re.M)}
    here = {canonical(package.metadata["Name"]): package for package in distributions()}
    sizes = {name: megabytes(here[name]) for name in sorted(locked & set(here))}
    print("| command | packages | MB |\n| --- | --- | --- |")
    print(f"| installed | {len(sizes)} | {sum(sizes.values()):,.0f} |")
    used: set[str] = set()
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        subprocess.run(["git", "clone", "--quiet", ROOT, place / "clone"], check=True)  # noqa: S603, S607
        for what, command in COMMANDS.items():
            found = imported_by(command, place / "clone", place) & set(sizes)
            used |= found
            print(f"| {what} | {len(found)} | {sum(sizes[name] for name in found):,.0f} |", flush=True)
    idle = sorted(set(sizes) - used, key=lambda name: -sizes[name])
    print(f"| none of these | {len(idle)} | {sum(sizes[name] for name in idle):,.0f} |")
    print("\nLargest that none imports: " + ", ".join(f"{name} {sizes[name]:,.0f} MB" for name in idle[:12]))


if __name__ == "__main__":
    main()
