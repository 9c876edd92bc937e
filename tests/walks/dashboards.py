"""Asks Prometheus every question of the dashboards, as Grafana would.

    dashboards.py FOLDER PROMETHEUS_URL

Every query must be one that Prometheus can answer. Which panels have something to show is printed, not judged: nothing may
have happened of what they count.
"""

import json
import pathlib
import sys
import urllib.error
import urllib.parse
import urllib.request

# What Grafana puts in the place of its variables: every instance, and a rate over four times the scrape interval.
VARIABLES = {"$__rate_interval": "4s", "$instance": ".*"}


def ask(prometheus: str, query: str) -> list[object]:
    """The series of the answer."""
    for name, value in VARIABLES.items():
        query = query.replace(name, value)
    url = f"{prometheus}/api/v1/query?{urllib.parse.urlencode({'query': query})}"
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            series: list[object] = json.load(answer)["data"]["result"]
    except urllib.error.HTTPError as error:
        sys.exit(f"{query}: {json.load(error).get('error')}")
    return series


def main(folder: str, prometheus: str) -> None:
    for path in sorted(pathlib.Path(folder).glob("*.json")):
        panels = [panel for panel in json.loads(path.read_text())["panels"] if panel.get("targets")]
        if not panels:
            sys.exit(f"{path}: no panel asks anything")
        empty = [
            panel["title"]
            for panel in panels
            if not any([ask(prometheus, target["expr"]) for target in panel["targets"]])
        ]
        print(f"{path.name}: {len(panels)} panels, {len(panels) - len(empty)} with something to show", end="")
        print(f"; nothing yet: {', '.join(empty)}" if empty else "")


main(*sys.argv[1:])
