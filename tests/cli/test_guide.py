"""``funcnet guide``: every page, whole, on wide consoles and narrow ones."""

import json
import os
import re
import subprocess
import sys
from functools import partial

import pytest

from funcnet.cli.formulas import formulas_as_text
from tests.cli import ROOT, called, command, environment, funcnet, together

ENGLISH = {
    "concept": "Why three functions make a layer, and two layers make one",
    "course": "From scratch: one neuron to attention in eight pages",
    "course_1": "Course 1: One neuron by hand",
    "course_2": "Course 2: A layer and its vjp",
    "course_3": "Course 3: Activations, losses, and their edges",
    "course_4": "Course 4: A network is a composition",
    "course_5": "Course 5: Training as a pure step",
    "course_6": "Course 6: Batch norm and dropout",
    "course_7": "Course 7: A convolution by windows",
    "course_8": "Course 8: Attention",
    "loops": "Your loop here, the same in funcnet there",
    "loops_half_plane": "What is mini-batch size 1? A half-plane, one sample at a time",
    "loops_relu": "How does one differentiate ReLU? Two layers by hand",
    "loops_cat": "Why squared error here and cross-entropy there? Cat or not",
    "play": "Play: watch one step at a time",
    "algebra": "The algebra: networks as values, training as functions",
    "tables": "Tables: from a data frame to probabilities that can be trusted",
    "data": "Your own data",
    "networks": "Networks: graphs, blocks, surgery, steps",
    "training": "Training: a pure step, and what goes around it",
    "recipes": "Recipes: eight small programs to build on",
    "sklearn": "Estimators: networks in scikit-learn's pipelines and searches",
    "optimizers": "Optimizers: choosing, combining, writing one",
    "layer": "Writing a layer",
    "loss": "Writing a loss",
    "spec": "The spec format",
    "deploy": "A trained network elsewhere",
    "speed": "Speed, and what compiling promises",
    "trust": "What is promised, and how it is tested",
    "experiments": "The shipped experiments",
    "reference": "Reference: every name by kind",
    "errors": "Errors by their text",
}
CHINESE = {
    "README.zh": "funcnet 中文说明",
    "concept.zh": "一个层为什么只需三个函数，两个层又怎样合成一个层",
    "course.zh": "从零开始：八页从一个神经元到注意力",
    "course_1.zh": "课程 1：手算一个神经元",
    "course_2.zh": "课程 2：一个层和它的 vjp",
    "course_3.zh": "课程 3：激活函数、损失和它们的边界",
    "course_4.zh": "课程 4：网络是复合",
    "course_5.zh": "课程 5：训练是纯函数的一步",
    "course_6.zh": "课程 6：批归一化和 dropout",
    "course_7.zh": "课程 7：用窗口做卷积",
    "course_8.zh": "课程 8：注意力",
    "loops.zh": "你手写的循环，用 funcnet 怎么写",
    "loops_half_plane.zh": "小批量大小为 1 是什么意思？半平面，每次一个样本",
    "loops_relu.zh": "ReLU 怎么求导？手写两层网络",
    "loops_cat.zh": "为什么那里用平方误差，这里用交叉熵？是不是猫",
    "play.zh": "Play：一步一步地看训练",
    "algebra.zh": "代数：网络是值，训练是函数",
    "tables.zh": "表格：从数据框到可信的概率",
    "data.zh": "使用自己的数据",
    "networks.zh": "网络：图、模块、改造、逐步运行",
    "training.zh": "训练：纯函数的一步，以及它周围的一切",
    "recipes.zh": "配方：八个可以接着改的小程序",
    "sklearn.zh": "估计器：在 scikit-learn 的流水线和搜索中使用网络",
    "optimizers.zh": "优化器：选择、组合、自己写",
    "layer.zh": "自己写层",
    "loss.zh": "自己写损失",
    "spec.zh": "spec 的格式",
    "deploy.zh": "把训练好的网络带到别处",
    "speed.zh": "速度，以及编译承诺了什么",
    "trust.zh": "承诺了什么，怎样检验",
    "experiments.zh": "自带的实验",
    "reference.zh": "参考：按种类列出所有的名字",
    "errors.zh": "按原文查错误",
}
NARROW = dict.fromkeys(CHINESE, "in the language 'zh'")
PAGES = [*ENGLISH, *CHINESE]
LISTED = "'funcnet guide' lists the pages"
CHINA = {"LANGUAGE": "", "LC_ALL": "", "LC_MESSAGES": "", "LANG": "zh_CN.UTF-8"}
ENCODINGS = ("ascii", "cp1252", "gbk")


def lines(titles):
    """The list of pages as it is printed."""
    width = max(map(len, titles))
    return "".join(f"{name:{width}}  {title}\n" for name, title in titles.items())


