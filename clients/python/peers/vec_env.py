"""The environments of a trainer as Stable-Baselines3 wants them."""

import numpy as np
from gymnasium import spaces
from stable_baselines3.common.vec_env import VecEnv


# What a request usually earns, of 50.
USUAL = 0.8

# So many requests may wait: what the feature `waiting` is a share of.
MOST_WAITING = 10


class RoutingVecEnv(VecEnv):
    """Parallel episodes, cut at every step of the environment, with shaped rewards.

    Capacities and budgets are whole again at each step, and no decision reaches into the next one: what Stable-Baselines3
    calls an episode is a step here, so that no credit leaks over its end, and nothing needs to be discounted.
    `environment` is an `ai_mesh_gym.Environment`.

    A step's reward is about what each request usually earns, times their number; what a policy can change of it are a few
    percent. So the reward (of 50) is shaped by a potential, `USUAL` for each request that is still expected or waits: as long as
    nothing is discounted, that changes no policy's order (Ng, Harada and Russell 1999), and what is left to learn is the
    difference.
    """

    def __init__(self, environment, append_masks=False):
        self.environment = environment
        self.append_masks = append_masks  # to the observations, for who is not given masks otherwise
        self.phase, self.waiting = map(environment.features.index, ("phase", "waiting"))
        self.requests = 0.0  # expected in a step: told by how far the phase moves with one
        self.end = np.zeros(len(environment.features), np.float32)
        self.end[self.phase] = 1.0
        self.choices = None
        self.earned = 0.0
        self.steps_ended = 0
        length = len(environment.features) + (len(environment.actions) if append_masks else 0)
        observation_space = spaces.Box(-np.inf, np.inf, (length,), np.float32)
        super().__init__(environment.n, observation_space, spaces.Discrete(len(environment.actions)))

    def reset(self):
        return self.observations()

    def observations(self):
        if self.append_masks:
            return np.hstack([self.environment.observations, self.environment.masks]).astype(np.float32)
        return self.environment.observations

    def step_async(self, actions):
        self.choices = actions

    def step_wait(self):
        steps, before = self.environment.steps, self.environment.observations
        rewards, terminated = self.environment.act(self.choices)
        dones = terminated | (self.environment.steps != steps)
        after = np.where(dones[:, None], self.end, self.environment.observations)
        self.earned += float(rewards.sum())
        self.steps_ended += int(dones.sum())
        observations = self.observations()
        infos = [{} for _ in range(self.num_envs)]
        for ended in np.flatnonzero(dones):
            infos[ended]["terminal_observation"] = observations[ended]
        return observations, self.shaped(rewards, before, after), dones, infos

    def shaped(self, rewards, before, after):
        passed = after[:, self.phase] - before[:, self.phase]
        moved = passed[passed > 1e-6]
        if len(moved):
            self.requests = max(self.requests, 1.0 / moved.min())
        came_back = MOST_WAITING * (before[:, self.waiting] - after[:, self.waiting])
        return (rewards / 50.0 - USUAL * (self.requests * passed + came_back)).astype(np.float32)

    def action_masks(self):
        return self.environment.masks

    def close(self):
        self.environment.close()

    def env_method(self, method_name, *args, indices=None, **kwargs):
        if method_name != "action_masks":
            raise AttributeError(method_name)
        return list(self.environment.masks)

    def has_attr(self, attr_name):
        return attr_name == "action_masks"

    def get_attr(self, attr_name, indices=None):
        if attr_name == "render_mode":
            return [None] * self.num_envs
        raise AttributeError(attr_name)

    def set_attr(self, attr_name, value, indices=None):
        raise AttributeError(attr_name)

    def env_is_wrapped(self, wrapper_class, indices=None):
        return [False] * self.num_envs
