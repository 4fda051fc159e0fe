"""Which installed packages the usual commands import, and how large they are: `python -m bench.packages`."""

import os
import re
import subprocess
import sys
import tempfile
from importlib.metadata import Distribution, distributions, packages_distributions
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
NOTING = """\
import atexit, os, sys
@atexit.register
def note():
    with open(os.path.join(os.environ["NOTED"], str(os.getpid())), "w") as file:
        file.write("\\n".join({name.partition(".")[0] for name in list(sys.modules)}))
"""
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
    """Size of the installed files of a package."""
    paths = [Path(str(package.locate_file(file))) for file in package.files or []]
    return sum(path.stat().st_size for path in paths if path.is_file()) / 1e6


def imported_by(command: list[str], clone: Path, place: Path) -> set[str]:
    """Packages that a command and the processes below it import."""
    noted = Path(tempfile.mkdtemp(dir=place))
    settings = {
        "NOTED": str(noted),
        "PYTHONPATH": str(place),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    settings["MLFLOW_TRACKING_URI"] = f"sqlite:///{place}/mlflow.db"
    subprocess.run(command, cwd=clone, env=os.environ | settings, check=True, stdout=subprocess.DEVNULL)  # noqa: S603
    modules = {name for file in noted.iterdir() for name in file.read_text().split()}
    known = packages_distributions()
    return {canonical(name) for module in modules for name in known.get(module, [])}


def main() -> None:
    """Print a table of the commands, with the packages of `requirements.lock` that each imports."""
    locked = {canonical(name) for name in re.findall(r"^([\w.-]+)==", (ROOT / "requirements.lock").read_text(), re.M)}
    here = {canonical(package.metadata["Name"]): package for package in distributions()}
    sizes = {name: megabytes(here[name]) for name in sorted(locked & set(here))}
    print(
        f"| command | packages | MB |\n| --- | --- | --- |\n| installed | {len(sizes)} | {sum(sizes.values()):,.0f} |"
    )
    used: set[str] = set()
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        (place / "sitecustomize.py").write_text(NOTING)
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
