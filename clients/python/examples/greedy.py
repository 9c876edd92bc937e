"""The highest reward that a provider offers, in plain Python: `mesh evaluate --policy-command 'python greedy.py'`.

It holds what no provider takes at a gain. Run it with `clients/python` in `PYTHONPATH`, or after `pip install clients/python`.
"""

from ai_mesh_gym.line import serve


def make(hello):
    names = hello["features"]
    worths = [i for i, name in enumerate(names) if name.startswith("provider:") and name.endswith(":worth")]
    hold = hello["actions"].index("hold")

    def choose(observation, mask):
        best, most = None, None
        for provider, entry in enumerate(worths):
            worth = observation[entry]
            if mask[provider] and (best is None or worth > most):
                best, most = provider, worth
        return hold if mask[hold] and most < 0 else best

    return lambda turn: map(choose, turn["observations"], turn["action_masks"])


if __name__ == "__main__":
    serve(make, name="greedy-in-python")
