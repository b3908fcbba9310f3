"""Small runs of every kind, with names that try to break out, for the tests of their reports."""

import datetime
import html
import re
from pathlib import Path

import numpy as np

import funcnet as fn
from funcnet import data, losses, metrics, optim
from funcnet.experiments.folder import REPORT

HOSTILE = [
    "<script>alert(1)</script>",
    "]]>\"'&amp;",
    "\u202egnp",
    "a\nb\t\x1b[31m",
    "</style><img src=x onerror=alert(1)>",
]
COLUMNS = ["<b onmouseover=alert(2)>x</b>", "面积（平方米）", "العمود 🎉"]


def table(rows: int = 120) -> dict[str, list]:
    """Numbers, a category, a date and a class, all with such names; the class follows the first number."""
    draws = fn.Key(3).normal((rows, len(COLUMNS)))
    found: dict[str, list] = {name: draws[:, i].tolist() for i, name in enumerate(COLUMNS)}
    found["城区"] = [("东城区", "西城区", "<i>")[i % 3] for i in range(rows)]
    found["日期"] = [str(datetime.date(2020, 1 + i % 12, 1 + i % 28)) for i in range(rows)]
    found["<i>等级</i>"] = [HOSTILE[min(4, int(abs(x) * 3))] for x in found[COLUMNS[0]]]
    return found


def training(epochs: int = 25) -> fn.Training:
    return fn.Training(epochs=epochs, batch_size=16)


def hostile(folder: Path) -> fn.Run:
    """A classifier of a table in memory."""
    source = data.Columns(
        "<i>等级</i>",
        categorical=("城区",),
        dates=("日期",),
        split=data.Split(validation=0.1, test=0.3, stratify=True),
        scale="standard",
    )
    experiment = fn.Experiment(
        data=source,
        model=fn.serial(fn.Dense(16), fn.Relu(), fn.Dense(5)),
        loss=losses.SoftmaxCrossEntropy(),
        metrics=(metrics.Accuracy(),),
        optimizer=optim.Adam(0.02),
        training=training(),
    )
    return fn.run(experiment, folder, data=table(), baseline=True)


def numbers(folder: Path) -> fn.Run:
    """A regression with scaled targets."""
    experiment = fn.Experiment(
        data=data.Diabetes(split=data.Split(test=0.2), scale="standard", target_scale="standard"),
        model=fn.serial(fn.Dense(8), fn.Tanh(), fn.Dense(1)),
        loss=losses.MeanSquaredError(),
        metrics=(metrics.RMSE(), metrics.R2()),
        optimizer=optim.Adam(0.01),
        training=training(10),
    )
    return fn.run(experiment, folder, baseline=True)


def plane(folder: Path, seed: int = 0, units: int = 8) -> fn.Run:
    """A classifier of points, with a picture of the plane."""
    experiment = fn.Experiment(
        seed=seed,
        data=data.Moons(split=data.Split(test=0.2)),
        model=fn.serial(fn.Dense(units), fn.Tanh(), fn.Dense(2)),
        loss=losses.SoftmaxCrossEntropy(),
        metrics=(metrics.Accuracy(),),
        optimizer=optim.Adam(0.02),
        training=training(4),
    )
    return fn.run(experiment, folder)


def images(folder: Path) -> fn.Run:
    """Images from images."""
    experiment = fn.Experiment(
        data=data.NoisyDigits(split=data.Split(test=0.1)),
        model=fn.serial(fn.Conv2D(2, 3), fn.Relu(), fn.Conv2D(1, 3)),
        loss=losses.MeanSquaredError(),
        optimizer=optim.Adam(0.01),
        training=fn.Training(epochs=1, batch_size=128),
    )
    return fn.run(experiment, folder)


def steps(folder: Path) -> fn.Run:
    """The next character at each step of a text."""
    x = (np.arange(40)[:, None] + np.arange(6)) % 5
    (folder.parent / "letters.txt").write_text("".join("ab <\n"[i] for i in x.ravel()), encoding="utf-8")
    experiment = fn.Experiment(
        data=data.Text(path="letters.txt", length=6, split=data.Split(test=0.2)),
        model=fn.serial(fn.Embedding(96, 4), fn.Dense(96)),
        loss=losses.SoftmaxCrossEntropy(),
        metrics=(metrics.Accuracy(),),
        optimizer=optim.Adam(0.05),
        training=training(5),
    )
    return fn.run(experiment, folder, base=folder.parent)


KINDS = {"hostile": hostile, "numbers": numbers, "plane": plane, "images": images, "steps": steps}


def text_of(folder):
    return (folder / REPORT).read_text(encoding="utf-8")


def plain(text):
    """The text that a reader sees."""
    return html.unescape(re.sub(r"<[^>]*>", "", text))


def rows_of(text, caption):
    """The rows of the table whose caption begins so."""
    found = text[text.index(f"<caption>{html.escape(caption)}") :]
    found = found[: found.index("</table>")]
    return [[plain(cell) for cell in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row)] for row in found.split("<tr")[1:]]
