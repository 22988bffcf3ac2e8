"""Hooks of qengine_reporting: a run folder's life follows the run's. Light: what writes is imported when used."""

from __future__ import annotations

import weakref
from collections.abc import Iterable

from qengine_core.plugin import ReportSpec, RunContext, RunFailed, RunFinished, hookimpl, implements
from qengine_reporting.report import HtmlReport, NoReport

_STATE = "qengine_reporting.folder"


@implements.reports
def reports() -> Iterable[ReportSpec]:
    yield ReportSpec(name="html", summary="A self-contained HTML page with charts and tables.", component=HtmlReport)
    yield ReportSpec(name="none", summary="No report: the run folder holds tables only.", component=NoReport)


@implements.run_started
def run_started(context: RunContext) -> None:
    if context.out is None:
        return
    from qengine_reporting.folder import PartialFolder

    context.state[_STATE] = PartialFolder.begin(context.out)


@hookimpl(specname="qengine_run_finished", trylast=True)  # other plugins add their tables first
def run_finished(context: RunFinished) -> None:
    result = context.result
    held = weakref.proxy(result)  # which will hold this function

    def metrics() -> object:
        from qengine_reporting.metrics import metrics_of

        return metrics_of(held)

    result.provide("metrics", metrics)
    if _STATE in context.state:
        context.state[_STATE].complete(result)


@implements.run_failed
def run_failed(context: RunFailed) -> None:
    # Absent where the folder could not even be begun: then there is nothing to mark.
    if _STATE in context.state:
        context.state[_STATE].fail(context.error, context.config)
