"""What devices say, where people read it line by line."""


def printable(text: str, most: int = 64) -> str:
    r"""The beginning of a text in which nothing can move a cursor, end a line, or turn the direction of writing.

    >>> printable("camera 3")
    'camera 3'
    >>> print(printable("a\x1b[2J\nforged"))
    a\x1b[2J\nforged
    """
    text = text[:most]
    return text if text.isprintable() else "".join(one if one.isprintable() else repr(one)[1:-1] for one in text)
