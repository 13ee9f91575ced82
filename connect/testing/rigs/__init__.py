"""The other ends of Connect's own providers: what `tests/contracts` runs `ProviderContract` against.

One module for each provider, of its name, with a context manager `rig(root)` that runs its server.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import cast

from connect.testing.providers import ProviderRig

_NOT_PROVIDERS = {"accounts"}


def names() -> list[str]:
    """The providers that somebody has written a rig for."""
    return sorted(module.name for module in iter_modules(__path__) if module.name not in _NOT_PROVIDERS)


def rig(name: str, root: Path) -> AbstractContextManager[ProviderRig]:
    """The rig of a provider of this name, with its server running. ModuleNotFoundError when nobody has written one."""
    return cast(AbstractContextManager[ProviderRig], import_module(f"{__name__}.{name}").rig(root))
