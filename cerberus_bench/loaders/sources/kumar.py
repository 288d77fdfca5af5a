"""Kumar 2017: the 30 training images of MoNuSeg with their own split into 16 and 14."""

from cerberus_bench.loaders.sources import monuseg
from cerberus_bench.schema.dataset import DatasetSpec, Evidence, SourceFile

_PARTS = {
    "train": (
        *("TCGA-18-5592-01Z-00-DX1", "TCGA-21-5784-01Z-00-DX1", "TCGA-38-6178-01Z-00-DX1"),
        *("TCGA-50-5931-01Z-00-DX1", "TCGA-A7-A13E-01Z-00-DX1", "TCGA-AR-A1AK-01Z-00-DX1"),
        *("TCGA-AR-A1AS-01Z-00-DX1", "TCGA-B0-5711-01Z-00-DX1", "TCGA-E2-A14V-01Z-00-DX1"),
        *("TCGA-G9-6348-01Z-00-DX1", "TCGA-G9-6356-01Z-00-DX1", "TCGA-G9-6362-01Z-00-DX1"),
        *("TCGA-G9-6363-01Z-00-DX1", "TCGA-HE-7128-01Z-00-DX1", "TCGA-HE-7129-01Z-00-DX1"),
        "TCGA-HE-7130-01Z-00-DX1",
    ),
    "test_same_organ": (
        *("TCGA-21-5786-01Z-00-DX1", "TCGA-49-4488-01Z-00-DX1", "TCGA-A7-A13F-01Z-00-DX1"),
        *("TCGA-B0-5698-01Z-00-DX1", "TCGA-B0-5710-01Z-00-DX1", "TCGA-CH-5767-01Z-00-DX1"),
        *("TCGA-E2-A1B5-01Z-00-DX1", "TCGA-G9-6336-01Z-00-DX1"),
    ),
    "test_different_organ": (
        *("TCGA-AY-A8YK-01A-01-TS1", "TCGA-DK-A2I6-01A-01-TS1", "TCGA-G2-A2EK-01A-02-TSB"),
        *("TCGA-KB-A93J-01A-01-TS1", "TCGA-NH-A8F7-01A-01-TS1", "TCGA-RD-A8N9-01A-01-TS1"),
    ),
}
"""The split of the HoVer-Net authors (vqdang/hover_net, data/README.md)."""

SPEC = DatasetSpec(
    name="kumar",
    version="1.0.0",
    title="Kumar 2017, nuclei of seven organs (the training images of MoNuSeg)",
    tasks=monuseg.SPEC.tasks,
    label_maps=monuseg.SPEC.label_maps,
    mpp=monuseg.SPEC.mpp,
    organ=monuseg.SPEC.organ,
    licence=monuseg.SPEC.licence,
    citation=monuseg.SPEC.citation[:1],
    home=monuseg.SPEC.home,
    how_to_get="Obtain 'MoNuSeg 2018 Training Data.zip' from the challenge's page; the same zip"
    " serves as monuseg and as kumar.",
    group_level="patient",
    evidence=Evidence.PUBLIC_CODE,
    files=(SourceFile("MoNuSeg 2018 Training Data.zip"),),
    expected_images={part: len(records) for part, records in _PARTS.items()},
    expected_objects={"nuclei": 21_623},
    known_faults=monuseg.SPEC.known_faults,
    notes=(
        "The images, groups and origins are those of MoNuSeg, so a model trained on MoNuSeg has"
        " seen all of Kumar.",
        "The split (16 to train, 8 of the same organs and 6 of other organs to test) is that of the"
        " HoVer-Net authors; that the paper's own is the same is recalled, not verified.",
        "21,623 nuclei as the paper has it, not verified; the reader counts polygons.",
        "Liver cases TCGA-18, 21, 38, 49 and 50 have tissue source codes of lung, so organs are"
        " not told.",
        *monuseg.SPEC.notes,
    ),
)

_PART_OF = {record: part for part, records in _PARTS.items() for record in records}


def _part(record: str, _: str) -> str | None:
    return _PART_OF.get(record)


READER = monuseg.MonusegReader(SPEC, _part)
