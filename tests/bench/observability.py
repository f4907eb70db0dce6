"""Measures what it costs that the service tells what it does."""

import os
import shutil
import statistics
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from bench.measuring import Workshop, interleaved, prose, spread, table
from bench.service import GUNICORN, ROUNDS, SERVE, Contender, worker_class
from support import Service, free_port

ROUTE = "/api/stock_market/ticker"
SECONDS = 3
# Requests a second of four lines that the controller answers at least; and the time of the
# processor that a request takes at most, of one when all is off.
CONTROLLER_BUDGET, METRICS_BUDGET, JSON_BUDGET = 0.9, 1.1, 1.2
FOUR_LINES = """
from fastapi import FastAPI
from galactic_empire.app.controllers.stock_market import router
app = FastAPI()
app.include_router(router, prefix="/api")
"""


def observability(workshop: Workshop) -> Iterator[str]:
    """Tell what ids, metrics and access lines cost a generated controller."""
    yield "## Observability"
    if not shutil.which("wrk"):
        yield "Not measured: needs `wrk`."
        return
    yield prose(
        "A generated controller, by one worker: requests/s, and the time of the processor that the",
        f"worker takes for a request. All are up and take turns; medians of {ROUNDS} runs, and the",
        "least and the greatest in parentheses. Four lines serve the same controller.",
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
        f"The controller answers {ratio:.2f} of the requests of four lines (at least",
        f"{CONTROLLER_BUDGET}). With metrics a request takes {middle[on] / middle[off]:.2f} of the",
        f"time (at most {METRICS_BUDGET}), with an access line in JSON",
        f"{middle[json] / middle[off]:.2f} (at most {JSON_BUDGET}), and in text",
        f"{middle[text] / middle[off]:.2f}.",
    )


def cost(contender: Contender, service: Service) -> tuple[float, float]:
    """Return the requests a second, and the microseconds of the processor for each."""
    before = processor_time(service)
    load = contender.load(service, SECONDS)
    assert not load.failed, f"{load.failed} requests failed"
    spent = processor_time(service) - before
    return load.rate, spent * 1e6 / (load.rate * SECONDS)


def processor_time(service: Service) -> float:
    """Return the seconds that all workers have taken of the processors."""
    ticks = 0
    for worker in service.workers():
        fields = Path(f"/proc/{worker}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")
