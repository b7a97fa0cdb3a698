from procsup.console.eta import WINDOW_S, Eta


def test_nothing_is_said_before_two_units_have_told_their_pace():
    eta = Eta()
    assert eta.estimate_remaining_s(0.0, 10) is None
    eta.sample(0.0, 0)
    assert eta.estimate_remaining_s(1.0, 10) is None


def test_kept_units_do_not_count_as_pace():
    eta = Eta()
    eta.sample(0.0, 200)
    eta.sample(2.0, 201)

    assert eta.estimate_remaining_s(2.0, 10) == 20.0


def test_the_estimate_goes_down_between_two_ends_and_up_once_the_next_is_overdue():
    eta = Eta()
    eta.sample(0.0, 0)
    eta.sample(10.0, 5)

    assert eta.estimate_remaining_s(11.0, 5) == 9.0
    assert eta.estimate_remaining_s(22.0, 5) > 10.0
    assert eta.estimate_remaining_s(12.0, 0) == 0.0


def test_the_pace_is_that_of_late():
    eta = Eta()
    for second in range(100):
        eta.sample(float(second), second)  # one a second
    for step in range(20):
        eta.sample(100.0 + 20.0 * step, 100 + step)

    assert eta.estimate_remaining_s(480.0, 10) > 150.0
    assert WINDOW_S < 480.0
