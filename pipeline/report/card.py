"""The dataset card beside the shards. Nothing in it comes from a clock or a machine: same data, same card."""

from typing import Any

import yaml

from pipeline.report.tables import lost_text, reasons_text

SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"),
         (10_000_000, "1M<n<10M"), (100_000_000, "10M<n<100M"), (1_000_000_000, "100M<n<1B"))  # fmt: skip


def render(stats: dict[str, Any], settings: dict[str, Any]) -> str:
    """The card as Markdown with Hugging Face's YAML header. `settings`: the run's, as in run.yaml."""
    samples = sum(shard["samples"] for shard in stats["shards"])
    parts = [header(stats, samples), intro(samples, stats, settings), funnel_section(stats), settings_section(settings),
             fields_section(), license_section(stats), use_section(stats, samples), REMOVAL, LIMITS]  # fmt: skip
    return "\n\n".join(part.strip() for part in parts) + "\n"


def header(stats: dict[str, Any], samples: int) -> str:
    languages = [language for language in stats["languages"] if language != "und"]
    data = {
        "license": "other",
        "task_categories": ["image-to-text", "zero-shot-image-classification"],
        "size_categories": [next((text for most, text in SIZES if samples < most), "n>1T")],
        "language": languages or ["und"],
        "configs": [{"config_name": "default", "data_files": "*.tar"}],
    }
    return f"---\n{yaml.safe_dump(data, sort_keys=False)}---"


def intro(samples: int, stats: dict[str, Any], settings: dict[str, Any]) -> str:
    web = settings["web"]
    obeyed = ["robots.txt"] if web["robots"]["obey"] else []
    names = {"x_robots_tag": "X-Robots-Tag", "meta": "robots meta tags", "tdmrep": "TDMRep"}
    obeyed += [text for key, text in names.items() if web["opt_outs"][key]]
    manners = f"Obeyed on the way: {', '.join(obeyed)}." if obeyed else "No opt-out was obeyed on the way."
    return f"""
# Image-text pairs: {stats["name"]}

{samples:,} pairs of an image and its captions from the web, in {len(stats["shards"]):,} shards, made by Pairmill.
{manners}"""


def funnel_section(stats: dict[str, Any]) -> str:
    rows = [
        f"| {s['stage']} | {s['step']} | {s['unit']} | {s['rows_in']:,} | {s['rows_out']:,} | {went_text(s)} |"
        for s in stats["funnel"]
    ]
    table = "\n".join(
        ["| stage | step | unit | in | out | dropped |", "| --- | --- | --- | ---: | ---: | --- |", *rows]
    )
    lost = stats["archives"]
    damage = f"\n\nArchives were damaged: {lost_text(**lost)} bytes were lost." if lost["lost_records"] else ""
    return f"## How they were chosen\n\n{table}{damage}"


def went_text(step: dict[str, Any]) -> str:
    """What became of the rows that did not go on."""
    return reasons_text(step["rejects"]) or (f"merged {step['merged']:,}" if step["merged"] else "")


def settings_section(settings: dict[str, Any]) -> str:
    score = {key: settings["score"][key] for key in ("model", "pretrained", "name") if settings["score"].get(key)}
    score["model"] = str(score.get("model", "none")).replace("\\", "/").rsplit("/", 1)[-1]
    text = yaml.safe_dump({"score": score, "select": settings["select"]}, sort_keys=False, allow_unicode=True)
    return f"## Settings\n\n```yaml\n{text}```"


def fields_section() -> str:
    return """
## Fields

Each sample has `{key}.jpg` (or png, webp), `{key}.txt` (the best caption) and `{key}.json` (the row). The rows stand in
the Parquet beside each tar: `uid`, `url`, `caption`, `captions` with language, kind, page and license of each,
`similarity`, sizes before and after, `sha256` of the original bytes, `image_sha256` and `caption_sha256` of the
members."""


def license_section(stats: dict[str, Any]) -> str:
    known = {license: n for license, n in stats["licenses"].items() if license}
    rows = "\n".join(f"| {license} | {n:,} |" for license, n in sorted(known.items(), key=lambda e: (-e[1], e[0]))[:20])
    unknown = stats["licenses"].get("", 0)
    found = f"\n\n| license | pairs |\n| --- | ---: |\n{rows}" if rows else ""
    return f"""## Licenses

Images and captions belong to their authors. The pages of {unknown:,} pairs name no license.{found}"""


def use_section(stats: dict[str, Any], samples: int) -> str:
    last = max(0, len(stats["shards"]) - 1)
    shards = f"{{00000..{last:05d}}}.tar" if last else "00000.tar"
    return f"""
## Use

    python -m open_clip_train.main --dataset-type webdataset --train-data '{shards}' --train-num-samples {samples}

    datasets.load_dataset("webdataset", data_files="*.tar")     # Hugging Face datasets
    webdataset.WebDataset("{shards}").decode("pil")             # webdataset"""


REMOVAL = """
## Removal

Whoever finds their image, page or host here may ask for its removal: write to those who published this data set and
name the url. A no in robots.txt or by one of the opt-outs keeps the next collection away."""

LIMITS = """
## Known limits

Captions are what pages say, not what pictures show: they may be wrong, biased or offensive. Filters make mistakes in
both directions. Similarity is one model's opinion. Nobody has looked at every pair."""
