"""Run the ``bash`` blocks of Markdown files in order, each in one shell; stop at the first that fails.

    python3 .ci/readme.py README.md 1          the first block alone, as somebody would paste it
    python3 .ci/readme.py README.md 3- FILE…   the third and all after it, then every block of the other files

Blocks from the third on are run in the environment ``.venv``, as if it were activated. Other files that are
translations, such as ``data.zh.md``, are passed over: tests/test_guide.py finds the blocks of their originals in them.
"""

import os
import re
import subprocess
import sys
import time
from pathlib import Path


def run(page: str, block: str, env: dict[str, str]) -> None:
    """Run a block of a page; end with its exit status and text where it fails."""
    print("$ " + block.strip().replace("\n", "\n$ "), flush=True)
    begun = time.monotonic()
    command = ["bash", "-euo", "pipefail", "-c", block]
    status = subprocess.run(command, stdin=subprocess.DEVNULL, env=env).returncode
    if status:
        sys.exit(f"exit status {status} from this block of {page}:\n{block}")
    print(f"# {time.monotonic() - begun:.0f} s", flush=True)


first, which, *others = sys.argv[1:]
found = {
    page: re.findall(r"^```bash\n(.*?)^```", Path(page).read_text(encoding="utf-8"), re.M | re.S)
    for page in (first, *(page for page in others if not page.endswith(".zh.md")))
}
if not found[first]:
    sys.exit(f"{first} has no bash block")
if which.endswith("-"):
    env = os.environ | {"PATH": f"{Path('.venv/bin').absolute()}{os.pathsep}{os.environ['PATH']}"}
    found[first] = found[first][int(which[:-1]) - 1 :]
    for page, blocks in found.items():
        for block in blocks:
            run(page, block, env)
else:
    run(first, found[first][int(which) - 1], dict(os.environ))
