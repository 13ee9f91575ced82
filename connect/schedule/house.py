"""The last good version of everything that is written in the project's files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

from connect.errors import Problem, UserError
from connect.project.campaign import Campaign
from connect.project.campaigns import Loaded
from connect.project.project import Project

Load = Callable[[], tuple[Project, Mapping[str, Loaded]]]
"""Reads the project and its campaigns. Raises UserError when connect.yml is broken."""


@dataclass(frozen=True)
class Changes:
    """What a reload brought."""

    project: bool = False
    """connect.yml says something else than before."""
    campaigns: tuple[str, ...] = ()
    """Names that are new, or whose campaign is another than before."""
    gone: tuple[str, ...] = ()
    """Names that have no file any more."""
    problems: tuple[Problem, ...] = ()
    """What is wrong, unless the last reload said so already."""
    kept: tuple[str, ...] = ()
    """Campaigns that go on as they were, because their file is broken now."""
    mended: tuple[str, ...] = ()
    """Files that were broken, and are not any more."""


@dataclass(frozen=True)
class _State:
    project: Project
    by_file: Mapping[str, Loaded]
    """The last good version of each file that is there."""
    broken: Mapping[str, tuple[Problem, ...]]
    """By file, or blank for connect.yml."""

    @cached_property
    def by_name(self) -> dict[str, Loaded]:
        return {loaded.campaign.name: loaded for loaded in self.by_file.values() if loaded.campaign}

    @cached_property
    def campaigns(self) -> dict[str, Campaign]:
        return {name: loaded.campaign for name, loaded in self.by_name.items() if loaded.campaign}


class House:
    """A broken campaign file leaves its last good version, and all others; a broken connect.yml leaves everything."""

    def __init__(self, load: Load) -> None:
        """Raises UserError when connect.yml is broken: there is no good version yet. Campaigns may be."""
        self._load = load
        project, found = load()
        self._state = _State(project, *_sorted_out(found, {}))

    @property
    def project(self) -> Project:
        return self._state.project

    @property
    def campaigns(self) -> Mapping[str, Campaign]:
        """By name, in the last good version of each."""
        return self._state.campaigns

    def loaded(self, name: str) -> Loaded | None:
        """The last good version of a campaign's file; None where no file has that name."""
        return self._state.by_name.get(name)

    @property
    def problems(self) -> tuple[Problem, ...]:
        """Everything that is wrong now."""
        return tuple(problem for found in self._state.broken.values() for problem in found)

    @property
    def files(self) -> frozenset[str]:
        """Every campaign file that is there, be it broken."""
        return frozenset({*self._state.by_file, *self._state.broken} - {""})

    @property
    def unread(self) -> frozenset[str]:
        """Files that have never given a campaign, because they have always been broken."""
        return self.files - self._state.by_file.keys()

    @property
    def is_whole(self) -> bool:
        """Whether every file gave a campaign at some time: else one of unknown name may be missing."""
        return not self.unread

    def reload(self) -> Changes:
        """Read everything again, in this thread. Never raises for what is wrong in a file."""
        before = self._state
        try:
            project, found = self._load()
        except UserError as error:
            self._state = _State(before.project, before.by_file, {**before.broken, "": error.problems})
        except OSError as error:
            self._state = _State(before.project, before.by_file, {**before.broken, "": (_unreadable(error),)})
        else:
            self._state = _State(project, *_sorted_out(found, before.by_file))
        return _difference(before, self._state)


def _unreadable(error: OSError) -> Problem:
    what = f"`{error.filename}`" if error.filename else "the project's files"
    return Problem(
        "unreadable-file",
        f"{what} can not be read: {error.strerror or type(error).__name__}",
        "mend it; everything goes on as it was",
    )


_Sorted = tuple[Mapping[str, Loaded], Mapping[str, tuple[Problem, ...]]]


def _sorted_out(found: Mapping[str, Loaded], before: Mapping[str, Loaded]) -> _Sorted:
    """The last good version of each file, no name twice; and what is wrong with the others."""
    good: dict[str, Loaded] = {}
    taken = {loaded.campaign.name for loaded in found.values() if loaded.campaign}
    for loaded in found.values():
        kept = before.get(loaded.file)
        if loaded.campaign:
            good[loaded.file] = loaded
        elif kept and kept.campaign and kept.campaign.name not in taken:  # else its name has moved to another file
            good[loaded.file] = kept
    return good, {loaded.file: loaded.problems for loaded in found.values() if not loaded.campaign}


def _difference(before: _State, after: _State) -> Changes:
    was, now = before.campaigns, after.campaigns
    known = {str(problem) for found in before.broken.values() for problem in found}
    news = (problem for found in after.broken.values() for problem in found if str(problem) not in known)
    kept = (after.by_file[file].campaign for file in after.broken if file in after.by_file)
    return Changes(
        project=before.project != after.project,
        campaigns=tuple(sorted(name for name, campaign in now.items() if was.get(name) != campaign)),
        gone=tuple(sorted(was.keys() - now.keys())),
        problems=tuple(news),
        kept=tuple(sorted(campaign.name for campaign in kept if campaign)),
        mended=tuple(sorted((before.broken.keys() - after.broken.keys()) & {*after.by_file, ""})),
    )
