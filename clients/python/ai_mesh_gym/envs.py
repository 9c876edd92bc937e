"""Gymnasium environments: one episode (`RoutingEnv`) and many side by side (`RoutingVectorEnv`)."""

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space

from .protocol import Environment

# Seeds from here on are held out for evaluation.
FIRST_HELD_OUT_SEED = 2**32

# What a feature may be: ratios are cut at 4, a latency is in seconds.
_LOW, _HIGH = -10.0, 1e7


def _spaces(environment):
    features = spaces.Box(_LOW, _HIGH, (len(environment.features),), np.float32)
    return features, spaces.Discrete(len(environment.actions))


def _allowed(choices, masks):
    """The choices, each that is not allowed replaced by the first provider that is; and where that was so."""
    choices = np.asarray(choices, np.int64)
    forbidden = ~masks[np.arange(len(choices)), choices]
    return np.where(forbidden, masks.argmax(axis=1), choices), forbidden


class RoutingEnv(gymnasium.Env):
    """One episode after the other of a trainer's environment.

    **Observations** are vectors: `env.features` names their entries. **Actions** are numbers: `env.actions` names them.
    `info["action_mask"]` (int8, as `Discrete.sample` takes it) says which are allowed; one that is not is replaced by the
    first provider that is, and `info["forbidden"]` is then true. **Rewards** are those of `Environment.act`: they add up to
    the episode's. **Episodes** end by themselves after `steps` steps (terminated; nothing is truncated). `reset(seed=…)`
    begins the episode of that seed, modulo 2^32; without a seed it is the next one.
    """

    metadata = {"render_modes": []}

    def __init__(self, environment=None, steps=120, url="http://127.0.0.1:8001", api_key=None):
        self._make = {"environment": environment, "steps": steps, "url": url, "api_key": api_key}
        self._remote = Environment(seed=1, **self._make)
        self._begun = False
        self.features = self._remote.features
        self.actions = self._remote.actions
        self.observation_space, self.action_space = _spaces(self._remote)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        if seed is not None or self._begun:
            # in the middle of an episode the next seed is begun; after its end that has happened already
            next_seed = self._remote.seeds[0] + 1 if seed is None else seed
            self._remote.close()
            self._remote = Environment(seed=next_seed % FIRST_HELD_OUT_SEED, **self._make)
        self._begun = False
        return self._remote.observations[0], self._info(False)

    def step(self, action):
        choices, forbidden = _allowed([action], self._remote.masks)
        rewards, terminated = self._remote.act(choices)
        self._begun = not terminated[0]
        info = self._info(forbidden[0])
        if terminated[0]:
            info["episode_seed"] = self._remote.ended[0]["seed"]
        return self._remote.observations[0], float(rewards[0]), bool(terminated[0]), False, info

    def action_masks(self):
        """Which actions are allowed now, as sb3-contrib asks."""
        return self._remote.masks[0]

    def close(self):
        self._remote.close()

    def _info(self, forbidden):
        return {
            "action_mask": self._remote.masks[0].astype(np.int8),
            "forbidden": bool(forbidden),
            "step": int(self._remote.steps[0]),
        }


class RoutingVectorEnv(gymnasium.vector.VectorEnv):
    """`num_envs` episodes side by side, each turn of all in one call.

    As `RoutingEnv`, with arrays. An episode that has ended is followed by that of the next seed in the same step
    (`AutoresetMode.SAME_STEP`): the observation is then the first one of the next episode. `reset(seed=…)` begins the episodes
    of that seed and the following ones; without a seed, of seeds that were not met yet.
    """

    metadata = {"render_modes": [], "autoreset_mode": AutoresetMode.SAME_STEP}

    def __init__(self, num_envs, environment=None, steps=120, url="http://127.0.0.1:8001", api_key=None):
        self.num_envs = num_envs
        self._make = {"environment": environment, "n": num_envs, "steps": steps, "url": url, "api_key": api_key}
        self._remote = Environment(seed=1, **self._make)
        self._begun = False
        self.features = self._remote.features
        self.actions = self._remote.actions
        self.single_observation_space, self.single_action_space = _spaces(self._remote)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        if seed is not None or self._begun:
            first = int(self._remote.seeds.max()) + 1 if seed is None else seed
            self._remote.close()
            self._remote = Environment(seed=first % FIRST_HELD_OUT_SEED, **self._make)
        self._begun = False
        return self._remote.observations, self._infos(np.zeros(self.num_envs, bool))

    def step(self, actions):
        choices, forbidden = _allowed(actions, self._remote.masks)
        last = self._remote.observations
        rewards, terminated = self._remote.act(choices)
        self._begun = True
        infos = self._infos(forbidden)
        if terminated.any():
            # nothing follows the last request, so that its own vector stands for the end
            infos["final_obs"] = np.array([o if t else None for o, t in zip(last, terminated)], dtype=object)
            infos["_final_obs"] = terminated
        return self._remote.observations, rewards, terminated, np.zeros(self.num_envs, bool), infos

    def action_masks(self):
        """Which actions are allowed now, as sb3-contrib asks."""
        return self._remote.masks

    def close_extras(self, **_):
        self._remote.close()

    def _infos(self, forbidden):
        masks = self._remote.masks.astype(np.int8)
        return {"action_mask": masks, "forbidden": forbidden, "step": self._remote.steps}
