"""Records as the trainer keeps them: compact in memory, their classes as codes of the network."""

from collections import OrderedDict, deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from cerberus_bench.model_zoo.boxes import BOX
from cerberus_bench.model_zoo.targets import ClassCodes, class_codes, compact_labels
from cerberus_bench.schema.model import OutputSpec
from cerberus_bench.schema.record import Coverage, Record, RecordSource
from cerberus_bench.schema.tasks import SIGNET_RING, TASKS, TISSUE

DEFAULT_CACHE_BYTES = 4 << 30
READERS = 4
"""Threads that decode records when all of them are read; decoders leave the interpreter."""
PATCH = TISSUE.name


@dataclass(frozen=True, slots=True)
class Sample:
    """One record, as small as training allows."""

    image: NDArray[np.uint8]
    """(H, W, 3) RGB."""
    labels: Mapping[str, NDArray[np.uint16]]
    """Task -> (H, W) label map."""
    codes: Mapping[str, NDArray[np.uint8]]
    """Task -> class code of each id; only tasks whose classes teach something."""
    valid: NDArray[np.uint8] | None
    """(H, W) 1 where annotations count; None = everywhere."""
    open_tasks: frozenset[str]
    """Partly annotated tasks without a mask of what is annotated: no background is known."""
    patch_code: int
    """Class code of the whole patch."""
    boxes: NDArray[np.float32] | None = None
    """(n, 4) signet ring boxes x0 y0 x1 y1, px; None where they are not annotated."""

    @property
    def n_bytes(self) -> int:
        """Memory of the arrays."""
        labels = sum(a.nbytes for a in self.labels.values())
        codes = sum(a.nbytes for a in self.codes.values())
        valid = 0 if self.valid is None else self.valid.nbytes
        boxes = 0 if self.boxes is None else self.boxes.nbytes
        return self.image.nbytes + labels + codes + valid + boxes

    @property
    def outputs(self) -> frozenset[str]:
        """Outputs that this sample has truth for."""
        names = {f"{task}.instance" for task in self.labels}
        names |= {f"{task}.type" for task in self.codes}
        names |= set() if self.boxes is None else {BOX}
        return frozenset(names | ({PATCH} if self.patch_code else set()))


@dataclass(frozen=True, slots=True)
class Entry:
    """What is known of a sample without its pixels."""

    source: int
    record: int
    shape: tuple[int, int]
    outputs: frozenset[str]
    has_boxes: bool = False
    """Whether it holds a boxed cell."""

    def teaches(self, task: str) -> bool:
        """Whether it has truth for an output of a task."""
        return any(output.partition(".")[0] == task for output in self.outputs)


def codes_of(
    outputs: Sequence[OutputSpec], sources: Sequence[RecordSource]
) -> dict[str, ClassCodes]:
    """Output -> class codes over all sources, for the type and patch outputs."""
    codes = {}
    for output in outputs:
        if output.name.endswith((".instance", ".box")):
            continue
        spaces = [s.label_spaces[output.task] for s in sources if output.task in s.label_spaces]
        first = 0 if output.name == PATCH else 1
        codes[output.name] = class_codes(TASKS[output.task].labels, spaces, first)
    return codes


