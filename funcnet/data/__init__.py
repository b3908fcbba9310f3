"""Data: sources as specs, and their preparation: splits and preprocessing."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from funcnet.data.array_files import (
        Hdf5 as Hdf5,
        Idx as Idx,
        Npy as Npy,
        Npz as Npz,
    )
    from funcnet.data.bundled import (
        BreastCancer as BreastCancer,
        Diabetes as Diabetes,
        Digits as Digits,
        Iris as Iris,
        NoisyDigits as NoisyDigits,
        Wine as Wine,
    )
    from funcnet.data.cat_images import CatImages as CatImages
    from funcnet.data.delimited import Csv as Csv
    from funcnet.data.generators import (
        Blobs as Blobs,
        Circles as Circles,
        Function as Function,
        HalfPlaneGrid as HalfPlaneGrid,
        Moons as Moons,
        NormalNoise as NormalNoise,
        Sine as Sine,
        Spirals as Spirals,
    )
    from funcnet.data.preparation import (
        Dataset as Dataset,
        Prepared as Prepared,
        prepare as prepare,
    )
    from funcnet.data.sources import (
        Arrays as Arrays,
        Frame as Frame,
        Source as Source,
        Table as Table,
    )
    from funcnet.data.split import Split as Split
    from funcnet.data.streams import Stream as Stream
    from funcnet.data.text import Text as Text
else:
    from funcnet import index

    _PLACES = index.places(index.SOURCES) | {
        "Source": "funcnet.data.sources",
        "Frame": "funcnet.data.sources",
        "Stream": "funcnet.data.streams",
        "Table": "funcnet.data.sources",
        "Dataset": "funcnet.data.preparation",
        "Prepared": "funcnet.data.preparation",
        "Split": "funcnet.data.split",
        "prepare": "funcnet.data.preparation",
    }
    __getattr__, __dir__, __all__ = index.lazily("funcnet.data", _PLACES)
