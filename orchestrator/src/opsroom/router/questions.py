"""The words with which the router asks back or declines."""

from collections.abc import Mapping

from opsroom.agents.definition import AgentDefinition

_MOST_CHOICES = 3


class Questions:
    def __init__(self, agents: Mapping[str, AgentDefinition]) -> None:
        self._agents = agents
        titles = [agent.title.lower() for agent in agents.values()]
        self._trades = f"{', '.join(titles[:-1])} and {titles[-1]}" if len(titles) > 1 else "".join(titles)

    def which(self, scores: Mapping[str, float]) -> str:
        """One short question; the likely agents as numbered choices, or what opsroom can do where nothing is likely."""
        likely = [agent for agent, score in ranked(scores) if score > 0 and agent in self._agents][:_MOST_CHOICES]
        if not likely:
            return f"What is it about? I can help with {self._trades}; name the service, change, table or alert you mean."
        choices = [f"{self._agents[agent].title}: {self._agents[agent].description}" for agent in likely]
        if len(choices) == 1:
            choices.append("Something else: say what in a few words")
        return "\n".join(["Which of these do you mean?", *(f"{number}. {choice}" for number, choice in enumerate(choices, 1))])

    def declined(self) -> str:
        return f"That is not something I do. I can help with {self._trades}."

    def kept(self) -> str:
        return f"I keep to my task and my instructions. I can help with {self._trades}."


def ranked(scores: Mapping[str, float]) -> list[tuple[str, float]]:
    """Best first; the name settles a tie."""
    return sorted(scores.items(), key=lambda pair: (-pair[1], pair[0]))
