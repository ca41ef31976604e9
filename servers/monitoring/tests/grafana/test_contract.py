"""That what breaks Grafana's contract is found: without it the other tests would prove nothing."""

import httpx2
import pytest
from pydantic import JsonValue

from ..scripted import Answer, scripted
from .contract import breaches


@pytest.mark.parametrize(
    ("path", "body", "breach"),
    [
        ("/api/search?query=x&limit=1", [{"uid": "a", "title": "b"}], []),
        ("/api/search?words=x", [], ["search has no parameter 'words'"]),
        ("/api/searches", [], ["Grafana has no GET /api/searches", "Grafana has no GET /api/searches"]),
        ("/api/search", [{"id": "7"}], ["hit.id is int64, not '7'"]),
        ("/api/search", [{"name": "x"}], ["hit has no field 'name'"]),
        ("/api/dashboards/uid/a", {"dashboard": {}, "folder": "x"}, ["dashboard_full_with_meta has no field 'folder'"]),
    ],
)
def test_breach_of_the_contract_is_found(path: str, body: JsonValue, breach: list[str]) -> None:
    """An unknown path, parameter or field, and a value of another kind, are named."""
    with scripted() as server:
        server.answer(f"GET {path.partition('?')[0]}", Answer(body))
        httpx2.get(server.url + path, trust_env=False)

        assert breaches(server) == breach


def test_status_that_grafana_does_not_send_is_found() -> None:
    """An answer with a status that the operation does not have is named."""
    with scripted() as server:
        server.answer("GET /api/search", Answer({"message": "x"}, 418))

        assert breaches(server) == ["search does not answer 418"]


def test_unscripted_request_fails_loudly() -> None:
    """A request that nobody has scripted fails the test, also where the source would get over it."""
    with pytest.raises(AssertionError, match="GET /api/unknown"), scripted() as server:
        httpx2.get(f"{server.url}/api/unknown", trust_env=False)
