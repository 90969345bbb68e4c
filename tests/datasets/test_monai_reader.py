"""Data sets in MONAI's pipelines: LoadImaged reads k-space with its header's meaning, and nothing that names a patient."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from monai.transforms import LoadImage, LoadImaged

from halfscan.bench.errors import HalfscanError
from halfscan.datasets.fastmri import FastMri
from halfscan.datasets.monai_reader import KSpaceReader

from ..conftest import phantom
from .writing_fastmri import write

# MONAI tries all of its own readers first, one of which warns of a plug-in that it can't find.
pytestmark = pytest.mark.filterwarnings("ignore:NvImgCodecPydicomReader")


def test_monai_loads_kspace_with_what_the_header_says(tmp_path: Path) -> None:
    kspace = phantom()[2].numpy()
    path = write(tmp_path, kspace, "DOE_JOHN", padding=(5, 5), phi="Doe^John")
    loaded = LoadImaged("kspace", reader=KSpaceReader(FastMri(path="")), image_only=True, dtype=np.complex64)(
        {"kspace": str(path)}
    )["kspace"]
    assert np.array_equal(loaded.numpy(), kspace)
    assert loaded.meta["timing"]["tr_s"] == 2.8
    assert loaded.meta["acquired"].sum() == kspace.shape[2]
    kept = {key: value for key, value in loaded.meta.items() if key != "filename_or_obj"}  # the path is the caller's own
    assert "DOE" not in repr(kept).upper()


def test_settings_of_the_data_set_hold(tmp_path: Path) -> None:
    path = write(tmp_path, phantom(slices=5)[2].numpy(), padding=(5, 5))
    loaded = LoadImage(reader=KSpaceReader(FastMri(path="", padding="keep", max_slices=2)), image_only=True, dtype=np.complex64)(
        str(path)
    )
    assert loaded.shape == (2, 6, 58, 40)


def test_a_path_of_several_volumes_is_refused(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write(tmp_path, phantom()[2].numpy(), name)
    reader = KSpaceReader(FastMri(path=""))
    with pytest.raises(HalfscanError, match="2 volumes and an image is one"):
        reader.get_data(reader.read(str(tmp_path)))
