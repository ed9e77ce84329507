"""Stage `select`: which pairs are kept, by rules. One selection a NAME; deciding again costs no request."""

import json
from typing import Any

import apache_beam as beam

from filters.language import LanguageRules
from pipeline.config import content
from pipeline.context import Context
from pipeline.errors import UsageError
from pipeline.manifest import Stamp, outputs_of
from pipeline.stages.base import Stage, code_inputs, facts_of
from transforms import run_dir, storage
from transforms.formats.parquet import count_rows
from transforms.select.caption_choice import Preference, frequent
from transforms.select.rules.language import LanguageStep
from transforms.select.transform import Select


def stamp(c: Context) -> Stamp:
    code = code_inputs(rule.module() for rule in c.settings.select.rules)
    return Stamp(content(c.settings.select), {"images": c.digest("fetch"), "scores": c.digest("score")} | code)


def check(c: Context) -> None:
    """What a rule itself checks: that the function or file that it names is there."""
    for rule in c.settings.select.rules:
        try:
            rule.check()
        except ValueError as error:
            raise UsageError(str(error)) from error


def work(c: Context) -> bool:
    storage.delete_folder(run_dir.selection_folder(c.run, c.name))
    stems = run_dir.part_stems(c.run)
    c.progress.stage("select", len(stems), "parts")
    transform = Select(c.run, c.name, c.settings.select, preference(c))
    workers = c.engine.workers_for(run_dir.image_rows(c.run, stem) for stem in stems)
    c.engine.run(lambda p: p | "Parts" >> beam.Create(stems) | transform, "select", c.progress.say, workers)
    return True


def preference(c: Context) -> Preference:
    """The languages whose captions go first: the settings', else those that a rule keeps, else the run's own.

    A caption is of a language where the rule `language` is sure of it; without one, where the shipped rule would be.
    """
    settings = c.settings.select
    steps = [rule for rule in settings.rules if isinstance(rule, LanguageStep)]
    rules: LanguageRules = next((step for step in steps if step.keep != "all"), steps[0] if steps else LanguageRules())
    if settings.prefer_languages != "run":
        return Preference(settings.prefer_languages, rules)
    if rules.keep != "all":
        return Preference(tuple(rules.keep), rules)
    path = run_dir.languages(c.run)
    return Preference(frequent(json.loads(storage.read_text(path))) if storage.exists(path) else (), rules)


def facts(c: Context) -> dict[str, Any]:
    folder = run_dir.selection_folder(c.run, c.name)
    names = storage.list_names(folder, "*.parquet")
    counts = {"candidates": sum(count_rows(storage.join(folder, n)) for n in names)}
    return facts_of(outputs_of(folder, names), counts) | {"steps": c.settings.select.labels()}


STAGE = Stage("select", ("selection/{name}",), stamp, check, work, facts, named=True)
