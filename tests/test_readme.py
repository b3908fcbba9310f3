"""Every Python block of the README runs, in order, as one program."""

import re
from pathlib import Path

README = Path(__file__).parents[1] / "README.md"


def test_python_blocks_run(capsys):
    blocks = re.findall(r"^```python\n(.*?)^```", README.read_text(encoding="utf-8"), re.M | re.S)
    assert len(blocks) >= 8
    space = {"__name__": "readme"}
    for i, block in enumerate(blocks):
        exec(compile(block, f"README.md, block {i}", "exec"), space)
    printed = capsys.readouterr().out
    promised = re.findall(r"^ +# (\$\..*)$", README.read_text(encoding="utf-8"), re.M)
    assert len(promised) == 2
    for line in promised:
        assert line in printed
