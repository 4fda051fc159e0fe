"""Edit params.yaml without changing comments, layout or other values.

New values are written as DVC would write them. `dvc exp run --set-param` rewrites the whole file: it drops quotes that
YAML 1.2 does not need, writes null as an empty value and each list item on a separate line, and wraps at 80 columns.
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
"""Maximum line width of a section in braces: DVC wraps at 80 columns, and a value may become longer."""

SIMPLE_TEXT = re.compile(r"[^\W\d_](?:[\w .()/+&-]*[\w.()/+&-])?")
TEXT_TAG, NULL_TAG = "tag:yaml.org,2002:str", "tag:yaml.org,2002:null"
YAML_1_1, YAML_1_2 = (VersionedResolver(version) for version in ((1, 1), (1, 2)))


class _Explicit(RoundTripRepresenter):
    """Writes `null` explicitly and quotes every text that a YAML 1.1 or 1.2 reader could parse as another type."""

    def represent_null(self, _: None) -> ScalarNode:
        return self.represent_scalar(NULL_TAG, "null")

    def represent_text(self, text: str) -> ScalarNode:
        is_plain = SIMPLE_TEXT.fullmatch(text) and _is_text(YAML_1_1, text) and _is_text(YAML_1_2, text)
        return self.represent_scalar(TEXT_TAG, text, style=None if is_plain else '"')


_Explicit.add_representer(type(None), _Explicit.represent_null)
_Explicit.add_representer(str, _Explicit.represent_text)


def load_editable(text: str) -> CommentedMap:
    """Parse YAML into an editable mapping that keeps comments and layout."""
    # ruamel.yaml keeps a carriage return as part of a comment and would write a second one.
    lines = text.replace("\r\n", "\n")
    document: CommentedMap = (YAML() if _is_as_dvc_writes(lines) else _keeping_layout()).load(lines)
    return document


def dump_like(document: CommentedMap, like: str) -> str:
    """Write a mapping from `load_editable` as text, in the layout of the original text `like`.

    If the original has DVC's layout, so does the result. Otherwise, unchanged lines are copied from the original.
    """
    before = like.replace("\r\n", "\n")
    _break_long_sections(document)
    after = _as_text(YAML(), document)
    if not _is_as_dvc_writes(before) or not _says(after, document):
        yaml = _keeping_layout()
        after = _with_lines_of(before, _as_text(yaml, load_editable(before)), _as_text(yaml, document))
    return after.replace("\n", "\r\n") if "\r\n" in like else after


def put(section: CommentedMap, key: str, value: Any) -> None:
    """Set a key and keep its comment; an equal value is not rewritten."""
    if key not in section or plain(section[key]) != value:
        section[key] = node(value)


def plain(value: Any) -> Any:
    """Convert a value of an editable mapping to plain Python types, as `parse_yaml` returns them."""
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value.value if isinstance(value, TaggedScalar) else value


def node(value: Any, *, in_list: bool = False) -> Any:
    """Convert a value to a ruamel.yaml node: sections of scalars on one line, ambiguous texts with a tag.

    Sections inside a list get one line for each key, because DVC lays out lists differently.
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
    """A text, tagged `!!str` if YAML 1.1 parses it as another type (Yes, 1:30) and DVC would drop its quotes."""
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
    yaml.width = 2**31  # never wrap lines
    yaml.Representer = _Explicit
    return yaml


def _as_text(yaml: YAML, document: CommentedMap) -> str:
    text = io.StringIO()
    yaml.dump(document, text)
    return text.getvalue()


def _with_lines_of(original: str, before: str, after: str) -> str:
    """Copy unchanged lines from the original into `after`; `before` is the original as ruamel.yaml writes it."""
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
    """Put each key of a new section on its own line if the section does not fit on one line."""
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
    """Write a candidate into `train` of params.yaml and return the new text.

    For the same estimator, values are set in place and keep their comments, and arguments that the candidate lacks are
    removed; for another estimator, `train.params` is replaced.

    Raises:
        ParameterError: the new text does not parse to the intended values.
    """
    document = load_editable(text)
    train = document["train"]
    if plain(train["estimator"]) == candidate.estimator and candidate.arguments:
        for name in [name for name in train["params"] if name not in candidate.arguments]:
            del train["params"][name]
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
        raise ParameterError(f"{PARAMS_FILE}: train: cannot be edited with its layout kept; set the values by hand")
    check_params(after)


def as_diff(old: str, new: str) -> str:
    """Unified diff of two texts of params.yaml."""
    lines = difflib.unified_diff(
        old.splitlines(keepends=True), new.splitlines(keepends=True), PARAMS_FILE, f"{PARAMS_FILE} (new)"
    )
    return "".join(lines)
