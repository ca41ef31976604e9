"""The people of a repository, by the names that git knows."""

from difflib import get_close_matches

from opsroom_shared.errors import InvalidInput

from .repository import Me, Repository

_COMMITS = 5_000
_TOLD = 20


async def known_people(repository: Repository, me: Me) -> dict[str, str]:
    """Names by their addresses, from the newest commits of all branches, and of whose repository it is."""
    data = await repository.git.read(
        "rev-list", "--all", f"--max-count={_COMMITS}", "--encoding=UTF-8", "--format=%x00%aN%x00%aE%x00"
    )
    fields = data.decode(errors="replace").split("\0")
    found = {fields[at + 2].casefold(): fields[at + 1] for at in range(0, len(fields) - 3, 3)}
    if me.name:
        found.setdefault((me.email or "").casefold(), me.name)
    return found


def find_person(text: str, people: dict[str, str], me: Me) -> str:
    """The name that *text* means: a name, an address, or `me`. Raises InvalidInput with the names that there are."""
    if text == "me":
        return need_name(me)
    names = sorted(set(people.values()) | ({me.name} if me.name else set()))
    by_name = {name.casefold(): name for name in names}
    wanted = text.removeprefix("@").casefold()
    if wanted in by_name:
        return by_name[wanted]
    if wanted in people:
        return people[wanted]
    near = [by_name[name] for name in get_close_matches(wanted, by_name, 5, 0.4)] or names[:_TOLD]
    raise InvalidInput(
        f"Nobody called {text!r} has committed to this repository. There are: {', '.join(near) or 'no people yet'}."
    )


def need_name(me: Me) -> str:
    if me.name is None:
        raise InvalidInput("git does not know who you are in this repository. Set user.name with git config first.")
    return me.name
