"""params.yaml rewritten with its comments and layout: what is not set stays as the user wrote it."""

import difflib
import io
import re
from collections.abc import Mapping
from typing import Any, cast

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.representer import RoundTripRepresenter
from ruamel.yaml.scalarstring import DoubleQuotedScalarString, SingleQuotedScalarString

from churn.config.params import PARAMS_FILE, check_params, parse_yaml
from churn.config.search_space import Candidate
from churn.errors import ParameterError

PLAIN_TEXT = re.compile(r"[^\W\d_](?:[\w .()/+&-]*[\w.()/+&-])?")
WORDS_OF_YAML = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null", "nan"})
"""Texts that some reader of YAML takes for something else."""


class _Representer(RoundTripRepresenter):
    """Writes null in full, as params.yaml does."""


_Representer.add_representer(type(None), lambda self, _: self.represent_scalar("tag:yaml.org,2002:null", "null"))


def load_editable(text: str) -> CommentedMap:
    """A mapping that can be edited, with all that stands around its values."""
    # ruamel.yaml would keep a carriage return as the end of a comment, and so write two.
    document: CommentedMap = _yaml().load(text.replace("\r\n", "\n"))
    return document


def dump_like(document: CommentedMap, like: str) -> str:
    """The text of a mapping that `load_editable` gave, its lines ending as in the text that it was made of."""
    text = io.StringIO()
    _yaml().dump(document, text)
    return text.getvalue().replace("\n", "\r\n") if "\r\n" in like else text.getvalue()


def put(section: CommentedMap, key: str, value: Any) -> None:
    """Set a key that keeps its comment; an equal value stays as it is written."""
    if key not in section or section[key] != value:
        section[key] = node(value)


def node(value: Any) -> Any:
    """A value as it is written: lists and sections in one line, texts in quotes where a reader might err."""
    if isinstance(value, Mapping):
        section = CommentedMap({text_node(name): node(item) for name, item in value.items()})
        section.fa.set_flow_style()
        return section
    if isinstance(value, list | tuple):
        items = CommentedSeq(node(item) for item in value)
        items.fa.set_flow_style()
        return items
    return text_node(value) if isinstance(value, str) else value


def text_node(text: str) -> str:
    """A text, in quotes where a reader might err."""
    if PLAIN_TEXT.fullmatch(text) and text.lower() not in WORDS_OF_YAML:
        return text
    if '"' in text and text.isprintable():
        return cast(str, SingleQuotedScalarString(text))
    return cast(str, DoubleQuotedScalarString(text))


def _yaml() -> YAML:
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 2**31  # lines stay as they are
    yaml.Representer = _Representer
    return yaml


def adopt_candidate(text: str, candidate: Candidate) -> str:
    """The text of params.yaml with a candidate under `train`.

    Values of the same estimator are set in place, with their comments; another estimator brings its own arguments.

    Raises:
        ParameterError: the text would not be read as what was meant.
    """
    document = load_editable(text)
    train = document["train"]
    if train["estimator"] == candidate.estimator:
        for name, value in candidate.arguments.items():
            put(train["params"], name, value)
    else:
        put(train, "estimator", candidate.estimator)
        arguments = node(candidate.arguments)
        arguments.fa.set_block_style()
        train["params"] = arguments
    new = dump_like(document, like=text)
    _require_same(parse_yaml(text, PARAMS_FILE), parse_yaml(new, PARAMS_FILE), candidate)
    return new


def _require_same(before: dict[str, Any], after: dict[str, Any], candidate: Candidate) -> None:
    meant = before["train"] | {"estimator": candidate.estimator, "params": dict(candidate.arguments)}
    if after != before | {"train": meant}:
        raise ParameterError(f"{PARAMS_FILE}: train: cannot be rewritten with its layout kept; set the values by hand")
    check_params(after)


def as_diff(old: str, new: str) -> str:
    """What differs between two texts of params.yaml."""
    lines = difflib.unified_diff(
        old.splitlines(keepends=True), new.splitlines(keepends=True), PARAMS_FILE, f"{PARAMS_FILE} (new)"
    )
    return "".join(lines)
