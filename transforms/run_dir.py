"""Names of folders and files in a run directory. No other module spells them.

    run.yaml                                     the settings
    manifest/STAGE[.NAME].json                   what is finished, from what
    pages/     plan/…  retries/…  STEM.parquet  STEM-….warc.gz        a crawl
    candidates/ part-….parquet  pages-….parquet  rejects/ part-….parquet
    images/    plan/…  pages/…  rounds/…  sums/…  STEM.parquet  STEM-….tar  STEM.log.parquet
    hosts/     TASK-of-TASKS-….parquet           robots.txt and tdmrep.json
    scores/STEM.parquet   selection/NAME/STEM.parquet   shards/NAME/…   logs/
    report.NAME.html  stats.NAME.json  of each selection; report.html  stats.json  of the newest

A STEM is the common name of a part's files: round of asking, task, part.
"""

from pathlib import Path

from transforms import storage

MANIFEST, LOGS = "manifest", "logs"
PAGES, CANDIDATES, REJECTS, IMAGES, SCORES, SELECTION, SHARDS = (
    "pages", "candidates", "rejects", "images", "scores", "selection", "shards",
)  # fmt: skip
HOSTS = "hosts"
PLAN, ROUNDS, RETRIES, SUMS = "plan", "rounds", "retries", "sums"


def folder(run: str, *names: str) -> str:
    """A folder of the run, such as `folder(run, PAGES, PLAN)`."""
    return storage.join(run, *names)


def settings_file(run: str) -> str:
    return storage.join(run, "run.yaml")


# Stems and parts


def stem_of(round_: int, task: int, part: int | None = None) -> str:
    """The common name of a part's files: `0000-00002-00013`; without `part`, that of the task's plan."""
    return f"{round_:04d}-{task:05d}" + ("" if part is None else f"-{part:05d}")


def round_of(stem: str) -> int:
    """The round of asking that wrote a part."""
    return int(stem.partition("-")[0])


def task_of_plan(name: str) -> int:
    """The task whose plan a file is."""
    return int(name.removesuffix(".parquet").split("-")[1])


def of_round(round_: int) -> str:
    """The pattern of a round's plans and parts."""
    return f"{round_:04d}-*.parquet"


def is_part(name: str) -> bool:
    """Whether a file of `images/` is a part's Parquet: a commit."""
    return name.endswith(".parquet") and not name.endswith(".log.parquet")


def part_stems(run: str, name: str = IMAGES) -> list[str]:
    """The stems of the committed parts of `images/`, or of the parts beside them in another folder."""
    names = storage.list_names(storage.join(run, name), "*.parquet")
    return [n.removesuffix(".parquet") for n in names if is_part(n)]


def stems_of_round(run: str, round_: int) -> list[str]:
    """The stems of the committed parts of one round of asking."""
    return [stem for stem in part_stems(run) if round_of(stem) == round_]


# Pages, candidates, images, scores


def crawl_plan(run: str, round_: int, task: int) -> str:
    return storage.join(run, PAGES, PLAN, f"{stem_of(round_, task)}.parquet")


def fetch_plan(run: str, round_: int, task: int) -> str:
    return storage.join(run, IMAGES, PLAN, f"{stem_of(round_, task)}.parquet")


def page_rules(run: str, round_: int, task: int) -> str:
    """What the hosts of pages said to a task, of images on the hosts of other tasks."""
    return storage.join(run, IMAGES, PAGES, f"{stem_of(round_, task)}.parquet")


def host_files(run: str, task: int, tasks: int, attempt: str) -> str:
    """What robots.txt and tdmrep.json said to an attempt at one of `tasks` tasks."""
    return storage.join(run, HOSTS, f"{task:05d}-of-{tasks:05d}-{attempt}.parquet")


def owner_of_host_files(name: str) -> tuple[int, int]:
    """(task, tasks) that a file of `hosts/` is of."""
    task, _, tasks, _ = name.split("-")
    return int(task), int(tasks)


def languages(run: str) -> str:
    """How many captions of each language the candidates have."""
    return storage.join(run, CANDIDATES, "languages.json")


def image_rows(run: str, stem: str) -> str:
    return storage.join(run, IMAGES, f"{stem}.parquet")


def image_tar(run: str, tar: str) -> str:
    return storage.join(run, IMAGES, tar)


def request(run: str, round_: int) -> str:
    """What a later round asks again."""
    return storage.join(run, IMAGES, ROUNDS, f"{round_:04d}.json")


def fetch_sums(run: str, round_: int) -> str:
    """What the parts of a round have come to so far, for `status`."""
    return storage.join(run, IMAGES, SUMS, f"{round_:04d}.json")


def superseded_rows(run: str, round_: int, stem: str) -> str:
    """The numbers of the rows of an older part that a later round asks again."""
    return storage.join(run, IMAGES, ROUNDS, f"{round_:04d}", f"{stem}.parquet")


def score_rows(run: str, stem: str) -> str:
    return storage.join(run, SCORES, f"{stem}.parquet")


def embeddings(run: str, stem: str, kind: str) -> str:
    """`kind`: image or text."""
    return storage.join(run, SCORES, f"{stem}.{kind}.npy")


# Selections and shards


def selection(name: str) -> str:
    """Within the run directory."""
    return storage.join(SELECTION, name)


def shards(name: str) -> str:
    """Within the run directory."""
    return storage.join(SHARDS, name)


def selection_folder(run: str, name: str) -> str:
    return storage.join(run, SELECTION, name)


def selected_rows(run: str, name: str, stem: str) -> str:
    return storage.join(run, SELECTION, name, f"{stem}.parquet")


def shards_folder(run: str, name: str) -> str:
    return storage.join(run, SHARDS, name)


def is_selected(run: str, name: str) -> bool:
    """Whether a selection of that name is finished."""
    return storage.exists(storage.join(run, MANIFEST, f"select.{name}.json"))


def report(run: str, name: str | None = None) -> str:
    """The report of a selection; without `name`, the newest."""
    return storage.join(run, "report.html" if name is None else f"report.{name}.html")


def stats(run: str, name: str | None = None) -> str:
    """The figures of a selection's report; without `name`, those of the newest."""
    return storage.join(run, "stats.json" if name is None else f"stats.{name}.json")


def report_names(run: str) -> list[str]:
    """The selections that have a report, in the order of their names."""
    names = storage.list_names(run, "report.*.html")
    return [name.removeprefix("report.").removesuffix(".html") for name in names]


def default_run(config: str) -> str:
    """`runs/<stem of the configuration>`."""
    return storage.join("runs", Path(config).stem)
