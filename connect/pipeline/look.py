"""How the server's unsubscribe page looks, where the project has a template for it."""

from __future__ import annotations

from connect.errors import Problem, UserError
from connect.liquid.library import Library
from connect.liquid.template import Template
from connect.project.files import TEMPLATES, templates
from connect.project.project import Project
from connect.project.text import Text


def template_of(project: Project) -> Template | None:
    """The project's own template; None where it has none. Raises UserError with everything that is wrong in it."""
    name = project.unsubscribe.template if project.unsubscribe else None
    if name is None:
        return None
    texts = templates(project.root)
    text = texts.get(name)
    if text is None:  # it was there when connect.yml was read
        raise UserError.of("missing-template", f"there is no file {TEMPLATES}/{name}", "see `unsubscribe.template`")
    template = Library(texts).compile(text, escape=True)
    names = {name.path[:2] for name in template.names}
    if ("params", "content") not in names:
        raise UserError(_without_content(text))
    return template


def _without_content(text: Text) -> Problem:
    said = "this template of the unsubscribe page has no place for its button"
    return Problem(
        "unsubscribe-template", said, "write `{{ params.content }}` where it is to stand", text.location(1, 1)
    )


def problems(project: Project) -> tuple[Problem, ...]:
    """What is wrong with it."""
    try:
        template_of(project)
    except UserError as error:
        return error.problems
    return ()
