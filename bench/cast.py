"""Record the first run as an animated SVG, from the real commands in a fresh clone: python -m bench.cast.

It plays once and stays at its last lines, so it can be read where nothing moves.
"""

import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
CAST = REPOSITORY / "docs/images/first-run.svg"
COMMANDS = (
    "make run",
    "sed -i 's/learning_rate: 0.05/learning_rate: 0.1/' params.yaml",
    "dvc repro",
    "dvc metrics diff",
    "churn compare",
)
COLUMNS, ROWS = 108, 26
CHARACTER, LINE, MARGIN, BAR = 7.8, 18, 16, 30
LONGEST_WAIT = 1.0
"""Seconds: longer ones are cut, so that the cast takes no longer than it is watched."""
SECONDS_TO_TYPE, SECONDS_TO_READ = 1.0, 2.5


@dataclass(frozen=True)
class Line:
    """What appears, and when, in seconds from the start."""

    at: float
    text: str
    is_command: bool


def record(folder: Path) -> list[Line]:
    """Run every command in a fresh clone; its lines as they come."""
    clone = folder / "churn"
    subprocess.run(["git", "clone", "--quiet", REPOSITORY, clone], check=True)
    settings = {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW", "DVC", "PYTHON"))}
    settings |= {
        "PATH": f"{clone / '.venv/bin'}:{os.environ['PATH']}",
        "COLUMNS": str(COLUMNS),
        "DVC_NO_ANALYTICS": "1",
    }
    lines: list[Line] = []
    now = 0.0
    for command in COMMANDS:
        lines.append(Line(now, f"$ {command}", is_command=True))
        now += SECONDS_TO_TYPE
        for waited, text in _lines_of(command, clone, settings):
            now += min(waited, LONGEST_WAIT)
            if text.startswith("WARNING: "):
                continue  # of pip, about where packages come from on this machine
            lines.append(Line(now, text, is_command=False))
        now += SECONDS_TO_READ
    return lines


def _lines_of(command: str, folder: Path, settings: dict[str, str]) -> Iterator[tuple[float, str]]:
    """Seconds waited for each line, and the line."""
    last = time.monotonic()
    with subprocess.Popen(
        ["bash", "-c", command], cwd=folder, env=settings, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        for text in process.stdout or ():
            moment = time.monotonic()
            yield moment - last, text.rstrip().replace(str(folder), "~/churn")
            last = moment
    if process.returncode:
        raise SystemExit(f"{command}: exit code {process.returncode}")


def kind_of(line: Line) -> str:
    """Class of a line in the style sheet."""
    return "command" if line.is_command else "output"


def as_svg(lines: list[Line]) -> str:
    """Lines appear at their moments; the text moves up by a line when the window is full."""
    width, height = COLUMNS * CHARACTER + 2 * MARGIN, ROWS * LINE + 2 * MARGIN + BAR
    end = lines[-1].at + SECONDS_TO_READ
    moves = [
        f"{100 * line.at / end:.3f}% {{ transform: translateY({-LINE * (number - ROWS + 1)}px) }}"
        for number, line in enumerate(lines)
        if number >= ROWS
    ]
    at_last = f"{{ transform: translateY({-LINE * max(len(lines) - ROWS, 0)}px) }}"
    texts = [
        f'<text y="{LINE * (number + 1)}" class="{kind_of(line)}" '
        f'style="animation-delay:{line.at:.2f}s">{escape(line.text[:COLUMNS])}</text>'
        for number, line in enumerate(lines)
        if line.text
    ]
    return "\n".join(
        [
            '<svg xmlns="http://www.w3.org/2000/svg" xml:space="preserve" role="img" '
            f'viewBox="0 0 {width:.0f} {height}" '
            'aria-label="The first run in a terminal">',
            "<style>",
            "text { font: 13px ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace; fill: #d5dbe1; "
            "white-space: pre; animation: show 0.01s step-end both }",
            ".command { fill: #8fd18f; font-weight: 600 }",
            "@keyframes show { from { visibility: hidden } to { visibility: visible } }",
            f"@keyframes move {{ 0% {{ transform: none }} {' '.join(moves)} to {at_last} }}",
            f".lines {{ animation: move {end:.2f}s step-end both }}",
            f"@media (prefers-reduced-motion: reduce) {{ text, .lines {{ animation: none }} .lines {at_last} }}",
            "</style>",
            f'<rect width="{width:.0f}" height="{height}" rx="10" fill="#1b2229"/>',
            '<circle cx="20" cy="16" r="5" fill="#e0655a"/><circle cx="38" cy="16" r="5" fill="#e0b45a"/>'
            '<circle cx="56" cy="16" r="5" fill="#6fbf73"/>',
            f'<svg x="{MARGIN}" y="{BAR + MARGIN - 6}" width="{width - 2 * MARGIN:.0f}" height="{ROWS * LINE + 8}">'
            '<g class="lines">',
            *texts,
            "</g></svg></svg>\n",
        ]
    )


def main() -> None:
    """Record and write."""
    with tempfile.TemporaryDirectory(prefix="churn-cast-") as folder:
        CAST.write_text(as_svg(record(Path(folder))), encoding="utf-8")
    print(CAST.relative_to(REPOSITORY))


if __name__ == "__main__":
    main()
