"""How many decisions a plain loop over a trainer's environments makes in a second: `python rate.py [URL]`.

Each request goes to the first provider that may have it; for so many episodes side by side one line is printed.
"""

import sys
import time

from ai_mesh_gym.protocol import Environment

SECONDS = 5.0


def rate(n, url):
    with Environment({"preset": "contended"}, n=n, url=url) as environment:
        turns, began = 0, time.monotonic()
        while time.monotonic() - began < SECONDS:
            environment.act(environment.masks.argmax(axis=1))
            turns += 1
        return turns * n / (time.monotonic() - began)


def main():
    url = sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8001"
    for n in (1, 16, 64, 256):
        print(f"{n} episodes side by side: {rate(n, url):.0f} decisions/s", flush=True)


if __name__ == "__main__":
    main()
