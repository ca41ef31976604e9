"""Phabricator and Phorge over Conduit: revisions, their discussion and builds, and Maniphest's tasks."""

from .provider import PhabricatorProvider

__all__ = ["PhabricatorProvider"]
