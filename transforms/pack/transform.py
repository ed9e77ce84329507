"""A selection to shards, wired: rank, slice, write. Only rows are shuffled; bytes are read by range at the end."""

from collections import defaultdict
from collections.abc import Iterable
from functools import partial
from itertools import chain

import apache_beam as beam
import msgspec
from apache_beam.pvalue import AsIter, AsSingleton

import transforms.coders  # noqa: F401 - registers the record coders
from transforms import run_dir, storage
from transforms.pack.read import kept_samples, kept_uids
from transforms.pack.settings import PackSettings
from transforms.pack.shard import write_shard
from transforms.pack.shuffle import bucket_of, first_ranks, rank_of, shard_of
from transforms.records import Sample, Shard, Share

LIST = "written.json"  # in the folder of the shards until `pipeline.stages.pack.finish_shards` has used it


class Pack(beam.PTransform):
    """Stems of `selection/NAME/` parts to shards, and to the list of them that `written_shards` reads."""

    def __init__(self, run: str, name: str, settings: PackSettings) -> None:
        super().__init__()
        self.run, self.name, self.settings = run, name, settings

    def expand(self, parts: beam.PCollection) -> beam.PCollection:
        parts = parts | "Spread parts" >> beam.Reshuffle()
        starts = parts | "Find where shards begin" >> ShardStarts(self.run, self.name, self.settings)
        return (
            parts
            # One step: rows that wait for the side input would be written down once more.
            | "Into shards" >> beam.FlatMap(shares_of_shards, self.run, self.name, self.settings.seed, AsIter(starts))
            .with_output_types(tuple[int, Share])
            | "One list a shard" >> beam.GroupByKey()
            | "Write shard" >> beam.MapTuple(partial(write_one, run=self.run, name=self.name)).with_output_types(Shard)
            | "All shards" >> beam.combiners.ToList()
            | "List shards" >> beam.Map(write_list, run_dir.shards_folder(self.run, self.name))
        )  # fmt: skip


class ShardStarts(beam.PTransform):
    """The rank at which each shard begins; a few bytes a sample are shuffled to find it."""

    def __init__(self, run: str, name: str, settings: PackSettings) -> None:
        super().__init__()
        self.run, self.name, self.settings = run, name, settings

    def expand(self, parts: beam.PCollection) -> beam.PCollection:
        ranks = parts | "Rank" >> beam.FlatMap(read_ranks, self.run, self.name, self.settings.seed).with_output_types(
            tuple[int, bytes]
        )
        counts = (
            ranks
            | "Buckets" >> beam.Keys().with_output_types(int)
            | "Count" >> beam.combiners.Count.PerElement()
            | "All counts" >> beam.combiners.ToDict()
        )
        return (
            ranks
            | "One list a bucket" >> beam.GroupByKey()
            | "First ranks" >> beam.FlatMap(ranks_in_bucket, AsSingleton(counts), self.settings.samples_per_shard)
        )


def read_ranks(part: str, run: str, name: str, seed: int) -> list[tuple[int, bytes]]:
    ranks = [rank_of(uid, seed) for uid in kept_uids(run, name, part)]
    return [(bucket_of(rank), rank) for rank in ranks]


def ranks_in_bucket(bucket: tuple[int, Iterable[bytes]], counts: dict[int, int], size: int) -> list[tuple[int, bytes]]:
    return first_ranks(*bucket, counts, size)


def shares_of_shards(
    part: str, run: str, name: str, seed: int, starts: Iterable[tuple[int, bytes]]
) -> Iterable[tuple[int, Share]]:
    """What a part gives to each shard, as one element: Beam's cost is by the element."""
    ranks = [rank for _, rank in sorted(starts)]
    shares: dict[int, list[Sample]] = defaultdict(list)
    for sample in kept_samples(run, name, part, seed):
        shares[shard_of(sample.rank, ranks)].append(sample)
    return [(number, Share(tuple(samples))) for number, samples in shares.items()]


def write_one(number: int, shares: Iterable[Share], run: str, name: str) -> Shard:
    samples = chain.from_iterable(share.samples for share in shares)
    return write_shard(number, samples, run, run_dir.shards_folder(run, name))


def write_list(shards: list[Shard], folder: str) -> None:
    """What was written, digests and all: nobody need read it again to know."""
    storage.publish(storage.join(folder, LIST), msgspec.json.encode(sorted(shards, key=lambda shard: shard.tar.name)))


def written_shards(folder: str) -> list[Shard]:
    """What the workers said of the shards in a folder, in the order of their names. Raises StorageError."""
    return msgspec.json.decode(storage.read_bytes(storage.join(folder, LIST)), type=list[Shard])
