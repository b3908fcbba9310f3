"""``funcnet show``, and what every invocation shares: whole tables and messages of real processes."""

import json
import os
import re
import shutil
import sys
from functools import partial

import numpy as np
import pytest

import funcnet as fn
from tests.cli import ROOT, SMALL, called, command, environment, funcnet, together

ONE = ("--batch", "1")

DIGITS = """\
input 64, batch of 1, float32
layer      type     output  parameters  forward FLOPs  backward FLOPs  activations
---------  -------  ------  ----------  -------------  --------------  -----------
dense_0    Dense        64       4,160          8,256           8,256        256 B
relu_0     Relu         64           0             64             128        256 B
dropout_0  Dropout      64           0              0              64        256 B
dense_1    Dense        64       4,160          8,256          16,448        256 B
relu_1     Relu         64           0             64             128        256 B
dropout_1  Dropout      64           0              0              64        256 B
head       Dense        10         650          1,290           2,570         40 B
---------  -------  ------  ----------  -------------  --------------  -----------
total                   10       8,970         17,930          27,658      1.58 kB
"""
NESTED = {
    "version": 1,
    "model": {
        "type": "serial",
        "layers": [
            {"type": "dense", "units": 1000, "name": "stem"},
            {
                "type": "residual",
                "layer": {"type": "serial", "layers": [{"type": "dense", "units": 1000}, "gelu", "batch_norm"]},
            },
            {"type": "branch", "name": "fork", "layers": [{"type": "dense", "units": 3}, "identity"]},
            "concat",
            {"type": "dense", "units": 2, "name": "head"},
        ],
    },
}
NESTED_TABLE = """\
input 2 x 5, batch of 1, float32
layer             type       output             parameters  forward FLOPs  backward FLOPs  activations
----------------  ---------  -----------------  ----------  -------------  --------------  -----------
stem              Dense      2 x 1000                6,000         22,000          22,000      8.00 kB
residual_0        Residual   2 x 1000            1,003,000      4,071,000       8,042,000     24.00 kB
  residual_0      Serial     2 x 1000            1,003,000      4,069,000       8,040,000     24.00 kB
    dense_0       Dense      2 x 1000            1,001,000      4,002,000       8,002,000      8.00 kB
    gelu_0        Gelu       2 x 1000                    0         56,000          14,000      8.00 kB
    batch_norm_0  BatchNorm  2 x 1000                2,000         11,000          24,000      8.00 kB
fork              Branch     (2 x 3, 2 x 1000)       3,003         12,006          26,006      8.02 kB
  dense_0         Dense      2 x 3                   3,003         12,006          24,006         24 B
  identity_0      Identity   2 x 1000                    0              0               0      8.00 kB
concat_0          Concat     2 x 1003                    0              0               0      8.02 kB
head              Dense      2 x 2                   2,008          8,028          16,052         16 B
----------------  ---------  -----------------  ----------  -------------  --------------  -----------
total                        2 x 2               1,014,011      4,113,034       8,106,058     48.06 kB
"""
SINGLE = """\
input 28 x 28 x 1, batch of 1, float32
layer    type     output  parameters  forward FLOPs  backward FLOPs  activations
-------  -------  ------  ----------  -------------  --------------  -----------
network  Flatten     784           0              0               0      3.14 kB
-------  -------  ------  ----------  -------------  --------------  -----------
total                784           0              0               0      3.14 kB
"""
RUN = """\
input 6, batch of 1, float32
layer    type   output  parameters  forward FLOPs  backward FLOPs  activations
-------  -----  ------  ----------  -------------  --------------  -----------
network  Dense       3          21             39              39         12 B
-------  -----  ------  ----------  -------------  --------------  -----------
total                3          21             39              39         12 B
"""
DIGITS_COST = """\
input 64, batch of 32, float32
layer      type     output  parameters  forward FLOPs  forward bytes  backward FLOPs  backward bytes
---------  -------  ------  ----------  -------------  -------------  --------------  --------------
dense_0    Dense        64       4,160        264,192         49,408         264,192          41,216
relu_0     Relu         64           0          2,048         16,384           4,096          45,056
dropout_0  Dropout      64           0              0              0           2,048          34,816
dense_1    Dense        64       4,160        264,192         49,408         526,336          73,984
relu_1     Relu         64           0          2,048         16,384           4,096          45,056
dropout_1  Dropout      64           0              0              0           2,048          34,816
head       Dense        10         650         41,280         14,632          82,240          25,384
---------  -------  ------  ----------  -------------  -------------  --------------  --------------
total                   10       8,970        573,760        146,216         885,056         300,328

pass             FLOPs  bytes moved  peak memory
--------  ------------  -----------  -----------
forward   573.76 kFLOP    146.22 kB     69.93 kB
"""
FLAT_COST = """\
input 28 x 28, batch of 7, float32
layer    type     output  parameters  forward FLOPs  forward bytes  backward FLOPs  backward bytes
-------  -------  ------  ----------  -------------  -------------  --------------  --------------
network  Flatten     784           0              0              0               0               0
-------  -------  ------  ----------  -------------  -------------  --------------  --------------
total                784           0              0              0               0               0

pass       FLOPs  bytes moved  peak memory
--------  ------  -----------  -----------
forward   0 FLOP     43.90 kB     43.90 kB
backward  0 FLOP          0 B     43.90 kB
"""
HINT = "such as --input 28,28,1"
ERRORS = {  # arguments to the whole message
    ("flat.json",): f"a model alone does not say what its input is; give the shape, {HINT}",
    ("flat.json", "--input", "28,a"): "--input: expected a shape such as 28,28,1, got '28,a'",
    ("flat.json", "--input", "0"): "--input: expected a shape such as 28,28,1, got '0'",
    ("flat.json", "--input", "-3"): "--input: expected a shape such as 28,28,1, got '-3'",
    ("flat.json", "--input", "²"): "--input: expected a shape such as 28,28,1, got '²'",
    ("flat.json", "--input", "3,,4"): "--input: expected a shape such as 28,28,1, got '3,,4'",
    ("digits_mlp.json", "--cost", "--batch", "0"): "--batch: expected a whole number of 1 or more, got '0'",
    ("digits_mlp.json", "--cost", "--batch", "1e3"): "--batch: expected a whole number of 1 or more, got '1e3'",
    ("loss.json",): "loss.json: expected an experiment or a model, got a loss",
    ("missing.json",): "missing.json: there is no such file",
    ("folder",): "folder: is a folder; expected a spec, a file of JSON, or the folder of a run",
    ("bad.json",): "bad.json: $.model.layers[0].type: unknown layer 'dens', did you mean 'dense'?",
    ("unfit.json",): (
        "head (Dense): expected an input with at least 1 axis after the batch axis, got shape (); "
        "give each sample an axis of features, also for a single one"
    ),
    ("no_data.json",): "nowhere.npz: there is no such file",
    ("a" * 300,): f"{'a' * 300}: the file cannot be read: File name too long",
}
UNCLEAR = {  # messages that may differ, as long as they are one
    "digits": ("flat.json", "--input", "9" * 5000),
    "deep": ("deep.json", "--input", "3"),
    "weights": ("weights.npz",),
}


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    folder = tmp_path_factory.mktemp("show")
    shutil.copy(ROOT / "specs" / "digits_mlp.json", folder)
    deep = "relu"
    for _ in range(250):
        deep = {"type": "residual", "layer": "relu", "projection": deep}
    small = json.loads(SMALL)
    head = small["model"]["layers"][-1]
    specs = {
        "nested": NESTED,
        "flat": {"model": "flatten"},
        "loss": {"loss": "huber"},
        "deep": {"model": deep},
        "bad": {"model": {"type": "serial", "layers": [{"type": "dens"}]}},
        "unfit": small | {"model": {"type": "serial", "layers": [{"type": "reshape", "shape": []}, head]}},
        "no_data": small | {"data": {"type": "npz", "path": "nowhere.npz"}},
    }
    specs["unfit"]["data"] = {"type": "arrays", "x": [[1]], "y": [0]}
    for name, content in specs.items():
        (folder / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")
    (folder / "folder").mkdir()
    np.savez(folder / "weights.npz", x=np.zeros(3))
    (folder / "data").mkdir()
    np.savez(folder / "data" / "set.npz", x=np.eye(6), y=np.arange(6) % 3)
    model, data = {"type": "dense", "units": 3}, {"type": "npz", "path": "set.npz"}
    (folder / "data" / "run.json").write_text(json.dumps(small | {"model": model, "data": data}), encoding="utf-8")
    full = small | {"model": model, "data": data, "training": {"epochs": 1, "batch_size": "full"}}
    (folder / "data" / "full.json").write_text(json.dumps(full), encoding="utf-8")
    experiment = fn.load_spec(folder / "data" / "run.json")
    fn.run(experiment, folder / "runs" / "run-1", base=folder / "data")
    show = partial(funcnet, folder, "show")
    calls = {
        "digits_mlp": partial(show, "digits_mlp.json", *ONE),
        "run": partial(show, os.path.join("runs", "run-1"), *ONE),
        "error json": partial(show, "missing.json", "--json"),
        "help": partial(funcnet, folder, "--help"),
        "train help": partial(funcnet, folder, "train", "--help"),
        "version": partial(funcnet, folder, "--version"),
        "imports": partial(funcnet, folder, "--help", PYTHONPROFILEIMPORTTIME="1"),
    }
    for encoding in ("gbk", "cp1252", "ascii"):
        calls[f"{encoding} digits_mlp"] = partial(show, "digits_mlp.json", *ONE, encoding=encoding)
        calls[f"{encoding} error"] = partial(show, "flat.json", "--input", "größe→", encoding=encoding)
    calls |= {f"unclear {name}": partial(show, *args) for name, args in UNCLEAR.items()}
    results, show = together(calls), partial(called, folder, "show")
    results |= {
        "digits_mlp input": show("digits_mlp.json", "--input", "10,64", *ONE),
        "nested": show("nested.json", "--input", "2x5", *ONE),
        "nested json": show("nested.json", "--input", "2,5", "--json", *ONE),
        "single": show("flat.json", "--input", "(28, 28, 1)", *ONE),
        "digits_mlp batch": show("digits_mlp.json"),
        "flat batch": show("flat.json", "--input", "3"),
        "full batch": show(os.path.join("data", "full.json")),
        "cost": show("digits_mlp.json", "--cost"),
        "cost json": show("digits_mlp.json", "--cost", "--batch", "100", "--json"),
        "cost of a model": show("flat.json", "--input", "28,28", "--cost", "--batch", "7"),
        "cost of all rows": show(os.path.join("data", "full.json"), "--cost"),
    }
    return results | {f"error {' '.join(args)}": show(*args) for args in ERRORS}


def test_show_prints_the_table_of_an_experiment(shown):
    assert shown["digits_mlp"] == (0, DIGITS, "")


def test_show_counts_the_batch_of_the_experiment(shown):
    assert shown["digits_mlp batch"].out.startswith("input 64, batch of 32, float32\n")
    assert shown["flat batch"].out.startswith("input 3, batch of 32, float32\n")
    assert shown["full batch"].out.startswith("input 6, batch of 6, float32\n")


def test_show_takes_another_input(shown):
    lines = shown["digits_mlp input"].out.split("\n")
    assert (shown["digits_mlp input"].status, shown["digits_mlp input"].err) == (0, "")
    assert lines[0] == "input 10 x 64, batch of 1, float32"
    assert lines[3].split() == ["dense_0", "Dense", "10", "x", "64", "4,160", "82,560", "82,560", "2.56", "kB"]
    assert lines[-2].split() == ["total", "10", "x", "10", "8,970", "179,300", "276,580", "15.76", "kB"]


def test_show_prints_nested_layers_indented(shown):
    assert shown["nested"] == (0, NESTED_TABLE, "")


def test_show_json_has_the_same_figures(shown):
    result = shown["nested json"]
    assert (result.status, result.err) == (0, "")
    table = json.loads(result.out)
    expected = fn.summary(fn.from_json(NESTED), (2, 5), 1)
    assert [table["input"], table["batch"], table["dtype"]] == [[2, 5], 1, "float32"]
    assert table["layers"] == [json.loads(json.dumps(line._asdict())) for line in expected]
    assert table["layers"][0] == {
        "path": "",
        "layer": "Serial",
        "depth": 0,
        "out_shape": [2, 2],
        "parameters": 1_014_011,
        "forward_flops": 4_113_034,
        "forward_bytes": 4_352_276,
        "backward_flops": 8_106_058,
        "backward_bytes": 8_564_276,
        "activation_bytes": 48_064,
    }


def test_show_prints_what_a_batch_costs(shown):
    experiment = fn.load_spec(ROOT / "specs" / "digits_mlp.json")
    cost = fn.cost(experiment.model, (64,), 32, experiment.loss, experiment.optimizer)
    result = shown["cost"]
    assert (result.status, result.err) == (0, "")
    assert result.out.startswith(DIGITS_COST)
    lines = result.out[len(DIGITS_COST) :].split("\n")
    assert [line.split() for line in lines] == [
        f"backward 886.98 kFLOP 317.10 kB {cost.backward.peak / 1e3:.2f} kB".split(),
        f"step {cost.step.flops / 1e6:.2f} MFLOP {cost.step.bytes / 1e6:.2f} MB {cost.step.peak / 1e3:.2f} kB".split(),
        [],
    ]


def test_show_prints_what_a_model_alone_costs(shown):
    assert shown["cost of a model"] == (0, FLAT_COST, "")


def test_show_reads_the_data_for_the_size_of_a_full_batch(shown):
    assert shown["cost of all rows"].out.split("\n")[0] == "input 6, batch of 6, float32"


def test_show_json_has_the_same_cost(shown):
    result = shown["cost json"]
    assert (result.status, result.err) == (0, "")
    experiment = fn.load_spec(ROOT / "specs" / "digits_mlp.json")
    cost = fn.cost(experiment.model, (64,), 100, experiment.loss, experiment.optimizer)
    assert json.loads(result.out) == {
        "input": [64],
        "batch": 100,
        "dtype": "float32",
        "layers": [json.loads(json.dumps(line._asdict())) for line in fn.summary(experiment.model, (64,), batch=100)],
        "forward": cost.forward._asdict(),
        "backward": cost.backward._asdict(),
        "step": cost.step._asdict(),
    }


def test_show_prints_a_single_layer(shown):
    assert shown["single"] == (0, SINGLE, "")


def test_show_prints_a_run_folder_whose_data_lie_elsewhere(shown):
    assert shown["run"] == (0, RUN, "")


@pytest.mark.parametrize("args", ERRORS, ids=lambda a: " ".join(a)[:40])
def test_show_errors_are_one_message(shown, args):
    assert shown[f"error {' '.join(args)}"] == (1, "", f"funcnet: {ERRORS[args]}\n")


@pytest.mark.parametrize("name", UNCLEAR)
def test_show_mistakes_never_end_in_a_traceback(shown, name):
    result = shown[f"unclear {name}"]
    assert (result.status, result.out) == (1, "")
    assert result.err.startswith("funcnet: ")
    assert result.err.count("\n") == 1


def test_show_error_as_json(shown):
    result = shown["error json"]
    assert (result.status, result.out) == (1, "")
    assert json.loads(result.err) == {"error": "SpecError", "message": "missing.json: there is no such file"}


@pytest.mark.parametrize("encoding", ["gbk", "cp1252", "ascii"])
def test_show_on_a_narrow_console(shown, encoding):
    assert shown[f"{encoding} digits_mlp"] == (0, DIGITS, "")
    expected = "funcnet: --input: expected a shape such as 28,28,1, got 'größe→'\n"
    assert shown[f"{encoding} error"] == (1, "", expected.encode(encoding, "replace").decode(encoding))


def on_a_terminal(cwd, width, *args, rich=True):
    """What the command prints on a terminal of some width, without colours."""
    import fcntl
    import pty
    import struct
    import subprocess
    import termios

    outside, inside = pty.openpty()
    fcntl.ioctl(inside, termios.TIOCSWINSZ, struct.pack("HHHH", 50, width, 0, 0))
    env = environment(PYTHONIOENCODING="utf-8", TERM="xterm", NO_COLOR="1")
    del env["COLUMNS"]
    whole = command(*args) if rich else [sys.executable, "-c", WITHOUT_RICH, *args]
    process = subprocess.Popen(whole, cwd=cwd, env=env, stdout=inside)
    os.close(inside)
    text = b""
    while True:
        try:
            part = os.read(outside, 4096)
        except OSError:  # Linux's way of saying that nobody writes any more
            break
        if not part:
            break
        text += part
    os.close(outside)
    assert process.wait(timeout=60) == 0
    return re.sub(r"\x1b\[[0-9;]*m", "", text.decode()).replace("\r\n", "\n")


WITHOUT_RICH = """
import sys
from funcnet.cli import console, main
console.has_rich = lambda: False
sys.exit(main(sys.argv[1:]))
"""
terminal = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo-terminals in the standard library")


def cells(text, marks="-─"):
    """The words of every line, rules and empty lines left out."""
    return [line.split() for line in text.split("\n") if line.strip() and line.strip()[0] not in marks]


@terminal
def test_show_on_a_terminal_draws_the_table_with_rich():
    pytest.importorskip("rich")  # an extra; without it a terminal shows the plain table
    found = on_a_terminal(ROOT / "specs", 100, "show", "digits_mlp.json", *ONE)
    assert "─" in found
    assert cells(found) == cells(DIGITS)


@terminal
@pytest.mark.parametrize("rich", [True, False])
def test_show_wraps_headers_first_where_the_terminal_is_narrow(rich):
    if rich:
        pytest.importorskip("rich")
    found = on_a_terminal(ROOT / "specs", 80, "show", "digits_mlp.json", *ONE, rich=rich)
    assert max(map(len, found.split("\n"))) <= 80
    assert ("─" in found) is rich
    assert cells(found)[3:] == cells(DIGITS)[2:]
    first, second = cells(found)[1:3]
    assert sorted(first + second) == sorted(cells(DIGITS)[1])


@terminal
@pytest.mark.parametrize("rich", [True, False])
@pytest.mark.parametrize("width", [80, 60, 40])
def test_show_cuts_no_name_where_the_terminal_is_narrow(width, rich):
    """Name and type stand in one column then, wrapped between words; every figure is there."""
    if rich:
        pytest.importorskip("rich")
    found = on_a_terminal(ROOT / "specs", width, "show", "digits_denoise_unet.json", *ONE, rich=rich)
    assert "…" not in found
    assert "2,196,768" in found
    assert "59,409" in found
    if width == 80:
        assert max(map(len, found.split("\n"))) <= 80
        words = found.split()
        for line in fn.summary(fn.load_spec(ROOT / "specs" / "digits_denoise_unet.json").model, (8, 8, 1), 1)[1:]:
            assert {line.path.rpartition("/")[2], line.layer, f"{line.forward_flops:,}"} <= set(words)


# ----- help and version -------------------------------------------------------------------------------------


def test_help_and_version(shown):
    for name in ("help", "train help"):
        assert (shown[name].status, shown[name].err) == (0, "")
        assert shown[name].out.startswith("usage: funcnet ")
    for name in ("train", "show", "list"):
        assert re.search(rf"^    {name} ", shown["help"].out, re.MULTILINE)
    for option in ("--out DIR", "--set PATH=VALUE", "--progress ", "--profile", "--json"):
        assert f"\n  {option}" in shown["train help"].out
    assert shown["version"] == (0, f"funcnet {fn.__version__}\n", "")


def test_help_imports_nothing_heavy(shown):
    imported = {line.rpartition("|")[2].strip() for line in shown["imports"].err.split("\n") if "|" in line}
    assert shown["imports"].status == 0
    assert {"argparse", "funcnet.cli"} <= imported
    assert not {name.partition(".")[0] for name in imported} & {"numpy", "attr", "attrs", "rich", "logging"}
