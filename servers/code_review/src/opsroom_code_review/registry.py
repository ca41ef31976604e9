"""The systems by name, and which of them a reference means."""

import asyncio
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from opsroom_shared.errors import InvalidInput, NotPermitted
from opsroom_shared.outside import clean
from opsroom_shared.paging import Cursors

from .diff_cache import DiffCache
from .globs import fits
from .incoming import Incoming
from .journal import Journal
from .models import Change, ProviderKind, Task
from .providers import Provider, open_provider
from .readings import Readings
from .settings import CodeReviewSettings, ProviderSettings

_MOST_REPOSITORIES = 2_000
_FORMS: Mapping[ProviderKind, dict["Thing", str]] = {
    "phabricator": {"change": "D12", "task": "T3"},
    "github": {"change": "owner/repo#12", "task": "owner/repo#12"},
    "gitlab": {"change": "group/project!12", "task": "group/project#12"},
    "local": {"change": "a branch, a..b or worktree", "task": "T3"},
}

Thing = Literal["change", "task"]


@dataclass(frozen=True)
class Named:
    """A change or a task, and the system that has it."""

    provider: Provider
    ref: str

    @property
    def key(self) -> str:
        """What identifies it in this process and in the journal."""
        return f"{self.provider.name}:{self.ref}"


