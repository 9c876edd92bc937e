"""Trains MaskablePPO (sb3-contrib) or DQN (Stable-Baselines3) on a trainer's environments, on training seeds only.

    python train.py maskable-ppo contended --seed 1 --decisions 500000 --output peers

writes peers/maskable-ppo-1.zip. The settings were chosen on training seeds of `contended`.
"""

import argparse
import json
import pathlib
import time

import torch
from ai_mesh_gym.protocol import Environment
from masked_dqn import MaskedDQN, MaskedDQNPolicy
from sb3_contrib import MaskablePPO
from stable_baselines3.common.callbacks import BaseCallback
from vec_env import RoutingVecEnv

# Each training has seeds of its own, far from those of the others.
SEEDS_APART = 1_000_000

# Episodes side by side: so few that each gets through most of its steps in 500,000 decisions, of which `contended` has 34,000
# an episode. More of them would see the first steps only.
EPISODES = 16


def maskable_ppo(env, seed):
    return MaskablePPO(
        "MlpPolicy",
        env,
        learning_rate=lambda left: 1e-3 * left,
        gamma=1.0,
        gae_lambda=0.95,
        n_steps=512,
        batch_size=1024,
        n_epochs=5,
        ent_coef=0.003,
        policy_kwargs={"net_arch": [64, 64]},
        seed=seed,
        device="cpu",
    )


def dqn(env, seed):
    return MaskedDQN(
        MaskedDQNPolicy,
        env,
        learning_rate=lambda left: 1e-3 * left,
        gamma=0.999,
        n_steps=10,
        buffer_size=300_000,
        batch_size=256,
        learning_starts=20_000,
        train_freq=4,
        gradient_steps=3,
        target_update_interval=20_000,
        exploration_fraction=0.3,
        exploration_final_eps=0.02,
        policy_kwargs={"net_arch": [64, 64]},
        seed=seed,
        device="cpu",
    )


ALGORITHMS = {"maskable-ppo": maskable_ppo, "dqn": dqn}


class Progress(BaseCallback):
    """Prints the mean reward of a step of the environment, ten times in all."""

    def __init__(self, env, decisions):
        super().__init__()
        self.env, self.every, self.began, self.printed = env, decisions / 10, time.monotonic(), 0

    def _on_step(self):
        if self.num_timesteps >= (self.printed + 1) * self.every:
            self.printed += 1
            rate = self.num_timesteps / (time.monotonic() - self.began)
            reward = self.env.earned / max(self.env.steps_ended, 1)
            self.env.earned, self.env.steps_ended = 0.0, 0
            print(f"{self.num_timesteps} decisions, {rate:.0f}/s: reward of a step {reward:.1f}", flush=True)
        return True


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("algorithm", choices=ALGORITHMS)
    parser.add_argument("preset")
    parser.add_argument("--providers", type=pathlib.Path, help="a catalog instead of the built-in one")
    parser.add_argument("--workloads", type=pathlib.Path, help="tenants and their demand instead of the built-in ones")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--decisions", type=int, default=500_000)
    parser.add_argument("--url", default="http://127.0.0.1:8001", help="the trainer")
    parser.add_argument("--output", type=pathlib.Path, default=pathlib.Path("."))
    asked = parser.parse_args()

    torch.set_num_threads(1)
    documents = {"providers": asked.providers, "workloads": asked.workloads}
    made_of = {name: json.loads(file.read_text()) for name, file in documents.items() if file is not None}
    made_of["preset"] = asked.preset
    with Environment(made_of, seed=asked.seed * SEEDS_APART, n=EPISODES, url=asked.url) as environment:
        env = RoutingVecEnv(environment, append_masks=asked.algorithm == "dqn")
        model = ALGORITHMS[asked.algorithm](env, asked.seed)
        model.learn(asked.decisions, callback=Progress(env, asked.decisions))
    asked.output.mkdir(parents=True, exist_ok=True)
    # whole or not there: what is there is not trained again
    model.save(asked.output / "unfinished.zip")
    (asked.output / "unfinished.zip").replace(asked.output / f"{asked.algorithm}-{asked.seed}.zip")


if __name__ == "__main__":
    main()
