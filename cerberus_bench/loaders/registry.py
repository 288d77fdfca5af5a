"""All source datasets, listed by hand."""

from difflib import get_close_matches
from pathlib import Path

from cerberus_bench.loaders.reader import Reader
from cerberus_bench.loaders.sources import (
    bcss,
    cerberus_private,
    conic,
    consep,
    cpm15,
    cpm17,
    crag,
    crchistophenotypes,
    cryonuseg,
    digestpath_signet,
    digestpath_tissue,
    dsb2018,
    ebhi_seg,
    glas,
    kather2016,
    kumar,
    lizard,
    midogpp,
    monusac,
    monuseg,
    nct_crc_he,
    nucls,
    nuinsseg,
    ocelot,
    pannuke,
    panoptils,
    puma,
    segpath,
    tnbc,
    wsss4luad,
)
from cerberus_bench.schema.dataset import DatasetSpec
from cerberus_bench.schema.errors import DataError

PHANTOM = "phantom"
FOLDER = "folder"
"""Not a dataset of its own: a user's images, which a `dataset.toml` beside them describes."""

_READERS: tuple[Reader, ...] = (
    lizard.READER,
    conic.READER,
    glas.READER,
    crag.READER,
    digestpath_signet.READER,
    digestpath_tissue.READER,
    nct_crc_he.READER_100K,
    nct_crc_he.READER_NONORM,
    nct_crc_he.READER_7K,
    kather2016.READER,
    ebhi_seg.READER,
    crchistophenotypes.READER,
    consep.READER,
    monuseg.READER,
    kumar.READER,
    pannuke.READER,
    tnbc.READER,
    cryonuseg.READER,
    nuinsseg.READER,
    monusac.READER,
    cpm15.READER,
    cpm17.READER,
    dsb2018.READER,
    bcss.READER,
    nucls.READER,
    panoptils.READER,
    puma.READER,
    ocelot.READER,
    midogpp.READER,
    segpath.READER,
    wsss4luad.READER,
    cerberus_private.READER,
)


def names() -> tuple[str, ...]:
    """Names of all datasets, the embedded phantom first."""
    return (PHANTOM, *(reader.spec.name for reader in _READERS))


def specs() -> tuple[DatasetSpec, ...]:
    """Specs of all datasets, the embedded phantom first."""
    return tuple(get(name).spec for name in names())


def get(name: str) -> Reader:
    """The reader of a dataset; its `spec` says what is known about it.

    Raises:
        DataError: no dataset has that name.
    """
    if name.partition("@")[0] == PHANTOM:
        return _phantom(name)
    if name == FOLDER:
        raise DataError(
            "folder reads images of your own and is known by its description: `cerberus-bench"
            " harmonize folder --source DIR`, where DIR holds a dataset.toml (docs/folder.md)."
        )
    for reader in _READERS:
        if reader.spec.name == name:
            return reader
    raise _unknown(name, (*names(), FOLDER))


def reader_of(name: str, source: Path) -> Reader:
    """The reader of a source: that of the dataset `name`, or for `folder` what `source` describes.

    Raises:
        DataError: no dataset has that name; or the folder is not described, or calls itself like
            a dataset of this package.
    """
    if name != FOLDER:
        return get(name)
    # pydantic is imported only for those who ask for it
    from cerberus_bench.loaders.sources.folder import open_folder

    reader = open_folder(source)
    own = reader.spec.name
    if own in (*names(), FOLDER):
        raise DataError(
            f"{source} calls itself {own!r}, which is another dataset. Give it a name of its own in"
            " dataset.toml."
        )
    return reader


def _phantom(name: str) -> Reader:
    # the generator is imported only for those who ask for it
    from cerberus_bench.loaders.phantom.source import READER, VARIANT_READERS

    readers: dict[str, Reader] = {READER.spec.name: READER, **VARIANT_READERS}
    if name not in readers:
        raise _unknown(name, tuple(readers))
    return readers[name]


def _unknown(name: str, known: tuple[str, ...]) -> DataError:
    close = get_close_matches(name.lower(), known, n=3, cutoff=0.5)
    hint = f" Did you mean {' or '.join(close)}?" if close else ""
    return DataError(f"there is no dataset {name!r}.{hint} Known are {', '.join(known)}.")
