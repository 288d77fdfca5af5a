"""What every reader of a source of other organs keeps: the checks of the colon sources, reused."""

from collections.abc import Callable
from pathlib import Path

import pytest
from fakes import bcss as fake_bcss
from fakes import cpm as fake_cpm
from fakes import cryonuseg as fake_cryonuseg
from fakes import dsb2018 as fake_dsb2018
from fakes import kumar as fake_kumar
from fakes import midogpp as fake_midogpp
from fakes import monusac as fake_monusac
from fakes import monuseg as fake_monuseg
from fakes import nucls as fake_nucls
from fakes import nuinsseg as fake_nuinsseg
from fakes import ocelot as fake_ocelot
from fakes import pannuke as fake_pannuke
from fakes import panoptils as fake_panoptils
from fakes import puma as fake_puma
from fakes import segpath as fake_segpath
from fakes import tnbc as fake_tnbc
from fakes import wsss4luad as fake_wsss4luad
from test_sources_colon import (  # the checks; they run here on the cases below
    Case,
    test_another_folder_says_what_is_expected_and_how_to_get_it,
    test_file_cut_short_is_named,
    test_image_without_companion_is_left_out_and_told,
    test_partial_source_harmonises_only_if_told_to,
    test_records_are_of_their_dataset,
    test_two_copies_are_refused,
    test_zip_folder_and_double_nesting_read_alike,
)

