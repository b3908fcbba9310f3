"""Data: sources as specs, and their preparation: splits and preprocessing."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from funcnet.data.bundled import (
        Digits as Digits,
        Iris as Iris,
        NoisyDigits as NoisyDigits,
    )
    from funcnet.data.cat_images import CatImages as CatImages
    from funcnet.data.generators import (
        Function as Function,
        HalfPlaneGrid as HalfPlaneGrid,
        Moons as Moons,
        NormalNoise as NormalNoise,
    )
    from funcnet.data.preparation import (
        Dataset as Dataset,
        Prepared as Prepared,
        prepare as prepare,
    )
    from funcnet.data.sources import (
        Arrays as Arrays,
        Npz as Npz,
        Source as Source,
        Table as Table,
    )
    from funcnet.data.split import Split as Split
    from funcnet.data.text import Text as Text
else:
    from funcnet import index

    _PLACES = index.places(index.SOURCES) | {
        "Source": "funcnet.data.sources",
        "Table": "funcnet.data.sources",
        "Dataset": "funcnet.data.preparation",
        "Prepared": "funcnet.data.preparation",
        "Split": "funcnet.data.split",
        "prepare": "funcnet.data.preparation",
    }
    __getattr__, __dir__, __all__ = index.lazily("funcnet.data", _PLACES)
