"""Damage to a file: other bytes, other values, or something that is not a file."""

import copy
import io
import json
import os
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy
from ruamel.yaml import YAML

from churn.errors import ChurnError

Reading = Callable[[Path], object]
"""Reads files of a project, as a command does."""

MANY, FEW = 10_000, 5


def examples_over(cases: int, *, many: int = MANY, few: int = FEW) -> settings:
    """How often each case of a test tries a damage; with the profile `many`, all cases together try that many."""
    count = -(-many // cases) if settings.get_current_profile_name() == "many" else few
    return settings(
        max_examples=count, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
    )


JSON_VALUES: SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-2, 3)
    | st.sampled_from([10**400, -(2**63), 1e308, float("nan"), float("inf"), 0.5])
    | st.sampled_from(["", "x", "\x1b[31m", "2026-01-01", "../../etc/passwd", "\ud800", "\0", "<b>", "params.yaml"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "path", "cmd", "value"]), inner),
    max_leaves=5,
)
"""Any value that JSON can hold."""

WHOLE = [
    b"",
    b"null",
    b"[]",
    b"{}",
    b"3",
    b'"x"',
    b"NaN",
    b"1e999",
    b"1" * 5000,
    b'{"stages": 1}',
    b'{"a": 1, "a": 2}',
    b"\xff\xfe",
    b"[" * 100_000 + b"]" * 100_000,
    b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
    b"a: &a\n  b: *a\n",
    b"a: &a [1, 1, 1, 1, 1, 1]\n"
    + b"".join(b"%c: &%c [*%c, *%c, *%c, *%c, *%c, *%c]\n" % (i, i, *[i - 1] * 6) for i in range(98, 110)),
    b"<<<<<<< HEAD\nstages: {}\n=======\nstages: []\n>>>>>>> other\n",
]
"""Contents that stand for their kind."""

NOT_FILES = ["folder", "pipe", "link to itself", "link to a device", "link to nothing", "a gigabyte"]


def put_in_place(path: Path, damage: "bytes | str") -> None:
    """Replace a file by other bytes, or by what is not a file."""
    if os.path.lexists(path):
        path.unlink()
    if isinstance(damage, bytes):
        path.write_bytes(damage)
    elif damage == "folder":
        path.mkdir()
    elif damage == "pipe":
        os.mkfifo(path)
    elif damage == "a gigabyte":
        with path.open("wb") as file:
            file.truncate(10**9)  # takes no space on the disk
    else:
        path.symlink_to({"link to itself": path.name, "link to a device": "/dev/zero"}.get(damage, "not-there"))


@st.composite
def damaged_bytes(draw: DrawFn, content: bytes) -> bytes:
    """Other bytes in place of a file's."""
    place = draw(st.integers(0, max(len(content) - 1, 0)))
    return draw(
        st.sampled_from(WHOLE)
        | st.binary(max_size=40)
        | st.sampled_from(
            [
                content[:place],
                content[:place] + bytes([(content[place : place + 1] or b"\0")[0] ^ 16]) + content[place + 1 :],
                content[:place] + b"\0" + content[place:],
                content[:place] + b"\xff" + content[place:],
                b"\xef\xbb\xbf" + content,
                content.replace(b"\n", b"\r\n"),
                content + content,
            ]
        )
    )


@st.composite
def other_values(draw: DrawFn, content: bytes, *, yaml: bool) -> bytes:
    """The JSON or YAML of a file with one value replaced, or one key removed."""
    values = YAML(typ="safe").load(content.decode()) if yaml else json.loads(content)
    *above, last = draw(st.sampled_from(list(_places(values))))
    changed = copy.deepcopy(values)
    holder = changed
    for key in above:
        holder = holder[key]
    if draw(st.integers(0, 3)):
        holder[last] = draw(JSON_VALUES)
    else:
        del holder[last]
    return json.dumps(changed).encode()  # JSON is YAML, too


def _places(values: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Keys that lead to each value; of a list, to the first few."""
    inside = values.items() if isinstance(values, dict) else enumerate(values[:3]) if isinstance(values, list) else ()
    for key, value in inside:
        yield (*above, key)
        yield from _places(value, (*above, key))


def fall_of(reading: Reading, root: Path) -> str:
    """Why a reader falls: with an exception that is not for the user; '' if it does not."""
    try:
        with redirect_stderr(io.StringIO()):
            reading(root)
    except (ChurnError, OSError) as error:
        told = str(error)
        if isinstance(error, OSError) and not error.filename:
            return f"{reading.__name__}: {type(error).__name__} without a file: {told}"
        return "" if told.strip() and len(told) < 5000 else f"{reading.__name__}: {told[:100]!r}"
    except Exception as error:  # noqa: BLE001 - what a user must never see
        return f"{reading.__name__}: {type(error).__name__}: {error}"
    return ""