class SampleStore:
    """Samples of several sources, decoded on demand and kept in memory up to a bound.

    Safe to read from several threads, each of which decodes on its own; so must the sources be.

    Args:
        sources: harmonised records.
        outputs: outputs to prepare truth for.
        codes: class codes of the outputs, of `codes_of` over all sources of the run.
        max_bytes: memory to keep decoded samples in; least recently used leave first.
    """

    def __init__(
        self,
        sources: Sequence[RecordSource],
        outputs: Sequence[OutputSpec],
        codes: Mapping[str, ClassCodes],
        max_bytes: int = DEFAULT_CACHE_BYTES,
    ) -> None:
        self.sources = sources
        self.codes = codes
        self._wanted = frozenset(output.name for output in outputs)
        self._max_bytes = max_bytes
        self._n_bytes = 0
        self._kept: OrderedDict[tuple[int, int], Sample] = OrderedDict()
        self._lock = Lock()
        self.groups: list[set[str]] = [set() for _ in sources]
        self.origins: list[set[str]] = [set() for _ in sources]
        self.entries = self._scan()

    def get(self, entry: Entry) -> Sample:
        """Decode a sample, or take it from memory."""
        key = (entry.source, entry.record)
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        _, sample = self._decode(self.sources[entry.source], entry.record)
        with self._lock:
            # another thread may have decoded the same sample meanwhile
            return self._kept[key] if key in self._kept else self._keep(key, sample)

    def _scan(self) -> list[Entry]:
        """Read every record once: which outputs it teaches, and which groups are seen."""
        entries = []
        for s, source in enumerate(self.sources):
            for r, record, sample in self._read_all(source):
                if not sample.outputs:
                    continue
                self._keep((s, r), sample)
                self.groups[s].add(record.group)
                self.origins[s].update(record.origins)
                height, width = sample.image.shape[:2]
                has_boxes = sample.boxes is not None and len(sample.boxes) > 0
                entries.append(Entry(s, r, (height, width), sample.outputs, has_boxes))
        return entries

    def _read_all(self, source: RecordSource) -> Iterator[tuple[int, Record, Sample]]:
        """Records of a source in order, a few of them decoded ahead by threads."""

        def read(r: int) -> tuple[int, Record, Sample]:
            return r, *self._decode(source, r)

        with ThreadPoolExecutor(READERS, thread_name_prefix="records") as pool:
            ahead: deque[Future[tuple[int, Record, Sample]]] = deque()
            for r in range(len(source)):
                ahead.append(pool.submit(read, r))
                if len(ahead) > 2 * READERS:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()

    def _decode(self, source: RecordSource, r: int) -> tuple[Record, Sample]:
        try:
            record = source[r]
            return record, self._compact(source, record)
        except Exception as error:
            # it surfaces in another thread, far from the loop that knows the record
            error.add_note(f"while {source.sample_ids[r]} was decoded")
            raise

    def _keep(self, key: tuple[int, int], sample: Sample) -> Sample:
        self._kept[key] = sample
        self._n_bytes += sample.n_bytes
        while self._n_bytes > self._max_bytes and len(self._kept) > 1:
            _, oldest = self._kept.popitem(last=False)
            self._n_bytes -= oldest.n_bytes
        return sample

    def _compact(self, source: RecordSource, record: Record) -> Sample:
        labels, codes = {}, {}
        for task, instances in record.instances.items():
            if f"{task}.instance" not in self._wanted or not record.covers(task):
                continue
            name = f"{record.sample_id}, {task}"
            labels[task] = compact_labels(instances.labels, name)
            of_class = self._class_codes(source, task)
            if of_class is not None:
                last = max(int(labels[task].max(initial=0)), int(instances.ids.max(initial=0)))
                codes[task] = np.zeros(last + 1, np.uint8)
                codes[task][instances.ids] = of_class[instances.classes]
        return Sample(
            image=np.ascontiguousarray(record.image),
            labels=labels,
            codes=codes,
            valid=None if record.valid is None else record.valid.astype(np.uint8),
            open_tasks=_open_tasks(record),
            patch_code=self._patch_code(source, record),
            boxes=self._boxes(record),
        )

    def _boxes(self, record: Record) -> NDArray[np.float32] | None:
        if BOX not in self._wanted or not record.covers(SIGNET_RING.name):
            return None
        return record.signet_ring

    def _class_codes(self, source: RecordSource, task: str) -> NDArray[np.uint8] | None:
        """Codes of a source's classes; None where they teach nothing."""
        codes = self.codes.get(f"{task}.type")
        space = source.label_spaces.get(task)
        if codes is None or space is None or not codes.teaches(space):
            return None
        return codes.of_dataset[space]

    def _patch_code(self, source: RecordSource, record: Record) -> int:
        if PATCH not in self._wanted or record.tissue is None or not record.covers(PATCH):
            return 0
        space = source.label_spaces[PATCH]
        return int(self.codes[PATCH].of_dataset[space][record.tissue + 1])


def _open_tasks(record: Record) -> frozenset[str]:
    if record.valid is not None:
        return frozenset()
    return frozenset(t for t, how in record.coverage.items() if how is Coverage.PARTIAL)
