"""`churn --help` and `churn COMMAND --help`: plain text, identical in a terminal and in a pipe."""

import sys
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from churn.runtime import exit_code_of, how_it_ended

RUN, JUDGE, DATA, SERVE = "Run and read", "Compare and promote", "Data and scoring", "Service"
MONITOR, TRACKING = "Monitoring", "Tracking"
PANELS = (RUN, JUDGE, DATA, SERVE, MONITOR, TRACKING)
"""Groups of commands, in the order of the help."""
EXIT_CODES = "0 success, 1 error or refused, 2 wrong usage, 3 alarm, 130/143 interrupted."


class ExplainedCommand(TyperCommand):
    """A command whose epilog contains examples, one per line."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command; Ctrl-C and SIGTERM end it with a line and an exit code of their own."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as ended:
            print(f"churn: {how_it_ended(ended)}", file=sys.stderr)
            raise typer.Exit(exit_code_of(ended)) from None

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """Required arguments without Typer's braces."""
        return [piece.strip("{}") for piece in super().collect_usage_pieces(ctx)]

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Arguments without the type that Typer adds to their names."""
        sections: dict[str, list[tuple[str, str]]] = {"Arguments": [], "Options": []}
        for one in self.get_params(ctx):
            name, told = one.get_help_record(ctx) or ("", "")
            if one.param_type_name == "argument":
                sections["Arguments"].append((name.split(" <")[0], told))
            elif name:
                sections["Options"].append((name, told))
        for title, rows in sections.items():
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """Examples, then the exit codes."""
        _write_examples(self.epilog, formatter)


class GroupedCommands(TyperGroup):
    """Lists all commands by panel, which Typer does only in its coloured help."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """One section per panel, one line per command."""
        listed = [(name, self.commands[name]) for name in self.list_commands(ctx)]
        width = max(len(name) for name, _ in listed)
        for panel in PANELS:
            rows = [
                (name.ljust(width), command.get_short_help_str(formatter.width))
                for name, command in listed
                if getattr(command, "rich_help_panel", None) == panel
            ]
            if rows:
                with formatter.section(panel):
                    formatter.write_dl(rows)

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """Examples, then the exit codes."""
        _write_examples(self.epilog, formatter)


def _write_examples(examples: str | None, formatter: Any) -> None:
    with formatter.section("Examples"):
        for line in (examples or "").splitlines():
            formatter.write(f"  {line}\n")
    with formatter.section("Exit codes"):
        formatter.write_text(EXIT_CODES)
