"""A stop that was swallowed is raised where work waits."""

import pytest

from spurion.core.engine import run_tasks
from spurion.core.interruption import raise_if_asked, remember
from spurion.core.progress import silent


def test_what_was_swallowed_is_raised_once():
    raise_if_asked()
    remember(KeyboardInterrupt("lost"))
    with pytest.raises(KeyboardInterrupt, match="lost"):
        raise_if_asked()
    raise_if_asked()


def test_a_pool_stops_for_it():
    remember(KeyboardInterrupt("lost"))
    with pytest.raises(KeyboardInterrupt, match="lost"):
        list(run_tasks(max, [3, 4], workers=2, threads=1, report=silent))
