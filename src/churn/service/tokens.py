"""Bearer tokens: kept as hashes, with a name, scopes and a last day; read again whenever their file changes."""

import hashlib
import hmac
import json
import re
import secrets
import time
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from churn.drafts import replacing_outputs
from churn.errors import ChurnError, excerpt
from churn.files import read_bytes
from churn.runtime import lock

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
PREFIX = "churn_"
"""Start of every token, by which scanners of secrets find one."""
SECONDS_A_DAY = 86_400
LOOK_AGAIN = 1.0
"""Seconds after which the file is looked at again: a revoked token works no longer."""


class Scope(StrEnum):
    """What a token allows."""

    SCORE = "score"
    METRICS = "metrics"
    ADMIN = "admin"


class Token(BaseModel):
    """A token without its secret. Times are in seconds since 1970."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    sha256: str
    scopes: tuple[Scope, ...]
    created: float
    expires: float | None

    def allows(self, scope: Scope) -> bool:
        """Whether it allows something; `admin` allows everything."""
        return scope in self.scopes or Scope.ADMIN in self.scopes


TOKENS = TypeAdapter(tuple[Token, ...])


def scopes_named(names: Sequence[str]) -> list[Scope]:
    """Scopes by their names.

    Raises:
        ChurnError: there is none of a name.
    """
    for name in names:
        if name not in list(Scope):
            raise ChurnError(f"--scope {excerpt(name)}: no such scope; there are {', '.join(Scope)}")
    return [Scope(name) for name in dict.fromkeys(names)]


def read_tokens(path: Path) -> tuple[Token, ...]:
    """All tokens of a file; none if it does not exist.

    Raises:
        ChurnError: it is not a file of tokens.
    """
    try:
        return TOKENS.validate_json(read_bytes(path))
    except FileNotFoundError:
        return ()
    except (OSError, ValidationError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a file of tokens"
        raise ChurnError(f"{path}: {reason}; restore it, or delete it and make new tokens") from None


def new_token(path: Path, name: str, scopes: Sequence[Scope], days: int | None) -> str:
    """Add a token and return its secret, which is stored nowhere.

    Raises:
        ChurnError: the name is taken, or cannot be used.
    """
    if not NAME.fullmatch(name):
        raise ChurnError(f"{excerpt(name)}: a name has up to 64 letters, digits, dots, dashes and underscores")
    secret = f"{PREFIX}{secrets.token_urlsafe(32)}"
    now = time.time()
    expires = None if days is None else now + days * SECONDS_A_DAY
    with lock(_lock_of(path)):
        tokens = read_tokens(path)
        if any(token.name == name for token in tokens):
            raise ChurnError(f"{name}: there is a token of that name; `churn token revoke {name}` removes it")
        made = Token(name=name, sha256=_hash(secret), scopes=tuple(scopes), created=now, expires=expires)
        _write(path, (*tokens, made))
    return secret


def revoke_token(path: Path, name: str) -> None:
    """Remove a token.

    Raises:
        ChurnError: there is none of that name.
    """
    with lock(_lock_of(path)):
        tokens = read_tokens(path)
        left = tuple(token for token in tokens if token.name != name)
        if len(left) == len(tokens):
            known = ", ".join(token.name for token in tokens) or "none"
            raise ChurnError(f"{excerpt(name)}: no token of that name (there are: {known})")
        _write(path, left)


class TokenFile:
    """The tokens that count now."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._looked = 0.0
        self._stamp: object = None
        self._tokens: tuple[Token, ...] = read_tokens(path)

    @property
    def tokens(self) -> tuple[Token, ...]:
        """All tokens, as they are in the file now.

        Raises:
            ChurnError: the file cannot be read.
        """
        if (now := time.monotonic()) - self._looked > LOOK_AGAIN:
            stamp = _stamp(self._path)
            if stamp != self._stamp:
                self._tokens = read_tokens(self._path)
                self._stamp = stamp
            self._looked = now
        return self._tokens

    def find(self, secret: str) -> Token | None:
        """The token with a secret, if it has not expired. Takes the same time for every wrong secret."""
        given, found = _hash(secret), None
        for token in self.tokens:
            if hmac.compare_digest(token.sha256, given):
                found = token
        return found if found and (found.expires is None or found.expires > time.time()) else None


def _stamp(path: Path) -> object:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino, found.st_size


def _hash(secret: str) -> str:
    """SHA-256 suffices: the secret has 256 random bits, so that nobody can guess one."""
    return hashlib.sha256(secret.encode(errors="replace")).hexdigest()


def _write(path: Path, tokens: Sequence[Token]) -> None:
    content: list[Mapping[str, object]] = [token.model_dump(mode="json") for token in tokens]
    with replacing_outputs(path, secret=True) as (draft,):
        draft.write_text(f"{json.dumps(content, indent=2)}\n", encoding="utf-8")


def _lock_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.lock")
