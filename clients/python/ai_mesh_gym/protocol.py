"""The trainer's environments over HTTP: `POST /v1/environments` and its turns."""

import http.client
import json
from urllib.parse import urlsplit

import numpy as np


class Problem(Exception):
    """What the trainer refused: its problem document as `problem`, with `status`, `code`, `detail` and `errors`."""

    def __init__(self, problem):
        super().__init__(f"{problem.get('code')}: {problem.get('detail')}")
        self.problem = problem


class Environment:
    """Parallel episodes of one environment, with what is to be decided in each.

    `environment` is what `POST /v1/environments` takes: a preset, a catalog, workloads. `features` and `actions` name the
    entries of an observation and the actions. `observations` (n, features), `masks` (n, actions), `seeds` and `steps` (n)
    are of the requests to decide now; `ended` lists the episodes that the last turn ended.
    """

    def __init__(
        self, environment=None, seed=1, n=1, steps=120, url="http://127.0.0.1:8001", api_key=None, timeout=60.0
    ):
        parts = urlsplit(url)
        connect = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self._connection = connect(parts.netloc, timeout=timeout)
        self._path = f"{parts.path.rstrip('/')}/v1/environments"
        self._headers = {"content-type": "application/json"}
        if api_key is not None:
            self._headers["authorization"] = f"Bearer {api_key}"
        made = self._call(
            "POST",
            self._path,
            {"environment": environment or {}, "seed": int(seed), "n": int(n), "steps_per_episode": int(steps)},
        )
        self.id = made["id"]
        self.n = made["n"]
        self.features = made["features"]
        self.actions = made["actions"]
        self._show(made["turn"])

    def act(self, choices):
        """Plays a turn, one action for each episode. The answer is (rewards, terminated).

        A reward is what the decided request has earned by this choice: 0 when it is asked again later. An episode that has
        ended is followed by another: then the observation is the first one of that.
        """
        body = {"turn": self.turn, "choices": [int(choice) for choice in choices]}
        turn = self._call("POST", f"{self._path}/{self.id}/turns", body)
        self._show(turn)
        return np.array(turn["rewards"], np.float64), np.array(turn["terminated"], bool)

    def close(self):
        """Deletes the environment; it may be gone already."""
        if self._connection is None:
            return
        try:
            self._call("DELETE", f"{self._path}/{self.id}")
        except (Problem, OSError, http.client.HTTPException):
            pass
        self._connection.close()
        self._connection = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _show(self, turn):
        self.turn = turn["turn"]
        self.observations = np.array(turn["observations"], np.float32)
        self.masks = np.array(turn["action_masks"], bool)
        self.seeds = np.array(turn["seeds"], np.int64)
        self.steps = np.array(turn["steps"], np.int64)
        self.ended = turn["ended"]

    def _call(self, method, path, body=None):
        content = None if body is None else json.dumps(body)
        self._connection.request(method, path, content, self._headers)
        answer = self._connection.getresponse()
        text = answer.read()
        if answer.status >= 400:
            try:
                problem = json.loads(text)
            except ValueError:
                problem = {"status": answer.status, "code": "no_problem", "detail": text[:200].decode(errors="replace")}
            raise Problem(problem)
        return json.loads(text) if text else None
