"""What tests/gymnasium asks of the environments of clients/python: `gymnasium_check.py URL`."""

import sys
import warnings

import numpy as np
from ai_mesh_gym.envs import RoutingEnv, RoutingVectorEnv
from ai_mesh_gym.protocol import Environment, Problem
from gymnasium.utils.env_checker import check_env

SPEC = {"preset": "contended"}


def checked_by_gymnasium(url):
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # what it warns of is a mistake too
        # no spec: the environment is made here, not by gymnasium.make
        warnings.filterwarnings("ignore", message=".*spec.*")
        env = RoutingEnv(SPEC, steps=2, url=url)
        check_env(env, skip_render_check=True)
        env.close()


def random_episode(env, seed):
    """Observations and rewards of the episode with this seed, with allowed actions that the seed alone decides."""
    rng = np.random.default_rng(0)
    observation, info = env.reset(seed=seed)
    seen, earned, terminated = [observation], [], False
    while not terminated:
        action = rng.choice(np.flatnonzero(info["action_mask"]))
        observation, reward, terminated, truncated, info = env.step(action)
        assert not truncated and not info["forbidden"]
        seen.append(observation)
        earned.append(reward)
    return np.array(seen), np.array(earned)


def one_seed_is_one_episode_and_rewards_add_up(url):
    env = RoutingEnv(SPEC, steps=2, url=url)
    first, again, other = (random_episode(env, seed) for seed in (5, 5, 6))
    assert np.array_equal(first[0], again[0]) and np.array_equal(first[1], again[1])
    assert len(first[0]) != len(other[0]) or not np.array_equal(first[0], other[0])
    with Environment(SPEC, seed=5, steps=2, url=url) as remote:
        total, ended = 0.0, []
        rng = np.random.default_rng(0)
        while not ended:
            rewards, _ = remote.act([rng.choice(np.flatnonzero(remote.masks[0]))])
            total, ended = total + rewards[0], remote.ended
        assert np.isclose(total, ended[0]["reward"]) and np.isclose(total, first[1].sum())
    env.close()


def many_side_by_side_are_as_many_single_ones(url):
    vector = RoutingVectorEnv(3, SPEC, steps=2, url=url)
    single = [RoutingEnv(SPEC, steps=2, url=url) for _ in range(3)]
    observations, infos = vector.reset(seed=11)
    assert vector.observation_space.contains(observations)
    for number, env in enumerate(single):
        assert np.array_equal(env.reset(seed=11 + number)[0], observations[number])
    ended = np.zeros(3, bool)
    while not ended.all():
        actions = np.array([mask.nonzero()[0][-1] for mask in infos["action_mask"]])
        observations, rewards, terminated, truncated, infos = vector.step(actions)
        assert not truncated.any() and ("final_obs" in infos) == terminated.any()
        for number in np.flatnonzero(~ended):
            observation, reward, over, _, _ = single[number].step(actions[number])
            assert reward == rewards[number] and over == terminated[number]
            assert np.array_equal(observation, observations[number]) or over
        ended |= terminated
    vector.close()
    [env.close() for env in single]


def what_is_forbidden_is_replaced_and_told(url):
    env = RoutingEnv({"preset": "default"}, steps=1, url=url)
    _, info = env.reset(seed=1)
    hold = env.actions.index("hold")
    assert not info["action_mask"][hold]
    assert env.step(hold)[4]["forbidden"]
    env.close()


def mistakes_are_problems(url):
    for wrong, pointer in [({"seed": 2**32}, "/seed"), ({"n": 0}, "/n"), ({"environment": {"preset": "calm"}}, "/environment/preset")]:
        try:
            Environment(url=url, **wrong)
        except Problem as problem:
            assert [error["pointer"] for error in problem.problem["errors"]] == [pointer]
        else:
            raise AssertionError(f"{wrong} was taken")


CHECKS = [
    checked_by_gymnasium,
    one_seed_is_one_episode_and_rewards_add_up,
    many_side_by_side_are_as_many_single_ones,
    what_is_forbidden_is_replaced_and_told,
    mistakes_are_problems,
]

if __name__ == "__main__":
    for check in CHECKS:
        check(sys.argv[1])
        print(f"ok: {check.__name__.replace('_', ' ')}")
    print(f"{len(CHECKS)} passed, 0 failed")
