"""Lets public names say where they are imported from, in tracebacks, `repr` and documentation."""

from collections.abc import Iterable, Mapping


def show_as_ours(namespace: Mapping[str, object], names: Iterable[str]) -> None:
    """Rewrite `__module__` of what lives in a private module of this package.

    Args:
        namespace: the public module's globals.
        names: its `__all__`.
    """
    public = str(namespace["__name__"])
    for name in names:
        each = namespace[name]
        if getattr(each, "__module__", "").startswith(f"{public}._"):
            each.__module__ = public
