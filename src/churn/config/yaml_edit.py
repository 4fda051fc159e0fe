"""params.yaml rewritten with its comments and layout: what is not set stays as the user wrote it.

New values stand as DVC writes them. `dvc exp run --set-param` reads the file and writes it whole: it drops quotes that
YAML 1.2 does without, writes null as nothing and lists in lines of their own, and breaks lines at 80 columns.
"""

import difflib
import functools
import io
import re
from collections.abc import Mapping
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq, TaggedScalar
from ruamel.yaml.nodes import ScalarNode
from ruamel.yaml.representer import RoundTripRepresenter
from ruamel.yaml.resolver import VersionedResolver
from ruamel.yaml.tag import Tag

from churn.config.params import PARAMS_FILE, check_params, parse_yaml
from churn.config.search_space import Candidate
from churn.errors import ParameterError

LONGEST_SECTION = 72
"""Columns that a section in braces may reach: DVC breaks lines at 80, and a value may grow."""

SIMPLE_TEXT = re.compile(r"[^\W\d_](?:[\w .()/+&-]*[\w.()/+&-])?")
TEXT_TAG, NULL_TAG = "tag:yaml.org,2002:str", "tag:yaml.org,2002:null"
YAML_1_1, YAML_1_2 = (VersionedResolver(version) for version in ((1, 1), (1, 2)))


class _Explicit(RoundTripRepresenter):
    """Writes null in full, and quotes around every text that some reader might take for something else."""

    def represent_null(self, _: None) -> ScalarNode:
        return self.represent_scalar(NULL_TAG, "null")

    def represent_text(self, text: str) -> ScalarNode:
        is_plain = SIMPLE_TEXT.fullmatch(text) and _is_text(YAML_1_1, text) and _is_text(YAML_1_2, text)
        return self.represent_scalar(TEXT_TAG, text, style=None if is_plain else '"')


_Explicit.add_representer(type(None), _Explicit.represent_null)
_Explicit.add_representer(str, _Explicit.represent_text)


def load_editable(text: str) -> CommentedMap:
    """A mapping that can be edited, with all that stands around its values."""
    # ruamel.yaml would keep a carriage return as the end of a comment, and so write two.
    lines = text.replace("\r\n", "\n")
    document: CommentedMap = (YAML() if _is_as_dvc_writes(lines) else _keeping_layout()).load(lines)
    return document


def dump_like(document: CommentedMap, like: str) -> str:
    """The text of a mapping that `load_editable` gave, laid out as the text that it was made of.

    What DVC would write as it is stays so; in another layout, lines that say the same as there are those lines.
    """
    before = like.replace("\r\n", "\n")
    _break_long_sections(document)
    after = _as_text(YAML(), document)
    if not _is_as_dvc_writes(before) or not _says(after, document):
        yaml = _keeping_layout()
        after = _with_lines_of(before, _as_text(yaml, load_editable(before)), _as_text(yaml, document))
    return after.replace("\n", "\r\n") if "\r\n" in like else after


def put(section: CommentedMap, key: str, value: Any) -> None:
    """Set a key that keeps its comment; an equal value stays as it is written."""
    if key not in section or plain(section[key]) != value:
        section[key] = node(value)


def plain(value: Any) -> Any:
    """A value of an editable mapping as `parse_yaml` gives it."""
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value.value if isinstance(value, TaggedScalar) else value


def node(value: Any, *, in_list: bool = False) -> Any:
    """A value as it is written: sections of scalars in one line, texts with a tag where a reader might err.

    Sections in a list have a line for each key, since DVC gives lists a layout of its own.
    """
    if isinstance(value, Mapping):
        section = CommentedMap({name: node(item, in_list=in_list) for name, item in value.items()})
        if not in_list and not any(isinstance(item, CommentedMap | CommentedSeq) for item in section.values()):
            section.fa.set_flow_style()
        return section
    if isinstance(value, list | tuple):
        return CommentedSeq(node(item, in_list=True) for item in value)
    return text_node(value) if isinstance(value, str) else value


def text_node(text: str) -> Any:
    """A text, with a tag where YAML 1.1 reads something else in it (Yes, 1:30) and DVC would drop quotes."""
    if _is_text(YAML_1_1, text) or not _is_text(YAML_1_2, text):
        return text
    return TaggedScalar(text, tag=Tag(handle="!!", suffix="str"))


def _is_text(reader: VersionedResolver, text: str) -> bool:
    return str(reader.resolve(ScalarNode, text, (True, False))) == TEXT_TAG


@functools.lru_cache(maxsize=2)
def _is_as_dvc_writes(text: str) -> bool:
    return _as_text(YAML(), YAML().load(text)) == text


def _keeping_layout() -> YAML:
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 2**31  # lines stay as they are
    yaml.Representer = _Explicit
    return yaml


def _as_text(yaml: YAML, document: CommentedMap) -> str:
    text = io.StringIO()
    yaml.dump(document, text)
    return text.getvalue()


def _with_lines_of(original: str, before: str, after: str) -> str:
    """A new text with the original's lines, of which `before` is a copy, where nothing is new."""
    kept, old, new = (text.splitlines(keepends=True) for text in (original, before, after))
    if original == before or len(kept) != len(old):
        return after
    steps = difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes()
    merged = "".join(
        line
        for step, old_start, old_end, new_start, new_end in steps
        for line in (kept[old_start:old_end] if step == "equal" else new[new_start:new_end])
    )
    return merged if _says(merged, load_editable(after)) else after


def _says(text: str, document: CommentedMap) -> bool:
    try:
        return bool(parse_yaml(text, PARAMS_FILE) == plain(document))
    except ParameterError:
        return False


def _break_long_sections(section: CommentedMap, indent: int = 0) -> None:
    """Give new sections that do not fit in one line a line for each key."""
    for key, item in section.items():
        if not isinstance(item, CommentedMap):
            continue
        if item.lc.line is None and not _fits(key, item, indent):
            item.fa.set_block_style()
        if not item.fa.flow_style():
            _break_long_sections(item, indent + 2)


def _fits(key: str, section: CommentedMap, indent: int) -> bool:
    alone = CommentedMap({key: section})
    line, *more = _as_text(YAML(), alone).splitlines()
    return not more and indent + len(line) <= LONGEST_SECTION and _says(line, alone)


def adopt_candidate(text: str, candidate: Candidate) -> str:
    """The text of params.yaml with a candidate under `train`.

    Values of the same estimator are set in place, with their comments; another estimator brings its own arguments.

    Raises:
        ParameterError: the text would not be read as what was meant.
    """
    document = load_editable(text)
    train = document["train"]
    if plain(train["estimator"]) == candidate.estimator:
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
