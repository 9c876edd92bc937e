"""A trained peer as a policy command: `mesh evaluate --policy-command 'python policy.py maskable-ppo-contended-1.zip'`."""

import pathlib
import sys
import warnings

import numpy as np
import torch
from ai_mesh_gym.line import serve
from masked_dqn import MaskedDQN
from sb3_contrib import MaskablePPO

# Its replay is of no use here, however many steps it looked ahead.
warnings.filterwarnings("ignore", message=".*n_steps.*")


def maskable_ppo(path):
    model = MaskablePPO.load(path, device="cpu")
    return lambda observations, masks: model.predict(observations, action_masks=masks, deterministic=True)[0]


def dqn(path):
    model = MaskedDQN.load(path, device="cpu", buffer_size=1)
    return lambda observations, masks: model.predict(np.hstack([observations, masks]), deterministic=True)[0]


def main():
    torch.set_num_threads(1)
    path = pathlib.Path(sys.argv[1])
    name = "dqn" if path.name.startswith("dqn") else "maskable-ppo"
    choose = {"dqn": dqn, "maskable-ppo": maskable_ppo}[name](path)

    def policy(turn):
        observations = np.array(turn["observations"], np.float32)
        return choose(observations, np.array(turn["action_masks"], np.float32 if name == "dqn" else bool))

    serve(lambda hello: policy, name=name)


if __name__ == "__main__":
    main()
