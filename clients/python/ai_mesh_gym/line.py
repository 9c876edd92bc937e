"""A policy as a program that `mesh simulate` and `mesh evaluate` talk to: `--policy-command 'python my_policy.py'`.

JSON, one object a line. The first line on standard input says what is played::

    {"protocol": "ai-mesh-policy/1", "environment": "contended", "steps": 120, "features": […], "actions": […]}

It is answered with `{"protocol": "ai-mesh-policy/1"}`, where `"name"` may say what the policy shall be called. Each further line
asks for the choices of a turn, one for each of the episodes that go on, all of which are played side by side::

    {"episodes": [0, 2], "seeds": [4294967296, 4294967298], "steps": [5, 5], "observations": [[…], […]],
     "action_masks": [[true, …], […]]}

and is answered with `{"choices": [3, 0]}`, numbers of allowed actions. At the end standard input is closed. Standard error is
the terminal's. Only the standard library is needed.
"""

import json
import sys

PROTOCOL = "ai-mesh-policy/1"


def serve(make, name=None):
    """Answers until there is nothing more to decide.

    `make(hello)` is given the first line and gives the policy: a function of a turn that gives the choices.
    """
    answer, lines = sys.stdout, iter(sys.stdin)
    sys.stdout = sys.stderr  # what a policy prints must not get between the answers
    hello = json.loads(next(lines))
    if hello.get("protocol") != PROTOCOL:
        raise SystemExit(f"expected the protocol {PROTOCOL}, found {hello.get('protocol')}")
    policy = make(hello)
    _write(answer, {"protocol": PROTOCOL} | ({} if name is None else {"name": name}))
    for line in lines:
        _write(answer, {"choices": [int(choice) for choice in policy(json.loads(line))]})


def _write(answer, value):
    answer.write(json.dumps(value) + "\n")
    answer.flush()
