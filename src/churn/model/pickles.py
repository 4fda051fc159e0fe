"""What a pickle names, read from its opcodes as text: nothing of it is run."""

import pickletools
from collections.abc import Sequence

OLD_FORM = "joblib"
"""Module that a model names which was written before models were plain pickles; MLflow cannot load such a file."""


def is_plain_pickle(content: bytes) -> bool:
    """Whether `pickle` alone loads a model; one of an earlier version of this pipeline takes joblib."""
    try:
        return OLD_FORM not in {module.partition(".")[0] for module in modules_named(content)}
    except ValueError:
        return False


def modules_named(content: bytes) -> set[str]:
    """Modules whose classes and functions a pickle names, read from its opcodes; nothing of it is run.

    Raises:
        ValueError: it is no pickle, or holds something else beside.
    """
    modules: set[str] = set()
    texts: list[str] = []
    kept: dict[int, str] = {}
    for opcode, argument, _ in pickletools.genops(content):
        if opcode.name == "GLOBAL":
            modules.add(str(argument).split(" ")[0])
        elif opcode.name == "STACK_GLOBAL":
            modules.add(_module_of(texts))
        elif opcode.name == "MEMOIZE":
            kept[len(kept)] = texts[-1] if texts else ""
        elif opcode.name in ("BINGET", "LONG_BINGET", "GET"):
            texts.append(kept.get(int(argument or 0), ""))
        elif "UNICODE" in opcode.name:
            texts.append(str(argument))
    return modules


def _module_of(texts: Sequence[str]) -> str:
    return texts[-2] if len(texts) > 1 else ""
