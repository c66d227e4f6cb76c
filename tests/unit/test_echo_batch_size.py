"""The batch size of a datagram endpoint: tried where many may wait, and seldom where few do."""

from localechod.echo.datagram.batch_size import MANY, TURN, BatchSize


def turns_until_a_trial(size: BatchSize) -> int:
    turns = 0
    while size.now == 1:
        size.after(TURN)
        turns += 1
    return turns


def test_a_full_turn_is_followed_by_a_batch() -> None:
    size = BatchSize()
    size.after(TURN - 1)
    assert size.now == 1
    size.after(TURN)
    assert size.now == TURN


def test_batches_go_on_while_they_find_many() -> None:
    size = BatchSize()
    size.after(TURN)
    size.after(MANY)
    assert size.now == TURN
    size.after(MANY - 1)
    assert size.now == 1


def test_trials_that_find_few_come_ever_later_up_to_a_bound() -> None:
    size = BatchSize()
    pauses = []
    for _ in range(9):
        pauses.append(turns_until_a_trial(size))
        size.after(4)
    assert pauses == [1, 2, 4, 8, 16, 32, 64, 64, 64]


def test_a_trial_that_finds_many_ends_the_pauses() -> None:
    size = BatchSize()
    for _ in range(5):
        turns_until_a_trial(size)
        size.after(4)
    turns_until_a_trial(size)
    size.after(MANY)
    size.after(0)
    assert size.now == 1
    assert turns_until_a_trial(size) == 2


def test_one_list_that_takes_long_is_for_a_whole_batch() -> None:
    size = BatchSize()
    size.after_proofs(has_listed=True)
    assert size.now == TURN
    size.after_proofs(has_listed=False)
    assert size.now == 1
