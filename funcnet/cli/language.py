"""The languages that the user's environment asks for, the preferred one first."""

from __future__ import annotations

import contextlib
import locale
import os
from collections.abc import Mapping

DEFAULT = "en"
"""The language of every page, and of the locales C and POSIX"""


def preferred(environ: Mapping[str, str] | None = None) -> list[str]:
    """The languages in order of preference, in two or three letters, ending in English.

    The locale is the first of ``LC_ALL``, ``LC_MESSAGES`` and ``LANG`` that is set, else that of the system, which
    is how Windows says it. ``LANGUAGE`` may list several, ``zh_CN:fr``, and goes before it, except in the locales C
    and POSIX, as in gettext.
    """
    environ = os.environ if environ is None else environ
    named = next((environ[name] for name in ("LC_ALL", "LC_MESSAGES", "LANG") if environ.get(name)), None)
    known = language(_system() if named is None else named)
    listed = [] if named is not None and known is None else environ.get("LANGUAGE", "").split(":")
    found = [one for one in dict.fromkeys((*map(language, listed), known, DEFAULT)) if one is not None]
    return found[: found.index(DEFAULT) + 1]


def language(name: str) -> str | None:
    """The language of a locale such as ``zh_CN.UTF-8``, ``zh-Hans`` or Windows' ``Chinese (Simplified)_China.936``.

    None for C, POSIX and a name without a language.
    """
    word = name.replace("-", "_").partition(".")[0].partition("@")[0].partition("_")[0].partition(" ")[0].lower()
    word = {"chinese": "zh", "english": "en"}.get(word, word)
    return word if word.isascii() and word.isalpha() and 2 <= len(word) <= 3 else None


def _system() -> str:
    with contextlib.suppress(ValueError):  # a locale that Python does not know
        return locale.getlocale()[0] or ""
    return ""
