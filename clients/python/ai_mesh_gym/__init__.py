"""AI Mesh's environments for learners in Python, and policies in Python for `mesh evaluate --policy-command`.

`ai_mesh_gym.line` needs nothing but the standard library; the others need numpy, and `ai_mesh_gym.envs` Gymnasium.
"""
