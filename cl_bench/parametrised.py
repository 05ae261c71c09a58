"""Names with an argument: `folder:PATH` and `avalanche:NAME` are one registered class each."""

from __future__ import annotations

from typing import Any, ClassVar


class Parametrised:
    """Mixin of a class that is registered as `prefix` and named `prefix:argument`.

    takes: what the argument is, for messages ("PATH"). needs_argument: whether it is of no use without one.
    loads: what long import an argument needs, said before it starts. argument: the argument, "" before there
    is one.
    """

    name: ClassVar[str] = ""
    takes: ClassVar[str]
    needs_argument: ClassVar[bool] = True
    loads: ClassVar[str] = ""
    argument: ClassVar[str] = ""

    @classmethod
    def parametrised(cls, argument: str) -> type[Any]:
        """The subclass with this argument. Raises UserError for one that cannot be."""
        kept = ("__module__", "__qualname__", "__doc__")
        same: dict[str, Any] = {name: getattr(cls, name) for name in kept}
        return type(cls.__name__, (cls,), same | {"argument": argument})
