"""The garbage collector leaves alone what collecting the tests made: else each collection looks through it again."""

import gc


def pytest_collection_finish() -> None:
    gc.collect()
    gc.freeze()
