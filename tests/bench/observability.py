"""Measures the cost of request ids, metrics, and access logs."""

import os
import shutil
import statistics
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from bench.measuring import Workshop, interleaved, placement, prose, spread, table
from bench.service import GUNICORN, ROUNDS, SERVE, Contender, worker_class
from support import Service, free_port

ROUTE = "/api/stock_market/ticker"
SECONDS = 3
# The minimum of requests/s relative to four lines, and the maximum of CPU time per request
# relative to a service without metrics and access logs.
CONTROLLER_BUDGET, METRICS_BUDGET, JSON_BUDGET = 0.9, 1.1, 1.2
FOUR_LINES = """
from fastapi import FastAPI
from galactic_empire.app.controllers.stock_market import router
app = FastAPI()
app.include_router(router, prefix="/api")
"""


def observability(workshop: Workshop) -> Iterator[str]:
    """Measure what ids, metrics and access logs cost a generated controller."""
    yield "## Observability"
    if not shutil.which("wrk"):
        yield "Not measured: needs `wrk`."
        return
    yield prose(
        "A generated controller, served by one worker: requests/s, and the worker's CPU time per",
        "request. All applications run at once and are measured alternately; medians of",
        f"{ROUNDS} runs, with the minimum and maximum in parentheses. The four lines serve the",
        "same controller.",
        placement(),
    )
    (workshop.project.parent / "market.py").write_text(FOUR_LINES)
    plain = f"{GUNICORN} --worker-class {worker_class(workshop)} market:app"
    metrics = {"FASTAPI_METRICS_BIND": f"127.0.0.1:{free_port()}"}
    lines = {"FASTAPI_ACCESS_LOG": "true"}
    four, off, on, text, json = contenders = [
        Contender("four lines", plain, ROUTE),
        Contender("the service: ids", SERVE, ROUTE),
        Contender("ids, metrics", SERVE, ROUTE, variables=metrics),
        Contender("ids, an access line", SERVE, ROUTE, variables=lines),
        Contender(
            *("ids, an access line in JSON", SERVE, ROUTE),
            variables={**lines, "FASTAPI_LOG_FORMAT": "json"},
        ),
    ]
    with ExitStack() as stack:
        log = stack.enter_context((workshop.folder / "access.log").open("w"))
        saved = os.dup(2)
        stack.callback(os.close, saved)
        os.dup2(log.fileno(), 2)
        try:
            services = {each: stack.enter_context(each.served(workshop)) for each in contenders}
        finally:
            os.dup2(saved, 2)
        taken = interleaved(
            "observability", ROUNDS, services, lambda each: cost(each, services[each])
        )
    rates = {each: [rate for rate, _ in results] for each, results in taken.items()}
    times = {each: [time for _, time in results] for each, results in taken.items()}
    middle = {each: statistics.median(results) for each, results in times.items()}
    yield table(
        ("application", "requests/s", "of four lines", "a request, us", "of ids alone"),
        [
            [
                each.name,
                spread(rates[each]),
                f"{statistics.median(rates[each]) / statistics.median(rates[four]):.2f}",
                spread(times[each], 1),
                f"{middle[each] / middle[off]:.2f}",
            ]
            for each in contenders
        ],
    )
    ratio = statistics.median(rates[off]) / statistics.median(rates[four])
    yield prose(
        f"The controller answers {ratio:.2f} times as many requests as four lines (budget: at",
        f"least {CONTROLLER_BUDGET}). A request takes {middle[on] / middle[off]:.2f} times as long",
        f"with metrics (at most {METRICS_BUDGET}), {middle[json] / middle[off]:.2f} times with an",
        f"access line in JSON (at most {JSON_BUDGET}), and {middle[text] / middle[off]:.2f} times",
        "with one in text.",
    )


def cost(contender: Contender, service: Service) -> tuple[float, float]:
    """Return the requests a second, and the CPU time of each in microseconds."""
    before = processor_time(service)
    load = contender.load(service, SECONDS)
    assert not load.failed, f"{load.failed} requests failed"
    spent = processor_time(service) - before
    return load.rate, spent * 1e6 / (load.rate * SECONDS)


def processor_time(service: Service) -> float:
    """Return the CPU time of all workers, in seconds."""
    ticks = 0
    for worker in service.workers():
        fields = Path(f"/proc/{worker}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")
