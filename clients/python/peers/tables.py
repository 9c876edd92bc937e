"""Tables in Markdown of evaluations that `tests/peers` made: `python tables.py NAME=evaluation.json …`.

First the share of the way from the baseline to the limit that each policy goes, in every environment; then a table for each.
Needs the standard library only.
"""

import json
import pathlib
import sys

TUNED = "bid-price-tuned"

# Of the summary: what a column is called, and which policy it shows.
COLUMNS = [
    ("best untuned rule", "rule"),
    ("tuned rule", "tuned"),
    ("`adaptive`, never trained", "never trained"),
    ("`adaptive`, trained", "trained"),
    ("PPO", "maskable-ppo"),
    ("DQN", "dqn"),
]

# Of the tables: the metrics, and their decimals.
FIGURES = [
    ("fill_rate", 4),
    ("gpu_hours_fill", 4),
    ("cost_per_gpu_hour_usd", 4),
    ("avg_latency_ms", 1),
    ("deferred_share", 3),
]


def reward(policy):
    return policy["metrics"]["reward"]["mean"]


def roles(result):
    """What stands in for each role, in the order of the tables; the baseline is the first rule."""
    policies = result["policies"]
    rules = [policy for policy in policies if not (policy["learned"] or policy["reference"] or "programs" in policy)]
    shown = {
        "baseline": rules[0],
        "rule": max((rule for rule in rules if rule["name"] != TUNED), key=reward),
        "tuned": next(rule for rule in rules if rule["name"] == TUNED),
    }
    for policy in policies:
        if policy["learned"]:
            shown["trained" if policy["trained_episodes"] else "never trained"] = policy
        elif "programs" in policy:
            shown[policy["name"]] = policy
        elif policy["reference"]:
            shown["told"] = policy
    order = ["baseline", "rule", "tuned", "told", "never trained", "trained", "maskable-ppo", "dqn"]
    return {role: shown[role] for role in order if role in shown}


def title(role, policy):
    name = f"`{policy['name']}`"
    times = len(policy.get("trainings", [])) or policy.get("programs", 1)
    return {
        "baseline": f"{name}, the baseline",
        "rule": f"{name}, the best untuned rule",
        "told": f"{name}, which is told what is hidden",
        "never trained": "`adaptive`, never trained",
        "trained": f"`adaptive`, {times} trainings",
        "maskable-ppo": f"PPO, {times} trainings",
        "dqn": f"DQN, {times} trainings",
    }.get(role, name)


def mean(estimate, decimals):
    return f"{estimate['mean']:.{decimals}f}" if estimate else ""


def interval(estimate, decimals, factor=1.0, sign="", unit=""):
    if not estimate:
        return ""
    mean, low, high = (estimate[end] for end in ("mean", "ci_low", "ci_high"))
    figure, *ends = (f"{value * factor:{sign}.{decimals}f}" for value in (mean, low, high) if value is not None)
    return f"{figure}{unit} [{', '.join(ends)}]" if ends else f"{figure}{unit}"


def closed(policy):
    return interval(policy["gap_closed"], 1, factor=100.0, unit=" %")


def line(cells):
    return f"| {' | '.join(cells)} |"


def summary(results):
    yield line(["", *(heading for heading, _ in COLUMNS)])
    yield "|" + "---|" * (1 + len(COLUMNS))
    for name, result in results:
        shown = roles(result)
        cells = []
        for _, role in COLUMNS:
            policy = shown.get(role)
            which = f" (`{policy['name']}`)" if role == "rule" else ""
            cells.append(closed(policy) + which if policy else "")
        yield line([f"`{name}`", *cells])


def table(result):
    header = ["policy", "fill", "GPU-h fill", "$/GPU-h", "ms", "deferred"]
    header += ["Δ reward vs baseline [95 %]", "vs best rule [95 %]", "way to the limit [95 %]"]
    yield line(header)
    yield "|" + "---|" * len(header)
    for role, policy in roles(result).items():
        metrics = policy["metrics"]
        cells = [mean(metrics[figure], decimals) for figure, decimals in FIGURES]
        cells += [interval(policy[versus]["reward"], 3, sign="+") for versus in ("versus_baseline", "versus_best_rule")]
        yield line([title(role, policy), *cells, closed(policy)])
    limit = result["limit"]
    cells = [mean(limit["fill_rate"], 4), "", "", mean(limit["avg_latency_ms"], 1), "", "", "", "100 %"]
    yield line(["limit", *cells])


def notes(result):
    limit = result["limit"]
    solved, steps = limit["steps_solved"], limit["steps_total"]
    yield f"{len(result['seeds'])} held-out seeds of {result['steps']} steps; the best rule is `{result['best_rule']}`."
    if solved < steps:
        yield f"The limit is solved on {solved} of the {steps} steps, and the way to it is measured on these."
    trained = roles(result).get("trained")
    if trained and trained.get("versus_untrained"):
        yield f"Training adds {interval(trained['versus_untrained']['reward'], 3, sign='+')} to `adaptive`."


def main():
    named = [argument.split("=", 1) for argument in sys.argv[1:]]
    results = [(name, json.loads(pathlib.Path(file).read_text())["result"]) for name, file in named]
    print("\n".join(summary(results)))
    for name, result in results:
        print(f"\n## `{name}`\n")
        print("\n".join(table(result)))
        print(f"\n{' '.join(notes(result))}")


if __name__ == "__main__":
    main()
