"""TCGA barcodes: a patient has the same name in every dataset, so that their groups meet."""

import re

_PATIENT = re.compile(r"TCGA-[A-Z0-9]{2}-[A-Z0-9]{4}", re.IGNORECASE)


def group_of(name: str, otherwise: str) -> tuple[str, str]:
    """Group and its level of an image, from the barcode in its name.

    Args:
        name: file or slide name, such as `TCGA-A2-A0ES-01Z-00-DX1_3`.
        otherwise: group of an image whose name holds no barcode.

    Returns:
        `tcga/<first three fields>` and patient, or `otherwise` and image.
    """
    patient = _PATIENT.search(name)
    return (f"tcga/{patient[0].upper()}", "patient") if patient else (otherwise, "image")
