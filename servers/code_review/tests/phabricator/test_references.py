"""What people type and paste for revisions and tasks."""

import pytest
from opsroom_code_review.providers.phabricator import PhabricatorProvider
from opsroom_code_review.settings import CodeReviewSettings, ProviderSettings


@pytest.fixture
def provider() -> PhabricatorProvider:
    settings = ProviderSettings(kind="phabricator", url="https://phorge.example")
    return PhabricatorProvider("phorge", settings, CodeReviewSettings.model_validate({}))


@pytest.mark.parametrize(
    "text",
    [
        "D12",
        "d12",
        " D12 ",
        "https://phorge.example/D12",
        "https://phorge.example/D12#inline-3",
        "https://PHORGE.example:443/d12?id=25",
        "https://phorge.example/D12/",
    ],
)
def test_ways_to_name_a_revision(provider: PhabricatorProvider, text: str) -> None:
    """A monogram in either case, and pasted addresses of the configured server."""
    assert provider.change_ref(text) == "D12"
    assert provider.task_ref(text) is None
    assert provider.repo_of("D12") is None


@pytest.mark.parametrize("text", ["T3", "t3", "https://phorge.example/T3", "https://phorge.example/T3#77"])
def test_ways_to_name_a_task(provider: PhabricatorProvider, text: str) -> None:
    """The same for tasks."""
    assert provider.task_ref(text) == "T3"
    assert provider.change_ref(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "D",
        "D0",
        "D012",
        "D12x",
        "DD12",
        "D12345678901",
        "D\u0661\u0662",
        "P12",
        "owner/repo#12",
        "main",
        "https://phorge.example.evil.test/D12",
        "https://evil.test/D12",
        "http://phorge.example/D12",
        "https://phorge.example:8443/D12",
        "https://bob@phorge.example/D12",
        "https://phorge.example/source/D12",
        "https://phorge.example/D12/new",
        "https://[broken/D12",
        "//phorge.example/D12",
    ],
)
def test_what_is_no_reference(provider: PhabricatorProvider, text: str) -> None:
    """Nothing of another host, and nothing that only looks like one."""
    assert provider.change_ref(text) is None
    assert provider.task_ref(text) is None


def test_a_provider_without_an_address_is_refused() -> None:
    """The address is part of the configuration."""
    with pytest.raises(ValueError, match="needs a url"):
        PhabricatorProvider("phorge", ProviderSettings(kind="phabricator"), CodeReviewSettings.model_validate({}))
