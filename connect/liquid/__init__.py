"""Liquid: compile once, say what data is needed, render for each person."""

from connect.liquid.library import Library
from connect.liquid.names import Name
from connect.liquid.template import Template
from connect.liquid.trouble import Refusal, Skip

__all__ = ["Library", "Name", "Refusal", "Skip", "Template"]
