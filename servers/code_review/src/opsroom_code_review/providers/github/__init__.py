"""Pull requests and issues of GitHub and GitHub Enterprise."""

from .provider import GitHubProvider

__all__ = ["GitHubProvider"]
