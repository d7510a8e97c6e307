"""The exercise of chapter 3 that chooses layers under a budget of bytes."""

from itertools import combinations

from tutorial_utils.check.examine import Case, Exercise


def _budget_cases() -> list[Case]:
    def case(what: str, budget: int, **layers: tuple[float, int]) -> Case:
        points = {name: value[0] for name, value in layers.items()}
        sizes = {name: value[1] for name, value in layers.items()}
        return Case(what, {"points_lost": points, "size_bytes": sizes, "budget": budget})

    layers = {"first": (9.0, 400), "middle": (3.0, 9000), "wide": (6.0, 36000), "last": (2.0, 650)}
    return [
        case("everything fits", 99_000, **layers),
        case("room for the small layers only", 1_200, **layers),
        case(
            "two layers that together gain more",
            9_500,
            a=(5, 9400),
            b=(4, 4500),
            c=(3, 4600),
        ),
        case("quantizing a layer even helped", 800, up=(-0.5, 100), down=(1.0, 700)),
        case("no room at all", 50, **layers),
        case(
            "one that does not fit is no reason to stop",
            1_000,
            a=(5, 100),
            b=(4, 950),
            c=(2.9, 700),
        ),
        case("a small layer in the way of a large one", 1_000, small=(0.2, 10), large=(9.0, 1_000)),
    ]


def _by_worth(points_lost: dict, size_bytes: dict, budget: int) -> list[str]:
    return _greedy(points_lost, size_bytes, budget, lambda n: points_lost[n] / size_bytes[n])


def _by_points(points_lost: dict, size_bytes: dict, budget: int) -> list[str]:
    return _greedy(points_lost, size_bytes, budget, lambda n: points_lost[n])


def _greedy(points_lost: dict, size_bytes: dict, budget: int, worth) -> list[str]:
    chosen = []
    for name in sorted(points_lost, key=worth, reverse=True):
        if points_lost[name] > 0 and size_bytes[name] <= budget:
            chosen.append(name)
            budget -= size_bytes[name]
    return chosen


def _judge_budget(
    answer: list, points_lost: dict, size_bytes: dict, budget: int
) -> tuple[str, str] | None:
    if not set(answer) <= set(points_lost) or len(set(answer)) != len(answer):
        return f"names among {list(points_lost)}, each at most once", "return names of layers"
    used, gained = (sum(table[name] for name in answer) for table in (size_bytes, points_lost))
    if used > budget:
        return f"at most {budget} bytes, yours are {used}", "add up the bytes as you choose"
    possible = [
        sum(points_lost[name] for name in names)
        for n in range(len(points_lost) + 1)
        for names in combinations(points_lost, n)
        if sum(size_bytes[name] for name in names) <= budget
    ]
    if gained >= 0.9 * max(possible):
        return None
    expected = f"at least {0.9 * max(possible):.4g} points, yours {gained:.4g}"
    if sorted(answer) == sorted(_by_points(points_lost, size_bytes, budget)):
        return (
            expected,
            "the layer that loses most may be the largest: rank by points per byte",
        )
    if sorted(answer) == sorted(_by_worth(points_lost, size_bytes, budget)):
        return expected, "a small layer that is worth its bytes can be in the way of a large one"
    if any(points_lost[name] <= 0 for name in answer):
        return expected, "a layer that loses nothing need not stay in float"
    return expected, "there is room for more; a layer that does not fit should not end the search"


KEEP_IN_FLOAT = Exercise(
    3,
    "keep_in_float",
    _budget_cases,
    _by_worth,
    judge=_judge_budget,
    any_order=True,
    after="With a hundred layers there are too many subsets, but not too many budgets: keep, "
    "for each number of bytes, the best choice so far. In practice points of single layers do "
    "not simply add up, so the choice is measured again.",
)
