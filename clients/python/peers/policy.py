"""A trained peer as a policy command: `mesh evaluate --policy-command 'python policy.py peers/maskable-ppo-1.zip'`."""

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
    policy = MaskablePPO.load(path, device="cpu").policy

    def preferences(observations, _):
        features = policy.extract_features(observations, policy.pi_features_extractor)
        return policy.action_net(policy.mlp_extractor.forward_actor(features))

    return preferences


def dqn(path):
    network = MaskedDQN.load(path, device="cpu", buffer_size=1).policy.q_net
    return lambda observations, masks: network(torch.hstack([observations, masks]))


def main():
    torch.set_num_threads(1)
    path = pathlib.Path(sys.argv[1])
    name = "dqn" if path.name.startswith("dqn") else "maskable-ppo"
    preferences = {"dqn": dqn, "maskable-ppo": maskable_ppo}[name](path)

    # What `predict` of Stable-Baselines3 chooses when it is deterministic, without what it does beside.
    @torch.inference_mode()
    def policy(turn):
        masks = np.array(turn["action_masks"], np.float32)
        observations = np.array(turn["observations"], np.float32)
        values = preferences(torch.from_numpy(observations), torch.from_numpy(masks))
        return np.where(masks > 0.5, values.numpy(), -np.inf).argmax(axis=1)

    serve(lambda hello: policy, name=name)


if __name__ == "__main__":
    main()
