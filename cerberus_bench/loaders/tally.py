"""Counts over the images of a source as they are harmonised."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

from cerberus_bench.loaders.image_hashes import pixel_hash
from cerberus_bench.loaders.reader import SourceRecord
from cerberus_bench.schema.labels import LabelSpace
from cerberus_bench.schema.record import Record

WHOLE = "all"
"""Name of the only part of a source without official parts."""


@dataclass(slots=True)
class Tally:
    """Counts of one image or of many; those of the many are the sum."""

    n_images: int = 0
    n_bytes: int = 0
    """Bytes of the decoded native images, 3 a pixel."""
    n_lost: int = 0
    objects: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    """Task -> official part -> objects in the source."""
    notes: Counter[str] = field(default_factory=Counter)
    classes: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    """Task -> class -> objects written."""
    same_pixels: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    """Hash of the pixels -> records that have them."""
    empty: list[str] = field(default_factory=list)
    """`<sample id> (<task>)` where a task is annotated and no object is there."""

    def add_source(self, found: SourceRecord) -> None:
        """Count what the source holds for one image."""
        record = found.record
        self.n_images += 1
        self.n_bytes += record.image.nbytes
        self.notes.update(found.notes)
        for task, n in found.n_objects.items():
            self.objects[task][record.official_split or WHOLE] += n
        self.same_pixels[pixel_hash(record.image)].append(record.record)

    def add_harmonised(self, record: Record, spaces: Mapping[str, LabelSpace]) -> None:
        """Count what is written of one record."""
        self.n_lost += record.n_lost
        for task, found in record.instances.items():
            names = spaces[task].classes
            self.classes[task].update(names[c - 1] for c in found.classes.tolist() if c)
            if not len(found.ids):
                self.empty.append(f"{record.sample_id} ({task})")
        if record.tissue is not None:
            self.classes["tissue"][spaces["tissue"].classes[record.tissue]] += 1

    def add(self, other: Self) -> None:
        """Add the counts of other images, which come after these."""
        self.n_images += other.n_images
        self.n_bytes += other.n_bytes
        self.n_lost += other.n_lost
        self.notes.update(other.notes)
        self.empty += other.empty
        for pixels, records in other.same_pixels.items():
            self.same_pixels[pixels] += records
        for mine, others in ((self.objects, other.objects), (self.classes, other.classes)):
            for task, counts in others.items():
                mine[task].update(counts)
