"""Commands of the scoring service."""

import json
import logging
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from importlib.util import find_spec

import typer
from typer.models import CommandFunctionType

from churn.cli import options
from churn.cli.app import app, command, print_remark, print_result, require_project
from churn.cli.help import SERVE, ExplainedCommand, GroupedCommands
from churn.errors import ChurnError
from churn.texts import aligned

SERVICE_PACKAGES = ("fastapi_offline", "httptools", "prometheus_client", "pydantic_settings", "uvloop")
"""Modules of the group `serve` that nothing else here brings."""


def _require_service() -> None:
    if any(find_spec(name) is None for name in SERVICE_PACKAGES):
        raise ChurnError("the service is not installed; `make serve` installs it and starts it")


@command(SERVE, "churn serve", "churn serve --champion --shadow challenger --log predictions/service")
def serve(
    host: options.Host = None,
    port: options.Port = None,
    champion: options.Champion = False,
    shadow: options.Shadow = None,
    log: options.WrittenLog = None,
    log_features: options.LogFeatures = None,
) -> None:
    """Answer requests for scores over HTTP.

    Serves the model of this folder, or the registered champion, and loads a new one by itself. Documentation is at
    /docs of the service. Environment variables CHURN_SERVE_... set the same and more.
    """
    _require_service()
    from churn.service.server import serve as run
    from churn.service.settings import read_settings

    model = "champion" if champion else None
    given = {"host": host, "port": port, "model": model, "shadow": shadow, "log": log, "log_features": log_features}
    settings = read_settings(**given)
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    run(require_project(), settings)


@command(SERVE, "churn score customer.json", "churn score customers.json --reasons 3")
def score(
    file: options.CustomerFile,
    url: options.Url = "http://127.0.0.1:8000",
    reasons: options.Reasons = 0,
    as_json: options.Json = False,
) -> None:
    """Score customers with a running service.

    The file holds one customer as a JSON object named by the columns, or a list of them. A token is read from the
    environment variable CHURN_TOKEN.
    """
    from churn.commands.score import answer_text, ask_service

    found = ask_service(file, url, reasons)
    print_result(json.dumps(found, indent=2) if as_json else answer_text(found), is_json=as_json)


@command(SERVE, "churn replay 1fb208cc-8877-4a4a-8f67-e04711e5a480", "churn replay REQUEST --json | jq .is_same")
def replay(request: options.Request, log: options.ReadLog = options.LOG, as_json: options.Json = False) -> None:
    """Score a logged request again, and compare every bit."""
    from churn.commands.replay import replay as again

    found = again(require_project(), log, request)
    print_result(found.as_json() if as_json else found.as_text(), is_json=as_json)
    if not found.is_same:
        sys.exit(1)


token = typer.Typer(cls=GroupedCommands, no_args_is_help=True, rich_markup_mode=None)
app.add_typer(
    token,
    name="token",
    rich_help_panel=SERVE,
    help="Make, list and revoke tokens of the service.",
    epilog="churn token new shop\nchurn token list\nchurn token revoke shop",
)


def _token_command(name: str, *examples: str) -> Callable[[CommandFunctionType], CommandFunctionType]:
    return token.command(name, cls=ExplainedCommand, rich_help_panel=SERVE, epilog="\n".join(examples))


@_token_command("new", "churn token new shop", "churn token new prometheus --scope metrics --days 365")
def new_token(
    name: options.TokenName,
    scope: options.Scopes = None,
    days: options.Days = 90,
    file: options.TokenFile = options.TOKENS,
) -> None:
    """Make a token and print it; only its hash is kept."""
    from churn.service.tokens import new_token as make
    from churn.service.tokens import scopes_named

    secret = make(file, name, scopes_named(scope or ["score"]), days or None)
    print_result(secret)
    print_remark(f"{name}: shown only now; send it as `Authorization: Bearer TOKEN`")


@_token_command("list", "churn token list")
def list_tokens(file: options.TokenFile = options.TOKENS) -> None:
    """List tokens: names, scopes and last days, no secrets."""
    from churn.service.tokens import Token, read_tokens

    def last_day(one: Token) -> str:
        return "never" if one.expires is None else datetime.fromtimestamp(one.expires, UTC).strftime("%Y-%m-%d")

    rows: Sequence[Sequence[str]] = [[one.name, ", ".join(one.scopes), last_day(one)] for one in read_tokens(file)]
    print_result("\n".join(aligned([["name", "scopes", "expires"], *rows])))


@_token_command("revoke", "churn token revoke shop")
def revoke_token(name: options.TokenName, file: options.TokenFile = options.TOKENS) -> None:
    """Revoke a token; a running service refuses it within a second."""
    from churn.service.tokens import revoke_token as remove

    remove(file, name)
    print_remark(f"{name}: revoked")
