"""Run every ``bash`` block of a Markdown file in order, each in one shell; stop at the first that fails."""

import re
import subprocess
import sys
from pathlib import Path

blocks = re.findall(r"^```bash\n(.*?)^```", Path(sys.argv[1]).read_text(encoding="utf-8"), re.M | re.S)
if not blocks:
    sys.exit(f"{sys.argv[1]} has no bash block")
for block in blocks:
    print("$ " + block.strip().replace("\n", "\n$ "), flush=True)
    status = subprocess.run(["bash", "-euo", "pipefail", "-c", block], stdin=subprocess.DEVNULL).returncode
    if status:
        sys.exit(f"exit status {status} from this block of {sys.argv[1]}:\n{block}")
