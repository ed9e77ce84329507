"""The whole way, in order. A stage is one file of this folder."""

from pipeline.stages import collect, fetch, pack, score, select

STAGES = (collect.STAGE, fetch.STAGE, score.STAGE, select.STAGE, pack.STAGE)
STAGE_NAMES = tuple(stage.name for stage in STAGES)
