"""The file of tokens: hashes, names, scopes and last days, and when a change of it counts."""

import json
import stat
import time
from pathlib import Path

import pytest

from churn.errors import ChurnError
from churn.service.tokens import Scope, TokenFile, new_token, read_tokens, revoke_token, scopes_named


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "tokens.json"


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds that have passed, for the wall and since the start."""
    now = [1_000_000_000.0]
    monkeypatch.setattr(time, "time", lambda: now[0])
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def test_a_token_is_found_by_its_secret_alone(file: Path) -> None:
    one, other = (new_token(file, name, [Scope.SCORE], None) for name in ("one", "other"))
    found = TokenFile(file)
    assert [token.name for token in map(found.find, (one, other)) if token] == ["one", "other"]
    for wrong in ("", one[:-1], f"{one} ", one.upper(), read_tokens(file)[0].sha256, "\ud800", "é" * 10_000):
        assert found.find(wrong) is None


def test_only_hashes_are_kept_in_a_file_that_only_its_owner_reads(file: Path) -> None:
    secret = new_token(file, "shop", [Scope.SCORE], 1)
    assert secret.startswith("churn_")
    assert len(secret) >= 40
    assert secret[6:] not in file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_token_ends_after_its_days_and_one_without_days_never(file: Path, clock: list[float]) -> None:
    brief, lasting = new_token(file, "brief", [Scope.SCORE], 1), new_token(file, "lasting", [Scope.SCORE], None)
    found = TokenFile(file)
    clock[0] += 86_399
    assert found.find(brief)
    clock[0] += 1
    assert found.find(brief) is None
    clock[0] += 1e9
    assert found.find(lasting)


def test_a_change_counts_a_second_later_at_the_latest(file: Path, clock: list[float]) -> None:
    found = TokenFile(file)
    secret = new_token(file, "shop", [Scope.SCORE], None)
    clock[0] += 1.1
    assert found.find(secret)
    revoke_token(file, "shop")
    clock[0] += 1.1
    assert found.find(secret) is None
    file.unlink()
    clock[0] += 1.1
    assert found.tokens == ()


def test_admin_allows_everything_and_the_others_themselves(file: Path) -> None:
    for scope in Scope:
        new_token(file, scope, [scope], None)
    allowed = {token.name: [scope for scope in Scope if token.allows(scope)] for token in read_tokens(file)}
    assert allowed == {"score": ["score"], "metrics": ["metrics"], "admin": list(Scope)}


@pytest.mark.parametrize("name", ["", " ", "-a", ".a", "a b", "a\n", "é", "a" * 65, "a/b", "\x1b[31m"])
def test_names_that_cannot_be_used_are_refused_in_a_line(file: Path, name: str) -> None:
    with pytest.raises(ChurnError, match="a name has up to 64 letters") as caught:
        new_token(file, name, [Scope.SCORE], None)
    assert str(caught.value).isprintable()
    assert not file.exists()


def test_a_name_is_given_once(file: Path) -> None:
    secret = new_token(file, "shop", [Scope.SCORE], None)
    with pytest.raises(ChurnError, match=r"there is a token of that name; `churn token revoke shop` removes it"):
        new_token(file, "shop", [Scope.ADMIN], None)
    assert TokenFile(file).find(secret)


def test_only_known_names_are_revoked_and_scopes_given(file: Path) -> None:
    new_token(file, "shop", [Scope.SCORE], None)
    with pytest.raises(ChurnError, match=r"no token of that name \(there are: shop\)"):
        revoke_token(file, "shot")
    with pytest.raises(ChurnError, match="no such scope; there are score, metrics, admin"):
        scopes_named(["score", "root"])
    assert scopes_named(["score", "admin", "score"]) == [Scope.SCORE, Scope.ADMIN]


@pytest.mark.parametrize("content", ["", "{", "{}", "[1]", "null", '[{"name": "a"}]', "\x00"])
def test_a_damaged_file_is_refused_and_neither_read_nor_written(file: Path, content: str) -> None:
    file.write_text(content)
    for use in (read_tokens, TokenFile, lambda path: new_token(path, "a", [Scope.SCORE], None)):
        with pytest.raises(ChurnError, match="not a file of tokens; restore it"):
            use(file)
    assert file.read_text() == content


def test_a_token_with_an_unknown_scope_or_field_is_refused(file: Path) -> None:
    new_token(file, "shop", [Scope.SCORE], None)
    (good,) = json.loads(file.read_text())
    for bad in (good | {"scopes": ["root"]}, good | {"more": 1}):
        file.write_text(json.dumps([bad]))
        with pytest.raises(ChurnError):
            read_tokens(file)
