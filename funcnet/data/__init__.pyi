from funcnet.data.augmentation import (
    Augmentation as Augmentation,
    Jitter as Jitter,
    Mixup as Mixup,
    RandomCrop as RandomCrop,
    RandomFlip as RandomFlip,
    RandomShift as RandomShift,
)
from funcnet.data.lazy_array import Stream as Stream
from funcnet.data.preparation import (
    Dataset as Dataset,
    Prepared as Prepared,
    prepare as prepare,
)
from funcnet.data.sources.arrays import Npy as Npy, Npz as Npz
from funcnet.data.sources.base import (
    Arrays as Arrays,
    Frame as Frame,
    Source as Source,
    Table as Table,
)
from funcnet.data.sources.bundled import (
    BreastCancer as BreastCancer,
    Diabetes as Diabetes,
    Digits as Digits,
    Iris as Iris,
    NoisyDigits as NoisyDigits,
    Wine as Wine,
    penguins as penguins,
)
from funcnet.data.sources.cat_images import CatImages as CatImages
from funcnet.data.sources.csv import Csv as Csv
from funcnet.data.sources.generators import (
    Blobs as Blobs,
    Circles as Circles,
    Function as Function,
    HalfPlaneGrid as HalfPlaneGrid,
    Moons as Moons,
    NormalNoise as NormalNoise,
    Sine as Sine,
    Spirals as Spirals,
)
from funcnet.data.sources.hdf5 import Hdf5 as Hdf5
from funcnet.data.sources.idx import Idx as Idx
from funcnet.data.sources.table import Columns as Columns
from funcnet.data.sources.text import Text as Text
from funcnet.data.split import Split as Split
