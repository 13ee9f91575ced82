"""How stages that may need a warehouse come to one: it is opened only by whoever does."""

from __future__ import annotations

from collections.abc import Callable

from connect.project.project import Project
from connect.warehouses.interface import Warehouse

OpenSource = Callable[[Project, str], Warehouse]
"""(project, the name of one of its sources) → its warehouse, which whoever opened it closes."""
