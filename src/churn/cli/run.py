"""Commands that run the pipeline's code, and read what came out."""

import sys
from contextlib import redirect_stdout
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from churn.cli.app import command, print_json
from churn.cli.help import RUN
from churn.cli.options import Json
from churn.errors import ChurnError

if TYPE_CHECKING:
    from churn.commands.tune.study import EndedTrial


@command(RUN, "churn summary", "churn summary --json | jq .profit_per_1000")
def summary(as_json: Json = False) -> None:
    """Show the headline metrics of the current results."""
    from churn.commands.summary import summarize, summary_text

    if as_json:
        print_json(summarize(Path()).as_json())
    else:
        print(summary_text(Path()))


@command(RUN, "churn report", "churn report --no-open")
def report(
    show: Annotated[bool, typer.Option("--open/--no-open", help="Open it in a browser, if there is one.")] = True,
) -> None:
    """Open the HTML report, labelled with commit and fingerprint.

    The copy in .churn/report.html also says how to restore its state.
    """
    from churn.commands.report import open_in_browser, write_copy

    page = write_copy(Path())
    shown = show and open_in_browser(page)
    print(f"{page}{': opened in the browser' if shown else ''}")


@command(RUN, "churn reproduce", "churn reproduce && git push")
def reproduce() -> None:
    """Rerun the committed state and compare every byte.

    Runs all stages in two fresh clones with different thread counts. Names each file that differs.
    """
    from churn.history.reproduce import reproduce as check

    check(Path.cwd())


@command(RUN, "churn tune --trials 50", "churn tune --jobs 4 --apply", "churn tune --json | jq .best")
def tune(
    trials: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Trials of the study, earlier ones included.  [default: tune.trials]"),
    ] = None,
    jobs: Annotated[int, typer.Option(min=1, metavar="N", help="Parallel trials; only 1 is repeatable.")] = 1,
    estimator: Annotated[
        str | None,
        typer.Option(metavar="PATH", help="Import path of the only estimator of tune.space to try."),
    ] = None,
    apply: Annotated[bool, typer.Option("--apply", help="Write the best parameters into params.yaml.")] = False,
    as_json: Json = False,
) -> None:
    """Search hyperparameters by cross-validation.

    Uses training rows only, and corrects the gain of the best trial for selection bias. You can interrupt it: the same
    command resumes the study.
    """
    if find_spec("optuna") is None:
        raise ChurnError("optuna is not installed; `make tune` installs it and runs the search")
    from churn.commands.tune import search

    plan = search.prepare(Path.cwd(), trials=trials, estimator=estimator)
    print(plan.as_text(), file=sys.stderr)
    quiet = not sys.stderr.isatty()
    try:
        with (
            redirect_stdout(sys.stderr),  # what libraries print; stdout is for the answer
            typer.progressbar(length=plan.trials, file=sys.stderr, hidden=quiet, label="trials") as bar,
        ):

            def on_trial(_: "EndedTrial", best: float, left: int) -> None:
                bar.length = bar.pos + 1 + left  # an earlier search may have made some of the trials
                bar.label = f"trials, best {best:{plan.objective.form}}"
                bar.update(1)

            result = search.run(plan, jobs, on_trial)
        if as_json:
            print_json(result.as_json())
        else:
            print(result.as_text(), flush=True)
        if apply and search.apply(result):
            print("params.yaml is written; next: dvc repro", file=sys.stderr)
        search.show(result)
    except KeyboardInterrupt:
        print("interrupted; finished trials are kept, and the same command resumes the study", file=sys.stderr)
        raise typer.Exit(130) from None
