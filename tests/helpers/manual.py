"""What README and manual hold: commands, and what they are said to print."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.helpers.projects import REPOSITORY

README = REPOSITORY / "README.md"
MANUAL = sorted((REPOSITORY / "docs").glob("*.md"))
_BLOCK = re.compile(r"^```(\w*)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_ENDS_WITH = re.compile(r"\s+# exit code (\d+)$")


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, the title after it, and its lines."""

    language: str
    title: str
    lines: tuple[str, ...]


@dataclass(frozen=True)
class Command:
    """A command of a page and its exit code; the last one of a block has the lines that the block is shown to print."""

    text: str
    exit_code: int
    ends_block: bool
    shown: tuple[str, ...]


def blocks_of(page: Path) -> list[Block]:
    """Every fenced block of a page, in order."""
    found = _BLOCK.findall(page.read_text(encoding="utf-8"))
    return [Block(language, title.strip(), tuple(text.splitlines())) for language, title, text in found]


def commands_of(page: Path, language: str = "bash") -> Iterator[Command]:
    """Commands of a page in order; a block of text right after them without a title is what they print."""
    blocks = blocks_of(page)
    for place, block in enumerate(blocks):
        after = blocks[place + 1] if place + 1 < len(blocks) else None
        if block.language != language:
            continue
        shown = after.lines if after is not None and after.language == "text" and not after.title else ()
        for line in block.lines:
            ends = _ENDS_WITH.search(line)
            is_last = line == block.lines[-1]
            yield Command(_ENDS_WITH.sub("", line), int(ends[1]) if ends else 0, is_last, shown if is_last else ())


def without_names_of_the_moment(text: str) -> str:
    """A line as it is compared: without commits, times and widths of columns."""
    return re.sub(r"\s+", " ", re.sub(r"\b[0-9a-f]{7,40}\b", "COMMIT", text)).strip()