def page(name):
    return (ROOT / "funcnet" / "guide" / f"{name}.md").read_text(encoding="utf-8")


def shown(name):
    """The page as it is printed: formulas as text, pictures by what they show and where they are."""
    folder = ROOT / "funcnet" / "guide"
    return re.sub(
        '<img src="(.*?)" alt="(.*?)".*?>',
        lambda image: f"[{image[2]}: {folder / image[1]}]",
        formulas_as_text(page(name)),
    )


@pytest.fixture(scope="module")
def guide(tmp_path_factory):
    empty = tmp_path_factory.mktemp("empty")  # pages are found wherever the command runs
    guide = partial(called, empty, "guide")
    results = {name: guide(name) for name in PAGES} | {f"{name} raw": guide(name, "--markdown") for name in PAGES}
    results |= {
        "zh": guide("--lang", "zh"),
        "fr": guide("--lang", "fr"),
        "concept zh": guide("concept", "--lang", "zh"),
        "concept en": guide("concept", "--lang", "en"),
        "concept.zh zh": guide("concept.zh", "--lang", "zh"),
        "lops zh": guide("lops", "--lang", "zh"),
        "unknown": guide("lops"),
        "Softmax": guide("Softmax"),
        "Palmer": guide("Palmer"),
        "no word": guide("qqqq"),
        "empty": guide(""),
        "unknown json": guide("../data/ORIGIN", "--json"),
    }
    calls = {
        "": partial(funcnet, empty, "guide"),
        "json": partial(funcnet, empty, "guide", "--json"),
        "page json": partial(funcnet, empty, "guide", "loops.zh", "--json", encoding="ascii"),
    }
    for name, args in {
        "": (),
        "concept": ("concept",),
        "README": ("README",),
        "en": ("concept", "--lang", "en"),
    }.items():
        calls[f"in China {name}"] = partial(funcnet, empty, "guide", *args, **CHINA)
    calls["in China narrow"] = partial(funcnet, empty, "guide", encoding="cp1252", **CHINA)
    calls["in China concept narrow"] = partial(funcnet, empty, "guide", "concept", encoding="cp1252", **CHINA)
    calls["in China json"] = partial(funcnet, empty, "guide", "--json", **CHINA)
    calls["in China page json"] = partial(funcnet, empty, "guide", "concept", "--json", **CHINA)
    for encoding in ENCODINGS:
        calls[encoding] = partial(funcnet, empty, "guide", encoding=encoding)
        calls[f"errors {encoding}"] = partial(funcnet, empty, "guide", "errors", encoding=encoding)
        calls[f"concept.zh {encoding}"] = partial(funcnet, empty, "guide", "concept.zh", encoding=encoding)
    return results | together(calls)


def test_list_has_a_line_for_each_page(guide):
    assert guide[""] == (0, lines(ENGLISH | CHINESE), "")
    assert guide["zh"] == (0, lines(CHINESE), "")
    assert json.loads(guide["json"].out) == {"pages": ENGLISH | CHINESE}


@pytest.mark.parametrize("name", PAGES)
def test_page_is_printed_whole(guide, name):
    assert guide[f"{name} raw"] == (0, page(name), "")
    assert guide[name] == (0, shown(name), "")
    assert "$$" not in guide[name].out
    for picture in re.findall(r"(?<=: )/\S+\.svg(?=\])", guide[name].out):
        assert os.path.isfile(picture)


def test_language(guide):
    assert guide["concept zh"] == guide["concept.zh zh"] == guide["concept.zh"]
    assert guide["concept en"] == guide["concept"]
    assert json.loads(guide["page json"].out) == {"page": "loops.zh", "text": page("loops.zh")}


