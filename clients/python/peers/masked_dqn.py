"""DQN that knows masks: Stable-Baselines3's own has none.

An observation ends with the mask. Forbidden actions have no value, when acting and in the targets, and exploration draws
from those that are allowed.
"""

import numpy as np
import torch
from stable_baselines3 import DQN
from stable_baselines3.dqn.policies import DQNPolicy, QNetwork

# Lower than any value of an allowed action.
FORBIDDEN = -1e6


class MaskedQNetwork(QNetwork):
    def forward(self, obs):
        mask = obs[:, -int(self.action_space.n) :] > 0.5
        return torch.where(mask, super().forward(obs), torch.full_like(obs[:, :1], FORBIDDEN))


class MaskedDQNPolicy(DQNPolicy):
    def make_q_net(self):
        arguments = self._update_features_extractor(self.net_args, features_extractor=None)
        return MaskedQNetwork(**arguments).to(self.device)


class MaskedDQN(DQN):
    def predict(self, observation, state=None, episode_start=None, deterministic=False):
        actions, state = self.policy.predict(observation, state, episode_start, deterministic=True)
        if not deterministic:
            masks = observation[:, -int(self.action_space.n) :]
            drawn = (np.random.random(masks.shape) * masks).argmax(axis=1)
            actions = np.where(np.random.random(len(actions)) < self.exploration_rate, drawn, actions)
        return actions, state

    def _sample_action(self, learning_starts, action_noise=None, n_envs=1):
        # also before learning starts, when exploration is complete
        actions, _ = self.predict(self._last_obs, deterministic=False)
        return actions, actions
