"""Inspect the opcodes of a pickle without loading it."""

import pickletools
from collections.abc import Sequence

OLD_FORM = "joblib"
"""Module referenced by models of earlier versions, which are joblib files; MLflow cannot load them."""


def is_plain_pickle(content: bytes) -> bool:
    """Whether `pickle` can load the model; models of earlier versions of this pipeline need joblib."""
    try:
        return OLD_FORM not in {module.partition(".")[0] for module in modules_named(content)}
    except ValueError:
        return False


def modules_named(content: bytes) -> set[str]:
    """Modules whose classes and functions a pickle references; the pickle is not loaded.

    Raises:
        ValueError: the content is not a plain pickle.
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