def test_locale_chooses_the_language(guide):
    """Where the page is translated and the console can show it; ``--lang`` goes before it."""
    assert guide["in China concept"] == guide["concept.zh"]
    assert guide["in China README"] == guide["README.zh"]
    assert guide["in China en"] == guide["concept"]
    assert guide["in China concept narrow"].out == guide["concept"].out.encode("cp1252", "replace").decode("cp1252")
    translated = {name: f"{name}.zh" if f"{name}.zh" in CHINESE else name for name in ("README", *ENGLISH)}
    titles = ENGLISH | CHINESE
    assert guide["in China "] == (0, lines({name: titles[name] for name in translated.values()}), "")
    assert guide["in China narrow"] == guide["cp1252"]
    assert guide["in China json"] == guide["json"]
    assert json.loads(guide["in China page json"].out)["page"] == "concept.zh"


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_narrow_console(guide, encoding):
    """What is missing of an English page are three dots; a Chinese one without its characters is refused."""
    assert guide[encoding] == (0, lines(ENGLISH | (CHINESE if encoding == "gbk" else NARROW)), "")
    assert guide[f"errors {encoding}"] == (0, shown("errors").encode(encoding, "replace").decode(encoding), "")
    result = guide[f"concept.zh {encoding}"]
    if encoding == "gbk":
        assert result == (0, shown("concept.zh"), "")
        return
    file = ROOT / "funcnet" / "guide" / "concept.zh.md"
    cannot = f"the output's encoding, {encoding}, cannot show the page 'concept.zh'"
    assert result == (1, "", f"funcnet: guide: {cannot}; set PYTHONIOENCODING=utf-8, or read {file}\n")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("unknown", f"unknown page 'lops', did you mean 'loops'?; {LISTED}"),
        ("lops zh", f"unknown page 'lops.zh', did you mean 'loops.zh'?; {LISTED}"),
        ("Palmer", f"unknown page 'Palmer', did you mean 'algebra'?; tables mentions it; {LISTED}"),
        ("no word", f"unknown page 'qqqq'; {LISTED}"),
        ("empty", f"unknown page ''; {LISTED}"),
        ("fr", "no page is written in 'fr'; there are en, zh"),
    ],
)
def test_unknown_page(guide, call, message):
    assert guide[call] == (1, "", f"funcnet: guide: {message}\n")


def test_pages_that_mention_an_unknown_topic_most_are_named(guide):
    topics = re.fullmatch(r"funcnet: guide: unknown page 'Softmax'; (.+) mention it; .*\n", guide["Softmax"].err)
    counts = [
        sum(page(name).lower().count("softmax") for name in (topic, f"{topic}.zh")) for topic in topics[1].split(", ")
    ]
    assert len(counts) == 3
    assert counts == sorted(counts, reverse=True)
    assert counts[0] > 20


def test_unknown_page_as_json(guide):
    result = guide["unknown json"]
    message = f"guide: unknown page '../data/ORIGIN'; {LISTED}"
    assert (result.status, result.out) == (1, "")
    assert json.loads(result.err) == {"error": "SpecError", "message": message}


PSEUDO_TERMINALS = pytest.mark.skipif(
    sys.platform == "win32", reason="Windows has no pseudo-terminals in the standard library"
)


def on_a_terminal(cwd, *args):
    """The text that the command writes to a terminal of 200 columns, without colours."""
    import pty

    outside, inside = pty.openpty()
    env = environment(PYTHONIOENCODING="utf-8", TERM="xterm", NO_COLOR="1", COLUMNS="200")
    process = subprocess.Popen(command("guide", *args), cwd=cwd, env=env, stdout=inside)
    os.close(inside)
    text = b""
    while part := _read(outside):
        text += part
    os.close(outside)
    assert process.wait(timeout=60) == 0
    return re.sub(r"\x1b\[[0-9;]*m", "", text.decode()).replace("\r\n", "\n")


@PSEUDO_TERMINALS
def test_terminal_gets_the_page_set_in_type(tmp_path):
    pytest.importorskip("rich")  # an extra; without it a terminal shows the Markdown
    shown = on_a_terminal(tmp_path, "deploy")
    assert "A trained network elsewhere" in shown
    assert "fn.save" in shown
    assert "`" not in shown
    assert "## " not in shown
    assert max(len(line.rstrip()) for line in shown.split("\n")) <= 100


@PSEUDO_TERMINALS
def test_terminal_gets_formulas_as_text(tmp_path):
    """With and without ``rich``."""
    shown = on_a_terminal(tmp_path, "optimizers", "--lang", "zh")
    assert re.search(r"^ *p = p - rate / sqrt\(t \+ 1\) \* g / \(\|g\| \+ eps\) *$", shown, re.M)
    assert "$$" not in shown


@PSEUDO_TERMINALS
def test_terminal_gets_whole_cells_of_a_table(tmp_path):
    """Also where a line has no spaces to break it at, as in Chinese."""
    shown = on_a_terminal(tmp_path, "training.zh")
    row = re.search(r"^\| `preprocess.json` \| (.*) \|$", page("training.zh"), re.M)
    assert re.sub(r"[\s`]", "", row[1]) in re.sub(r"[\s`]", "", shown)


@PSEUDO_TERMINALS
def test_terminal_gets_chinese_without_spaces_where_lines_end(tmp_path):
    pytest.importorskip("rich")
    said = "损失是正确类别"
    assert f"\n{said}" in page("course_3.zh")
    assert f"， {said}" not in on_a_terminal(tmp_path, "course_3.zh")


def _read(terminal):
    try:
        return os.read(terminal, 4096)
    except OSError:  # Linux's way of saying that nobody writes any more
        return b""
