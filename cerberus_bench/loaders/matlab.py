"""MATLAB files of annotations."""

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cerberus_bench.loaders.instances import as_ids
from cerberus_bench.schema.errors import DataError


def read_matlab(data: bytes, name: str, variables: Sequence[str]) -> dict[str, Any]:
    """The named variables of a .mat file, as far as they are there.

    Raises:
        DataError: the bytes are no .mat file of version 4 to 7.2, or are damaged.
    """
    from scipy.io import loadmat

    file: Any = io.BytesIO(data)  # scipy's stubs know paths only
    try:
        return dict(loadmat(file, variable_names=tuple(variables)))
    except Exception as error:  # the parser has no error of its own: damaged bytes raise anything
        raise DataError(
            f"{name} is no readable .mat file ({error}). It is damaged or cut short: obtain it"
            " again."
        ) from None


def label_map(variables: dict[str, Any], key: str, name: str) -> NDArray[np.int32]:
    """A variable that is an (H, W) map of ids, whatever number type it is stored in.

    Raises:
        DataError: the variable is not there, or is no map of non-negative whole numbers.
    """
    if key not in variables:
        raise DataError(f"{name} has no {key}; take the .mat file that the source distributes")
    return as_ids(np.asarray(variables[key]), f"{name}: {key}")
