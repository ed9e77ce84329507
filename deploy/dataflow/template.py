"""`make dataflow-template`: everything of the flex template that needs no cloud, and the commands that are left.

Builds the wheel, puts the images' build context and the template's specification into dist/dataflow, and checks them:
metadata, versions, and the job of every stage, built with Dataflow's options. With `--push` it goes on with docker and
gcloud; never by itself.
"""

import argparse
import json
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(HERE))

import jobs  # noqa: E402
import launch  # noqa: E402

from pipeline import __version__  # noqa: E402
from pipeline.config import load  # noqa: E402
from pipeline.engines.workers.handshake import own_version  # noqa: E402

CONTEXT = ("Dockerfile", "Dockerfile.cuda", "Dockerfile.launcher", "entry.py", "launch.py", "metadata.json")
IMAGES = {"worker": "Dockerfile", "worker-cuda": "Dockerfile.cuda", "launcher": "Dockerfile.launcher"}
PROFILES = ("dataflow-cpu", "dataflow-gpu")
# https://cloud.google.com/dataflow/docs/reference/rest/v1b3/projects.locations.flexTemplates/launch#TemplateMetadata
METADATA_FIELDS = {"name", "description", "parameters"}
PARAMETER_FIELDS = {"name", "label", "helpText", "isOptional", "regexes", "paramType"}
NEEDED_FIELDS = {"name", "label", "helpText"}
PARAMETER_TYPES = {"DEFAULT", "TEXT", "GCS_READ_BUCKET", "GCS_WRITE_BUCKET", "GCS_READ_FILE", "GCS_WRITE_FILE",
                   "GCS_READ_FOLDER", "GCS_WRITE_FOLDER"}  # fmt: skip
EXAMPLE = {
    "project": "a-project",
    "region": "europe-west1",
    "temp_location": "gs://a-bucket/tmp",
    "image": f"repository/pairmill-worker:{__version__}",
}
TASKS, PARTS = 1_000, 10_000  # of a run of ten million images: the graph grows with its parts


def main(words: Sequence[str] | None = None) -> int:
    args = parser().parse_args(words)
    out = Path(args.out)
    prepare(out, args.repository)
    troubles = [*metadata_troubles(out), *version_troubles(out), *job_troubles()]
    for line in troubles:
        print(f"dataflow-template: {line}", file=sys.stderr)
    if troubles:
        return 1
    print(f"{out}: build context, template.json and {len(PROFILES)} profiles are sound")
    return push(args, out) if args.push else tell(args, out)


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="template.py", description=__doc__)
    parser.add_argument("--out", default=str(ROOT / "dist/dataflow"))
    parser.add_argument("--repository", default="REPOSITORY", help="of images, such as HOST/PROJECT/FOLDER")
    parser.add_argument("--bucket", default="gs://BUCKET", help="for the template's specification")
    parser.add_argument("--launcher", default="HOST/dataflow-templates-base/python311-template-launcher-base",
                        help="Google's image with the launch program")  # fmt: skip
    parser.add_argument("--push", action="store_true", help="go on with docker and gcloud: costs money")
    return parser


def prepare(out: Path, repository: str) -> None:
    """Wheel, build context, specification."""
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    build = [sys.executable, "-m", "uv", "build", "--quiet", "--wheel", "--out-dir", str(out), str(ROOT)]
    subprocess.run(build, check=True)
    for name in CONTEXT:
        shutil.copy(HERE / name, out / name)
    shutil.copy(ROOT / "constraints.txt", out)
    (out / "template.json").write_text(json.dumps(specification(out, repository), indent=2) + "\n")


def specification(out: Path, repository: str) -> dict[str, Any]:
    """What `gcloud dataflow flex-template build` writes."""
    return {
        "image": image(repository, "launcher"),
        "metadata": json.loads((out / "metadata.json").read_text()),
        "sdkInfo": {"language": "PYTHON"},
    }


def image(repository: str, name: str) -> str:
    return f"{repository}/pairmill-{name}:{__version__}"


def metadata_troubles(out: Path) -> Iterator[str]:
    """Unknown fields are dropped by the service without a word."""
    metadata = json.loads((out / "metadata.json").read_text())
    yield from (f"metadata.json: unknown field {key}" for key in metadata.keys() - METADATA_FIELDS)
    options = {word for action in launch.parser()._actions for word in action.option_strings}
    for parameter in metadata["parameters"]:
        where = f"metadata.json: parameter {parameter.get('name', '?')}"
        yield from (f"{where}: unknown field {key}" for key in parameter.keys() - PARAMETER_FIELDS)
        yield from (f"{where}: {key} is missing" for key in NEEDED_FIELDS - parameter.keys())
        if parameter.get("paramType", "DEFAULT") not in PARAMETER_TYPES:
            yield f"{where}: unknown paramType {parameter['paramType']}"
        if f"--{parameter.get('name')}" not in options:
            yield f"{where}: launch.py has no such option"
        yield from (f"{where}: {trouble}" for trouble in regex_troubles(parameter.get("regexes", [])))