from cerberus_bench.loaders.reader import Reader
from cerberus_bench.loaders.sources import (
    bcss,
    cpm15,
    cpm17,
    cryonuseg,
    dsb2018,
    kumar,
    midogpp,
    monusac,
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

__all__ = [
    "test_another_folder_says_what_is_expected_and_how_to_get_it",
    "test_file_cut_short_is_named",
    "test_image_without_companion_is_left_out_and_told",
    "test_partial_source_harmonises_only_if_told_to",
    "test_records_are_of_their_dataset",
    "test_two_copies_are_refused",
    "test_zip_folder_and_double_nesting_read_alike",
]


def _case(
    reader: Reader,
    write: Callable[[Path], Path],
    n_images: int,
    *damaged: str,
    companion: str | None = None,
    sentence: str = "",
) -> Case:
    return Case(reader, write, n_images, companion, sentence, damaged)


_KUMAR = f"{fake_monuseg.TRAIN}/Annotations/{next(iter(fake_kumar.PARTS))}.xml"
_MONUSAC = next(iter(fake_monusac.RECORDS))
_BCSS = "0_Public-data-Amgad2019_0.25MPP"

CASES = {
    "kumar": _case(
        kumar.READER, fake_kumar.write, 3, _KUMAR, companion=_KUMAR, sentence="has no .xml"
    ),
    "pannuke": _case(
        pannuke.READER,
        fake_pannuke.write,
        6,
        "Fold 1/images/fold1/images.npy",
        "Fold 3/masks/fold3/masks.npy",
        "Fold 1/images/fold1/types.npy",
    ),
    "tnbc": _case(
        tnbc.READER,
        fake_tnbc.write,
        4,
        "TNBC_NucleiSegmentation/Slide_02/02_1.png",
        "TNBC_NucleiSegmentation/GT_02/02_1.png",
        companion="TNBC_NucleiSegmentation/GT_11/11_10.png",
        sentence="11_10 has no mask",
    ),
    "cryonuseg": _case(
        cryonuseg.READER,
        fake_cryonuseg.write,
        3,
        "tissue images/Human_Thymus_10.tif",
        f"{fake_cryonuseg.FIRST}/label masks modify/Human_Larynx_02.tif",
        companion=f"{fake_cryonuseg.FIRST}/label masks modify/Human_Larynx_02.tif",
        sentence="Human_Larynx_02 has no label mask",
    ),
    "nuinsseg": _case(
        nuinsseg.READER,
        fake_nuinsseg.write,
        3,
        "human bladder/tissue images/human_bladder_01.png",
        "human bladder/label masks modify/human_bladder_02.tif",
        "human bladder/vague areas/mask binary/human_bladder_01.png",
        companion="human bladder/label masks modify/human_bladder_01.tif",
        sentence="human_bladder-human_bladder_01 has no label mask",
    ),
    "monusac": _case(
        monusac.READER,
        fake_monusac.write,
        4,
        f"{_MONUSAC}.tif",
        f"{_MONUSAC}.xml",
        companion=f"{_MONUSAC}.xml",
        sentence="train_TCGA-A2-A0ES-01Z-00-DX1_1 has no .xml",
    ),
    "cpm15": _case(
        cpm15.READER,
        fake_cpm.write15,
        4,
        "cpm15/image01.png",
        "cpm15/image08_mask.txt",
        companion="cpm15/image01_mask.txt",
        sentence="image01 has no mask",
    ),
    "cpm17": _case(
        cpm17.READER,
        fake_cpm.write17,
        3,
        "cpm17/train/Images/image_01.png",
        "cpm17/test/Labels/image_00.mat",
        companion="cpm17/train/Labels/image_01.mat",
        sentence="train_image_01 has no .mat",
    ),
    "dsb2018": _case(
        dsb2018.READER,
        fake_dsb2018.write,
        2,
        f"stage1_train/{fake_dsb2018.COLOUR[0]}/images/{fake_dsb2018.COLOUR[0]}.png",
        f"stage1_train/{fake_dsb2018.COLOUR[1]}/masks/{1:064x}.png",
    ),
    "bcss": _case(
        bcss.READER,
        fake_bcss.write,
        3,
        f"{_BCSS}/rgbs_colorNormalized/{next(iter(fake_bcss.RECORDS))}.png",
        f"{_BCSS}/masks/{next(iter(fake_bcss.RECORDS))}.png",
        companion=f"{_BCSS}/masks/{next(iter(fake_bcss.RECORDS))}.png",
        sentence="TCGA-A2-A0SX-DX1_xmin53791_ymin56683_MPP-0.2500 has no mask",
    ),
    "nucls": _case(
        nucls.READER,
        fake_nucls.write,
        2,
        f"NuCLS/csv/{fake_nucls.RECORDS[0]}.csv",
        f"NuCLS/rgb/{fake_nucls.RECORDS[1]}.png",
        f"NuCLS/mask/{fake_nucls.RECORDS[0]}.png",
        companion=f"NuCLS/csv/{fake_nucls.RECORDS[0]}.csv",
        sentence=f"{fake_nucls.RECORDS[0]} has no .csv",
    ),
    "panoptils": _case(
        panoptils.READER,
        fake_panoptils.write,
        3,
        f"{fake_panoptils.BOOTSTRAP}/rgbs/{fake_panoptils.TILE}.png",
        f"{fake_panoptils.BOOTSTRAP}/masks/{fake_panoptils.OTHER}.png",
        f"{fake_panoptils.MANUAL}/csv/{fake_panoptils.TILE}.csv",
        companion=f"{fake_panoptils.MANUAL}/csv/{fake_panoptils.TILE}.csv",
        sentence=f"manual_{fake_panoptils.TILE} has no .csv",
    ),
    "puma": _case(
        puma.READER,
        fake_puma.write,
        2,
        f"{fake_puma.TIF}/{fake_puma.RECORDS[0]}.tif",
        f"{fake_puma.NUCLEI}/{fake_puma.RECORDS[1]}_nuclei.geojson",
        companion=f"{fake_puma.NUCLEI}/{fake_puma.RECORDS[1]}_nuclei.geojson",
        sentence="training_set_primary_roi_002 has no _nuclei.geojson",
    ),
    "ocelot": _case(
        ocelot.READER,
        fake_ocelot.write,
        4,
        f"{fake_ocelot.TOP}/images/train/cell/001.jpg",
        f"{fake_ocelot.TOP}/annotations/val/cell/401.csv",
        f"{fake_ocelot.TOP}/metadata.json",
        companion=f"{fake_ocelot.TOP}/annotations/val/cell/401.csv",
        sentence="401 has no .csv",
    ),
    "midogpp": _case(
        midogpp.READER, fake_midogpp.write, 3, "images/204.tiff", "databases/MIDOG++.json"
    ),
    "segpath": _case(
        segpath.READER,
        fake_segpath.write,
        3,
        f"panCK_Epithelium/{fake_segpath.RECORDS[2]}_HE.png",
        f"CD3CD20_Lymphocyte/{fake_segpath.RECORDS[1]}_mask.png",
        "CD3CD20_fileinfo.csv",
        companion=f"CD3CD20_Lymphocyte/{fake_segpath.RECORDS[1]}_mask.png",
        sentence=f"{fake_segpath.RECORDS[1]} has no _mask.png",
    ),
    "wsss4luad": _case(
        wsss4luad.READER,
        fake_wsss4luad.write,
        7,
        "1.training/436238-21989-63021-[0, 1, 0].png",
        "2.validation/mask/00.png",
        "3.testing/img/01.png",
        companion="2.validation/mask/00.png",
        sentence="validation_00 has no mask",
    ),
}


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> Case:
    return CASES[request.param]
