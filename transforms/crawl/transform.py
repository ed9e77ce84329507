"""A round of a crawl, wired: each task asks its pages and writes them."""

import apache_beam as beam
from apache_beam.pvalue import PCollection

from transforms import run_dir
from transforms.coordination.lease import Lease, while_held
from transforms.crawl.settings import CrawlSource
from transforms.crawl.task import crawl_task
from transforms.html.page import HtmlSettings
from transforms.web.loop import run_async
from transforms.web.settings import WebSettings

LEASES = "crawl-"  # what the names of a crawl's leases begin with


class CrawlRound(beam.PTransform):
    """Task numbers of one crawl round to committed parts of `pages/`."""

    def __init__(self, run: str, round_: int, source: CrawlSource, web: WebSettings, html: HtmlSettings) -> None:
        super().__init__()
        self.run, self.round, self.source, self.web, self.html = run, round_, source, web, html

    def expand(self, tasks: PCollection) -> PCollection:
        return (
            tasks
            | "Spread tasks" >> beam.Reshuffle()
            | "Crawl" >> beam.Map(run_crawl_task, self.run, self.round, self.source, self.web, self.html)
        )


def run_crawl_task(task: int, run: str, round_: int, source: CrawlSource, web: WebSettings, html: HtmlSettings) -> int:
    """Two attempts at one task, of which an engine may think that one is dead, never ask at the same time."""
    name = f"{LEASES}{run_dir.stem_of(round_, task)}"

    def attempt(lease: Lease) -> int:
        return run_async(crawl_task(run, round_, task, source, web, html, lease.check)).parts

    return while_held(run, name, web.lease_s, attempt)
