"""The references of GitLab."""

import pytest
from opsroom_code_review.providers.gitlab.references import Site, segment
from opsroom_shared.errors import InvalidInput


@pytest.mark.parametrize(
    ("text", "reference"),
    [
        ("group/project!12", "group/project!12"),
        ("group/sub/deep/project!12", "group/sub/deep/project!12"),
        (" group/.github!1 ", "group/.github!1"),
        ("https://gitlab.com/group/project/-/merge_requests/12", "group/project!12"),
        ("https://GITLAB.com:443/group/sub/project/-/merge_requests/12/diffs?tab=x#note_3", "group/sub/project!12"),
        ("https://gitlab.com/group/project/merge_requests/12", "group/project!12"),
        ("group/project#12", None),
        ("project!12", None),
        ("group/project!0", None),
        ("group/../project!12", None),
        ("group/project!12/../../x", None),
        ("https://github.com/group/project/-/merge_requests/12", None),
        ("https://gitlab.com.evil.test/group/project/-/merge_requests/12", None),
        ("https://gitlab.com@evil.test/group/project/-/merge_requests/12", None),
        ("https://gitlab.com/group/project/-/issues/12", None),
        ("https://gitlab.com/group/project/-/merge_requests/12x", None),
        ("http://[broken/group/project/-/merge_requests/12", None),
        ("D12", None),
        ("a/" * 3000 + "b!1", None),
    ],
)
def test_only_merge_requests_of_this_gitlab_are_changes(text: str, reference: str | None) -> None:
    """A merge request is named by its full reference or its page; other hosts and other things are somebody else's."""
    item = Site(None).change(text)

    assert (str(item) if item else None) == reference


@pytest.mark.parametrize(
    ("text", "reference"),
    [
        ("group/project#12", "group/project#12"),
        ("https://gitlab.com/group/sub/project/-/issues/12#note_1", "group/sub/project#12"),
        ("https://gitlab.com/group/project/-/work_items/12", "group/project#12"),
        ("group/project!12", None),
        ("https://gitlab.com/group/project/-/merge_requests/12", None),
    ],
)
def test_issues_are_tasks(text: str, reference: str | None) -> None:
    """An issue is a task under its old address, its new one, and its reference."""
    item = Site(None).task(text)

    assert (str(item) if item else None) == reference


def test_gitlab_below_a_path_keeps_its_pages_below_it() -> None:
    """A GitLab at host/gitlab has its interface and its pages there, and only there."""
    site = Site("https://host.test:8443/gitlab/")

    assert site.api == "https://host.test:8443/gitlab/api/v4"
    assert str(site.change("https://host.test:8443/gitlab/group/app/-/merge_requests/3")) == "group/app!3"
    assert site.change("https://host.test/gitlab/group/app/-/merge_requests/3") is None


def test_address_of_the_interface_is_taken_too() -> None:
    """Who sets the address of the interface gets the same site."""
    assert Site("https://host.test/api/v4").api == "https://host.test/api/v4"


@pytest.mark.parametrize("url", ["gitlab.com", "ftp://host.test", "https://user:word@host.test", "https://"])
def test_other_addresses_are_refused(url: str) -> None:
    """An address that is no web address, or that holds a password, is no GitLab's."""
    with pytest.raises(ValueError, match="no address of a GitLab"):
        Site(url)


@pytest.mark.parametrize("path", ["", "/etc/passwd", "..", "a/../b", "a//b", "./a", "a/"])
def test_path_cannot_climb_out_of_its_place(path: str) -> None:
    """A path of a file never becomes another address of the interface."""
    with pytest.raises(InvalidInput):
        segment(path)


def test_path_is_one_segment() -> None:
    """Slashes, spaces, question marks and percent signs of a path are part of it."""
    assert segment("a b/ü?#%2F.py") == "a%20b%2F%C3%BC%3F%23%252F.py"
