"""What the progress line promises about the time that is left."""

from __future__ import annotations

import pytest

from connect.cli.running import Watch


def test_a_new_run_is_measured_from_its_beginning() -> None:
    watch = Watch(None, resumes=False)

    assert watch.left(0.25, 10.0) == pytest.approx(30.0)


def test_a_resumed_run_is_measured_from_where_it_was_taken_up() -> None:
    watch = Watch(None, resumes=True)

    assert watch.left(0.0, 1.0) is None
    assert watch.left(0.5, 2.0) is None
    assert watch.left(0.75, 12.0) == pytest.approx(10.0)


def test_nothing_is_promised_before_anything_is_known() -> None:
    assert Watch(None, resumes=False).left(0.005, 3.0) is None
