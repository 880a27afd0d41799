from concurrent.futures import ThreadPoolExecutor

import pytest

from mmseg.utils.jobs import map_ahead


def test_order_is_kept_and_items_are_taken_as_needed():
    taken = []

    def items():
        for i in range(10):
            taken.append(i)
            yield i

    with ThreadPoolExecutor(2) as pool:
        results = map_ahead(lambda i: i * i, items(), pool, ahead=3)
        assert next(results) == 0
        assert taken == [0, 1, 2, 3]
        assert list(results) == [i * i for i in range(1, 10)]


def test_an_exception_is_raised_in_its_place():
    with ThreadPoolExecutor(2) as pool:
        results = map_ahead(lambda i: 1 // i, [1, 0, 1], pool, ahead=2)
        assert next(results) == 1
        with pytest.raises(ZeroDivisionError):
            next(results)
