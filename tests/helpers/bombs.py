"""An object whose pickle runs code, so that a test can show that nobody ran it."""

from collections.abc import Callable
from pathlib import Path


class Bomb:
    """Unpickled, it makes a file."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Callable[[Path], None], tuple[Path]]:
        return Path.touch, (self.mark,)
