"""Texts that anyone may have written, made fit to be shown.

A name can carry what moves the cursor, erases the screen, turns the direction of reading, or is half of a
character that no file can hold. None of it is ever needed to read the name.
"""

__all__ = ["printable"]


def printable(text: object, keep: str = "") -> str:
    r"""A text in which every character that cannot be printed is U+FFFD.

    Arguments:
        text: The text.
        keep: Such characters that stay: "\n" where lines are meant.

    Example:
        >>> printable("a\x1b[2J\u202eb\udcff\n") == "a\ufffd[2J\ufffdb\ufffd\ufffd"
        True
    """
    shown = str(text)
    if shown.isprintable():
        return shown
    return "".join(c if c.isprintable() or c in keep else "\ufffd" for c in shown)
