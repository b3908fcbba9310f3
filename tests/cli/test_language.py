"""The languages that an environment asks for."""

import locale

import pytest

from funcnet.cli.language import language, preferred


@pytest.mark.parametrize(
    ("environ", "languages"),
    [
        ({"LANG": "zh_CN.UTF-8"}, ["zh", "en"]),
        ({"LANG": "zh_TW"}, ["zh", "en"]),
        ({"LANG": "en_GB.UTF-8"}, ["en"]),
        ({"LANG": "de_DE@euro"}, ["de", "en"]),
        ({"LC_ALL": "zh_CN", "LANG": "en_US"}, ["zh", "en"]),
        ({"LC_ALL": "", "LC_MESSAGES": "en_US", "LANG": "zh_CN"}, ["en"]),
        ({"LC_CTYPE": "zh_CN", "LANG": "en_US"}, ["en"]),  # it is about characters alone
        ({"LANGUAGE": "zh_CN:en", "LANG": "en_US"}, ["zh", "en"]),
        ({"LANGUAGE": "en:zh", "LANG": "zh_CN"}, ["en"]),
        ({"LANGUAGE": "fr:zh", "LANG": "de_DE"}, ["fr", "zh", "de", "en"]),
        ({"LANGUAGE": "", "LANG": "zh_CN"}, ["zh", "en"]),
        ({"LANGUAGE": "zh", "LANG": "C"}, ["en"]),
        ({"LANGUAGE": "zh", "LC_ALL": "POSIX", "LANG": "zh_CN"}, ["en"]),
        ({"LANGUAGE": ":\0:zh\udcff:..", "LANG": "中文.UTF-8"}, ["en"]),
    ],
)
def test_variables(environ, languages):
    assert preferred(environ) == languages


@pytest.mark.parametrize(
    ("known", "languages"),
    [
        ("Chinese (Simplified)_China", ["zh", "en"]),
        ("zh_CN", ["zh", "en"]),
        ("English_United States", ["en"]),
        (None, ["en"]),
    ],
)
def test_without_variables_the_system_is_asked(monkeypatch, known, languages):
    monkeypatch.setattr(locale, "getlocale", lambda: (known, None))
    assert preferred({}) == languages
    assert preferred({"LANG": "de"}) == ["de", "en"]
    assert preferred({"LANGUAGE": "zh"}) == ["zh", "en"]


def test_a_locale_that_python_does_not_know(monkeypatch):
    def fails():
        raise ValueError("unknown locale: UTF-8")

    monkeypatch.setattr(locale, "getlocale", fails)
    assert preferred({}) == ["en"]


def test_the_environment_is_the_process_s(monkeypatch):
    for name in ("LANGUAGE", "LC_ALL", "LC_MESSAGES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LANG", "zh_CN.UTF-8")
    assert preferred() == ["zh", "en"]


def test_names_of_locales():
    names = {"zh-Hans-CN": "zh", "ZH": "zh", "C.UTF-8": None, "POSIX": None, "": None, "sr_RS@latin": "sr"}
    assert {name: language(name) for name in names} == names
