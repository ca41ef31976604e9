from hypothesis import given
from hypothesis import strategies as st
from opsroom.context.slice import Result, Slice, estimate_tokens


def test_a_slice_holds_task_results_and_what_is_left_to_others() -> None:
    """An agent reads its task first, then what others have found."""
    text = Slice("find the cause", (Result("monitoring", "spikes", "5xx since 10:02"),), ("Code review",)).render()

    assert text.startswith("Task: find the cause")
    assert "Left to others: Code review" in text
    assert "Already found by monitoring (spikes):\n5xx since 10:02" in text


def test_the_newest_results_are_kept_when_space_is_short() -> None:
    """What does not fit is left out from the oldest on, and the slice says so."""
    done = tuple(Result("databases", f"step {number}", f"fact {number} " * 20) for number in range(10))

    text = Slice("go on", done).render(limit=200)

    assert "fact 9" in text
    assert "fact 0" not in text
    assert "earlier results are left out" in text


@given(st.lists(st.text(max_size=2_000), max_size=30), st.integers(min_value=200, max_value=2_000))
def test_results_never_push_a_slice_far_over_its_limit(summaries: list[str], limit: int) -> None:
    """Whatever was found before, the slice stays within its limit and one line that says what is missing."""
    text = Slice("task", tuple(Result("databases", "t", summary) for summary in summaries)).render(limit)

    assert estimate_tokens(text) <= limit + 30