@dataclass
class Registry:
    """What a running server holds: its systems, its settings, what it has read, and what it has sent."""

    settings: CodeReviewSettings
    systems: Mapping[str, ProviderSettings]
    cursors: Cursors = field(default_factory=Cursors)
    diffs: DiffCache = field(default_factory=DiffCache)
    readings: Readings = field(default_factory=Readings)
    providers: dict[str, Provider] = field(init=False)
    journal: Journal = field(init=False)
    _repositories: OrderedDict[str, str | None] = field(default_factory=OrderedDict[str, str | None], init=False)

    def __post_init__(self) -> None:
        self.providers = {name: open_provider(name, system, self.settings) for name, system in self.systems.items()}
        self.journal = Journal(self.settings.state_folder / "sent.sqlite")

    def change(self, text: str) -> Named:
        """The change that *text* means. Raises InvalidInput, with the words that fix it, for none and for several."""
        return self._named(text, "change")

    def task(self, text: str) -> Named:
        return self._named(text, "task")

    def thing(self, change: str | None, task: str | None) -> Named:
        if (change is None) == (task is None):
            raise InvalidInput("Give a change or a task, one of the two.")
        return self.change(change) if change is not None else self.task(task or "")

    def chosen(self, text: str | None) -> tuple[list[Provider], str | None]:
        """The systems that a repository or project may be of, and its name without the system's in front of it."""
        prefix, colon, rest = (text or "").partition(":")
        if colon and prefix in self.providers:
            return [self.providers[prefix]], rest or None
        return list(self.providers.values()), text or None

    def only(self, text: str | None, parameter: str) -> tuple[Provider, str | None]:
        """The one system in which something is made. Raises InvalidInput where that is not said."""
        providers, rest = self.chosen(text)
        if len(providers) > 1:
            names = ", ".join(f"{provider.name}:" for provider in providers)
            raise InvalidInput(f"Several systems are configured. Write one of them in front of {parameter}: {names}")
        return providers[0], rest

    def spelled(self, provider: Provider, ref: str, thing: Thing) -> str:
        """*ref* as it is understood here: with the system's name where it could be another's."""
        if len(self.providers) == 1:
            return ref
        meant = self._meant(ref, thing)
        return ref if [named.provider for named in meant] == [provider] else f"{provider.name}:{ref}"

    def incoming(self, provider: Provider) -> Incoming:
        return Incoming(self.settings.strict, self.systems[provider.name].trusted)

    async def check_change(self, named: Named) -> None:
        """Raises NotPermitted for a change of a repository that is on no allow-list; asks the system only where it must."""
        allowed = self.systems[named.provider.name].repositories
        if not allowed:
            return
        repo = named.provider.repo_of(named.ref) or self._repositories.get(named.key)
        if repo is None:
            repo = (await named.provider.change(named.ref)).change.repo
            self._remember(named, repo)
        self.check_repo(named.provider, repo)

    def check_repo(self, provider: Provider, repo: str | None) -> None:
        if not self.is_allowed(provider, repo):
            raise NotPermitted(
                f"This server is not set up for that repository of {provider.name}. A person adds it to repositories in the "
                f"section providers.{provider.name} of its settings."
            )

    def is_allowed(self, provider: Provider, repo: str | None) -> bool:
        allowed = self.systems[provider.name].repositories
        return not allowed or (repo is not None and fits(repo, allowed))

    def shows_change(self, provider: Provider, change: Change) -> bool:
        if not self.is_allowed(provider, change.repo):
            return False
        self._remember(Named(provider, change.ref), change.repo)
        return True

    def shows_task(self, provider: Provider, task: Task) -> bool:
        """Whether the allow-lists let *task* be shown: where tasks belong to repositories, these count, labels do not."""
        system, repo = self.systems[provider.name], provider.repo_of(task.ref)
        if repo is not None and provider.kind != "local":
            allowed = system.projects or system.repositories
            return not allowed or fits(repo, allowed)
        return not system.projects or any(fits(project, system.projects) for project in task.projects)

    def check_project(self, provider: Provider, project: str | None) -> None:
        """Raises NotPermitted for a project into which no task may be put."""
        system = self.systems[provider.name]
        allowed = system.projects or (() if provider.kind in ("local", "phabricator") else system.repositories)
        if allowed and (project is None or not fits(project.removeprefix("#"), allowed)):
            raise NotPermitted(
                f"This server is not set up for tasks of that project of {provider.name}. Its projects: {', '.join(allowed)}."
            )

    async def ready(self) -> dict[str, str | None]:
        """Name → None where the system answers, otherwise why not."""
        states = await asyncio.gather(*(provider.ready() for provider in self.providers.values()))
        return dict(zip(self.providers, states, strict=True))

    async def aclose(self) -> None:
        await asyncio.gather(*(provider.aclose() for provider in self.providers.values()))

    def _named(self, text: str, thing: Thing) -> Named:
        found = self._meant(text, thing)
        if len(found) == 1:
            return found[0]
        if found:
            words = " or ".join(f"{named.provider.name}:{clean(text, 80)}" for named in found)
            raise InvalidInput(f"Several systems may have a {thing} of that name. Write {words}.")
        forms = dict.fromkeys(f"{_FORMS[each.kind][thing]} ({each.name})" for each in self.providers.values())
        raise InvalidInput(
            f"That is no {thing} of a system that is configured here. One looks like {'; '.join(forms)}; or its URL."
        )

    def _meant(self, text: str, thing: Thing) -> Sequence[Named]:
        text = text.strip()
        prefix, colon, rest = text.partition(":")
        if colon and prefix in self.providers and not rest.startswith("//"):
            provider = self.providers[prefix]
            # a branch may itself be called `name:…`-like; a provider whose forms are that wide reads the prefix itself
            ref = _read(provider, text, thing) if provider.kind == "local" else None
            ref = ref or _read(provider, rest, thing)
            return [Named(provider, ref)] if ref else []
        everyone = [(provider, _read(provider, text, thing)) for provider in self.providers.values()]
        found = [Named(provider, ref) for provider, ref in everyone if ref is not None]
        # almost any word can be a branch, so local repositories are asked last
        return [named for named in found if named.provider.kind != "local"] or found

    def _remember(self, named: Named, repo: str | None) -> None:
        self._repositories[named.key] = repo
        if len(self._repositories) > _MOST_REPOSITORIES:
            self._repositories.popitem(last=False)


def _read(provider: Provider, text: str, thing: Thing) -> str | None:
    return provider.change_ref(text) if thing == "change" else provider.task_ref(text)
