"""Commands that run the pipeline, and show what it found."""

import sys
from contextlib import redirect_stdout
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from churn.cli import options
from churn.cli.app import command, print_remark, print_result, require_project
from churn.cli.help import RUN
from churn.errors import ChurnError, ParameterError
from churn.runtime import exit_code_of, how_it_ended

if TYPE_CHECKING:
    from churn.commands.tune.study import EndedTrial


@command(RUN, "churn summary", "churn summary --json | jq .profit_per_1000")
def summary(as_json: options.Json = False) -> None:
    """Show the headline metrics of the current results.

    Exit code 1 if they are out of date, or if some of their files are not here.
    """
    from churn.commands.summary import summarize, summary_text

    require_project()
    found = summarize(Path())
    print_result(found.as_json() if as_json else summary_text(found), is_json=as_json)
    if found.remark:
        sys.exit(1)


@command(RUN, "churn report", "churn report --no-open")
def report(show: options.Show = True) -> None:
    """Open the HTML report, labelled with commit and fingerprint.

    The copy in .churn/report.html also says how to restore its state. Exit code 1 if it is out of date, or if some
    files of its state are not here.
    """
    from churn.commands.report import open_in_browser, write_copy
    from churn.history.snapshot import remark_on_figures

    require_project()
    remark = remark_on_figures(Path())
    page = write_copy(Path())
    shown = show and open_in_browser(page)
    print_result(f"{page}{': opened in the browser' if shown else ''}")
    if remark:
        raise ChurnError(remark)


@command(RUN, "churn reproduce", "churn reproduce && git push")
def reproduce() -> None:
    """Rerun the committed state and compare every byte.

    Runs all stages in two fresh clones with different thread counts. Names each file that differs. If the state was
    committed on another platform, values are compared, within a tolerance.
    """
    from churn.history.reproduce import reproduce as check

    check(require_project())


@command(
    RUN,
    "churn tune --portfolio --apply",
    "churn tune --trials 50",
    "churn tune --jobs 4 --apply",
    "churn tune --json | jq .best",
)
def tune(
    portfolio: options.OnlyPortfolio = False,
    trials: options.Trials = None,
    jobs: options.Jobs = 1,
    estimator: options.Estimator = None,
    apply: options.Apply = False,
    as_json: options.Json = False,
) -> None:
    """Search hyperparameters by cross-validation.

    Judges the configurations of tune.portfolio, then samples tune.space. Uses training rows only, and
    corrects the gain of the best one for selection bias. You can interrupt it: the same command resumes the study.
    """
    if find_spec("optuna") is None:
        raise ChurnError("optuna is not installed; `make tune` installs it and runs the search")
    if portfolio and trials is not None:
        raise ParameterError("--trials: --portfolio samples no trials; leave out one of the two")
    from churn.commands.tune import search

    plan = search.prepare(Path.cwd(), trials=trials, estimator=estimator, only_portfolio=portfolio)
    print_remark(plan.as_text())
    quiet = not sys.stderr.isatty()
    try:
        with (
            redirect_stdout(sys.stderr),  # libraries print; stdout is for the result
            typer.progressbar(length=plan.trials, file=sys.stderr, hidden=quiet, label="trials") as bar,
        ):

            def on_trial(_: "EndedTrial", best: float, left: int) -> None:
                bar.length = bar.pos + 1 + left  # trials of an earlier search need not run again
                bar.label = f"trials, best {best:{plan.objective.form}}"
                bar.update(1)

            result = search.run(plan, jobs, on_trial)
        print_result(result.as_json() if as_json else result.as_text(), is_json=as_json)
        if apply and search.apply(result):
            print_remark("params.yaml is written; next: dvc repro")
        search.show(result)
    except KeyboardInterrupt as ended:
        print_remark(f"{how_it_ended(ended)}; finished trials are kept; the same command resumes the study")
        raise typer.Exit(exit_code_of(ended)) from None
