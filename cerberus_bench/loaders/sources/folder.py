"""`folder`: a user's own images and labels, described by a `dataset.toml` that lies with them."""

from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path, PurePosixPath

from cerberus_bench.loaders.archive import SourceTree
from cerberus_bench.loaders.class_folders import tissue_index
from cerberus_bench.loaders.folder_description import (
    FILE_NAME,
    MAX_BYTES,
    FolderDescription,
    parse_description,
    spec_of,
)
from cerberus_bench.loaders.folder_labels import ObjectReader
from cerberus_bench.loaders.folder_listing import (
    MPP_OF_ROW,
    TISSUE_OF_ROW,
    class_file,
    list_folder,
)
from cerberus_bench.loaders.images import decode_rgb
from cerberus_bench.loaders.reader import Listing, SourceImage, SourceRecord, native_record
from cerberus_bench.schema.dataset import DatasetSpec
from cerberus_bench.schema.errors import DataError
from cerberus_bench.schema.record import Coverage


def open_folder(source: Path) -> "FolderReader":
    """The reader of a folder or zip that holds a `dataset.toml`.

    Raises:
        DataError: there is no such file, there are several, or it is wrong.
    """
    with SourceTree(source) as tree:
        names = [name for name in tree.names if PurePosixPath(name).name == FILE_NAME]
        if len(names) != 1:
            raise DataError(
                f"{source} holds {len(names)} files called {FILE_NAME}; one is needed, which says"
                " what the images and labels beside it are. docs/folder.md shows an example."
            )
        description = parse_description(tree.read(names[0], MAX_BYTES), tree.where(names[0]))
    return FolderReader(spec_of(description), description, names[0].removesuffix(FILE_NAME))


@dataclass(frozen=True, slots=True)
class FolderReader:
    """Reads what a `dataset.toml` describes."""

    spec: DatasetSpec
    description: FolderDescription
    base: str
    """Where `dataset.toml` lies in the tree: nothing, or a path that ends in /."""

    def find(self, tree: SourceTree) -> Listing:
        """List the images that have all that the description promises."""
        return list_folder(tree, self.description, self.base)

    def read(self, tree: SourceTree, image: SourceImage) -> SourceRecord:
        """Decode one image and all that is annotated on it."""
        file = image.files["image"]
        data = tree.read(file)
        rgb = decode_rgb(data, tree.where(file))
        found = {
            task: ObjectReader(task, how, self.spec.label_maps[task]).read(
                tree, image.files[task], image.files.get(class_file(task)), file, rgb.shape[:2]
            )
            for task, how in self.description.tasks.objects.items()
            if task in image.files
        }
        digests = "".join(objects.sha256 for objects in found.values())
        attributes = dict(image.attributes)
        mpp = float(attributes.pop(MPP_OF_ROW, self.spec.mpp))
        code = attributes.pop(TISSUE_OF_ROW, None)
        tissue = tissue_index(self.spec.label_maps["tissue"], code) if code else None
        covered = [*found, *(["tissue"] if tissue is not None else [])]
        record = native_record(
            self.spec,
            image,
            image=rgb,
            mpp=mpp,
            coverage=dict.fromkeys(covered, Coverage.FULL),
            instances={task: objects.instances for task, objects in found.items()},
            tissue=tissue,
            attributes=attributes,
            source_sha256=sha256(data + digests.encode()).hexdigest(),
        )
        counts = {task: objects.n for task, objects in found.items()}
        notes = {
            f"{task}: {text}": n
            for task, objects in found.items()
            for text, n in objects.notes.items()
        }
        return SourceRecord(
            record=record, n_objects=counts | ({"tissue": 1} if code else {}), notes=notes
        )
