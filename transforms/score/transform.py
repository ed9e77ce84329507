"""Images to scores, wired. One model a process; a part is read, scored and written by one worker."""

from collections.abc import Iterable

import apache_beam as beam
from apache_beam.utils.shared import Shared

from trainer.model import Clip, load_clip, set_threads
from transforms import run_dir, storage
from transforms.score.measure import score_part
from transforms.score.settings import ScoreSettings


class ScoreParts(beam.PTransform):
    """Stems of `images/` parts to `scores/`; gives the number of scores of each part."""

    def __init__(self, run: str, settings: ScoreSettings) -> None:
        super().__init__()
        self.run, self.settings = run, settings

    def expand(self, parts: beam.PCollection) -> beam.PCollection:
        return parts | "Spread parts" >> beam.Reshuffle() | "Score" >> beam.ParDo(ScorePart(self.run, self.settings))


class ScorePart(beam.DoFn):
    """Loads the model once a process (a process owns its device) and scores whole parts."""

    def __init__(self, run: str, settings: ScoreSettings) -> None:
        self._run, self._settings = run, settings
        self._shared = Shared()
        self._clip: Clip | None = None

    def setup(self) -> None:
        self._clip = self._shared.acquire(self._load)

    def _load(self) -> Clip:
        settings = self._settings
        clip = load_clip(settings.model, settings.pretrained, device=settings.device, precision=settings.precision)
        set_threads(settings.threads)
        return clip

    def process(self, stem: str) -> Iterable[int]:
        if storage.exists(run_dir.score_rows(self._run, stem)):
            return
        assert self._clip is not None
        yield score_part(self._run, stem, self._clip, self._settings)