def regex_troubles(regexes: Sequence[str]) -> Iterator[str]:
    for regex in regexes:
        try:
            re.compile(regex)
        except re.error as error:
            yield f"{regex} is no regular expression: {error}"


def version_troubles(out: Path) -> Iterator[str]:
    """The images hold this Pairmill, this Beam, this Python, the pinned packages."""
    wheels = [path.name for path in out.glob("*.whl")]
    if wheels != [f"pairmill-{__version__}-py3-none-any.whl"]:
        yield f"{out}: expected the wheel of pairmill {__version__} and no other, found {', '.join(wheels) or 'none'}"
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    base = f"ARG BASE=apache/beam_python{python}_sdk:{version('apache-beam')}"
    for name in ("Dockerfile", "Dockerfile.cuda"):
        if base not in (out / name).read_text().splitlines():
            yield f"{name}: expected the line {base}, for {own_version()}"
    pin = f"apache-beam=={version('apache-beam')}"
    if pin not in (out / "constraints.txt").read_text().splitlines():
        yield f"constraints.txt: expected {pin}"


def job_troubles() -> Iterator[str]:
    """What is wrong with the jobs of the stages, by profile."""
    for profile in PROFILES:
        for job in example_jobs(profile, TASKS, PARTS).values():
            yield from (f"{profile}: {line}" for line in jobs.findings(job))


def example_jobs(profile: str, tasks: int, parts: int, *more: str) -> dict[str, jobs.Job]:
    """The jobs of all stages of a run with every rule that compares pairs, on a profile."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "a.warc.gz").touch()
        given = [f"engine.dataflow.{key}={value}" for key, value in EXAMPLE.items()]
        given += [f"collect.warc.paths=[{folder}/a.warc.gz]", "score.model=ViT-B-32", "score.pretrained=openai"]
        given.append(f"select.rules={RULES}")
        return jobs.recorded(load("warc", [*given, *more], profile), f"{folder}/run", tasks, parts)


RULES = (
    "[{rule: caption}, {rule: contact}, {rule: size}, {rule: exact_duplicate}, {rule: near_duplicate}, "
    "{rule: caption_repetition}, {rule: score, top_share: 0.5}]"
)


def commands(args: argparse.Namespace, out: Path) -> list[list[str]]:
    """What needs docker and the cloud: images, their upload, the template."""
    arguments = {
        "worker": [f"CONTRACT={own_version()}"],
        "worker-cuda": [f"CONTRACT={own_version()}"],
        "launcher": [f"WORKER={image(args.repository, 'worker')}", f"LAUNCHER={args.launcher}"],
    }
    steps = []
    for name, file in IMAGES.items():
        given = [word for argument in arguments[name] for word in ("--build-arg", argument)]
        tag = image(args.repository, name)
        steps.append(["docker", "build", "--file", str(out / file), *given, "--tag", tag, str(out)])
        steps.append(["docker", "push", tag])
    steps.append(["gcloud", "storage", "cp", str(out / "template.json"), f"{args.bucket}/pairmill-{__version__}.json"])
    return steps


def tell(args: argparse.Namespace, out: Path) -> int:
    print("\nNot done here: what follows needs docker, a repository of images and a Google Cloud project.")
    print("Do it by hand, or again with --push --repository ... --bucket ... --launcher ...\n")
    for step in commands(args, out):
        print("  " + shlex.join(step))
    print("\nThen, for a run that has finished collect:\n")
    print(f"  gcloud dataflow flex-template run pairmill-fetch --region REGION "
          f"--template-file-gcs-location {args.bucket}/pairmill-{__version__}.json "
          f"--parameters run_dir=gs://BUCKET/runs/NAME,stage=fetch,"
          f"sdk_container_image={image(args.repository, 'worker')}")  # fmt: skip
    return 0


def push(args: argparse.Namespace, out: Path) -> int:
    """Go on, where docker and gcloud are. 2 where they are not, or a place is not named."""
    defaults = parser().parse_args([])
    for key in ("repository", "bucket", "launcher"):
        if getattr(args, key) == getattr(defaults, key):
            print(f"dataflow-template: --push needs --{key}", file=sys.stderr)
            return 2
    for program in ("docker", "gcloud"):
        if shutil.which(program) is None:
            print(f"dataflow-template: --push needs {program}, which is not there", file=sys.stderr)
            return 2
    for step in commands(args, out):
        print(shlex.join(step), flush=True)
        code = subprocess.call(step)
        if code:
            print(f"dataflow-template: that ended with {code}; nothing after it was done", file=sys.stderr)
            return 3
    return 0


if __name__ == "__main__":
    sys.exit(main())
