"""Whether images of different datasets meet: what a model has seen of one marks the other."""

from collections.abc import Sequence

from cerberus_bench.loaders.reader import SourceImage
from cerberus_bench.loaders.splits import RecordKey, components_of, shared_groups
from cerberus_bench.schema.result import TrainedOn


def key(image: SourceImage) -> RecordKey:
    return RecordKey(sample_id=image.record, group=image.group, origins=image.origins)


def seen(*images: SourceImage) -> TrainedOn:
    return TrainedOn(
        dataset="other",
        version="1.0.0",
        fingerprint="",
        split="train",
        fold=3,
        groups=[image.group for image in images],
        origins=[origin for image in images for origin in image.origins],
    )


def meet(one: SourceImage, other: SourceImage) -> bool:
    """Whether two images are of one component, so that no split can part them."""
    first, second = components_of([key(one), key(other)])
    marked = bool(shared_groups([seen(one)], [key(other)]))
    assert marked == (first == second)
    return marked


def images_by_record(images: Sequence[SourceImage]) -> dict[str, SourceImage]:
    return {image.record: image for image in images}
