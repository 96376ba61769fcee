"""Text from outside (file names, error sentences, class names) made safe to show."""

import re

_SPECIAL = re.compile(r"([\\`*_{}\[\]()<>#+\-.!|~$:&^=])")
_LINE_BREAKS = re.compile(r"[\x00-\x1f\x7f\u2028\u2029]+")


def md_escape(text: object) -> str:
    r"""Return `text` as one line that Markdown shows exactly as it is.

    Streamlit's Markdown knows more than emphasis: `:red[...]` colours, `:material/...:`
    icons, `$...$` formulas, links and typographic arrows. All of it is escaped. Halves
    of characters, as odd file names have them, become question marks.

    Example:
        >>> md_escape("a_b.png: 3 * 4")
        'a\\_b\\.png\\: 3 \\* 4'
    """
    whole = str(text).encode("utf-8", "replace").decode()
    return _SPECIAL.sub(r"\\\1", _LINE_BREAKS.sub(" ", whole))


def slug(text: str) -> str:
    """Return `text` as letters, digits and dashes, for the name of a file.

    Example:
        >>> slug("run/coast 1")
        'run-coast-1'
    """
    return "".join(c if c.isascii() and c.isalnum() else "-" for c in text)


def plural(count: int, word: str, words: str | None = None) -> str:
    """Return `1 pair`, `2 pairs`, `1,200 pairs`.

    Example:
        >>> plural(1, "class", "classes"), plural(1200, "pair")
        ('1 class', '1,200 pairs')
    """
    return f"{count:,} {word if count == 1 else words or word + 's'}"


def duration(seconds: float) -> str:
    """Return a length of time as a person says it.

    Example:
        >>> duration(42.4), duration(130), duration(7260)
        ('42 s', '2 min 10 s', '2 h 1 min')
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"


def file_size(size_bytes: float) -> str:
    """Return a file size in decimal units.

    Example:
        >>> file_size(640), file_size(2_164_627)
        ('640 B', '2.2 MB')
    """
    for unit in ("B", "kB", "MB"):
        if size_bytes < 1000:
            digits = 0 if unit == "B" or size_bytes >= 100 else 1
            return f"{size_bytes:.{digits}f} {unit}"
        size_bytes /= 1000
    return f"{size_bytes:.1f} GB"
