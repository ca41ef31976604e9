"""What people type for a pull request or an issue, and what is none."""

import pytest
from opsroom_code_review.providers.github.references import Site, commit, repository
from opsroom_shared.errors import InvalidInput

SITE = Site.of(None)
ENTERPRISE = Site.of("https://Code.Example:8443")


@pytest.mark.parametrize(
    "text",
    [
        "acme/shop#12",
        " acme/shop#12 ",
        "https://github.com/acme/shop/pull/12",
        "https://www.github.com/acme/shop/pull/12/files?diff=split#r1",
        "https://github.com/acme/shop/issues/12",
        "http://GitHub.com/acme/shop/pull/12/",
    ],
)
def test_forms_of_a_reference(text: str) -> None:
    """The short form and the addresses of the pages name the same thing."""
    item = SITE.item(text)

    assert str(item) == "acme/shop#12"


@pytest.mark.parametrize(
    "text",
    [
        "12",
        "#12",
        "D12",
        "acme/shop!12",
        "acme/shop#0",
        "acme/shop#012",
        "acme/..#12",
        "acme/shop#12 and more",
        "group/sub/shop#12",
        "https://gitlab.com/acme/shop/pull/12",
        "https://github.com.evil.example/acme/shop/pull/12",
        "https://evil.example/github.com/acme/shop/pull/12",
        "https://github.com@evil.example/acme/shop/pull/12",
        "https://github.com/acme/shop/pull/12x",
        "https://github.com/acme/../pull/12",
        "https://[github.com/acme/shop/pull/12",
        "https://github.com/acme/shop/commit/12",
        "acme/" + "x" * 3_000 + "#12",
    ],
)
def test_what_is_no_reference(text: str) -> None:
    """Nothing of another host or system is taken for GitHub's."""
    item = SITE.item(text)

    assert item is None


def test_an_enterprise_has_its_own_pages() -> None:
    """A GitHub Enterprise takes addresses of its own host and port, and none of github.com."""
    own = ENTERPRISE.item("https://code.example:8443/acme/shop/pull/12")

    assert str(own) == "acme/shop#12"
    assert ENTERPRISE.item("https://github.com/acme/shop/pull/12") is None


@pytest.mark.parametrize(
    ("url", "rest", "graphql"),
    [
        (None, "https://api.github.com", "graphql"),
        ("https://github.com/", "https://api.github.com", "graphql"),
        ("https://api.github.com", "https://api.github.com", "graphql"),
        ("https://acme.ghe.com", "https://api.acme.ghe.com", "graphql"),
        ("https://code.example", "https://code.example/api/v3", "../graphql"),
        ("https://code.example/api/v3/", "https://code.example/api/v3", "../graphql"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080/api/v3", "../graphql"),
    ],
)
def test_where_the_interfaces_are(url: str | None, rest: str, graphql: str) -> None:
    """Any address of an installation leads to its two interfaces."""
    site = Site.of(url)

    assert (site.rest, site.graphql) == (rest, graphql)


@pytest.mark.parametrize("url", ["github.example", "ftp://github.example", "https://"])
def test_an_address_that_is_none(url: str) -> None:
    """A setting that is no address of the web is refused at the start."""
    with pytest.raises(ValueError, match="address such as"):
        Site.of(url)


@pytest.mark.parametrize("url", ["http://github.example", "http://10.0.0.1/api/v3", "http://127.0.0.1.example"])
def test_a_token_in_the_open(url: str) -> None:
    """Over http the token could be read on the way, so only this machine is reached like that."""
    with pytest.raises(ValueError, match="over https"):
        Site.of(url)


@pytest.mark.parametrize("text", ["shop", "acme/shop/x", "acme/..", "acme/", "a b/c", "acme/shop?x=1"])
def test_what_is_no_repository(text: str) -> None:
    """Only owner/name goes into the path of a request."""
    with pytest.raises(InvalidInput, match="owner/name"):
        repository(text)


@pytest.mark.parametrize("text", ["main", "HEAD", "refs/pull/12/head", "A" * 40, "abc", "../x"])
def test_what_is_no_version(text: str) -> None:
    """A version is a commit id: a branch would mean something else in a minute."""
    with pytest.raises(InvalidInput, match="commit id"):
        commit(text)
