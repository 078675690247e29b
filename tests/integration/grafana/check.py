"""Reads dashboards by the official types of Grafana (grafana-foundation-sdk) and names what these do not know.

What is read and written again has to be the same: a property that is lost is none of Grafana's, or is spelt wrongly.
"""

import json
import sys

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

# The library has neither the target of an annotation that asks a database, nor the statements of PostgreSQL.
UNTYPED = ("rawSql", "rawQuery", "editorMode", "format", "refId")


def lost(ours, theirs, place):
    """What is in `ours` and not in `theirs`."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for name, value in ours.items():
            if name in UNTYPED:
                continue
            if name not in theirs:
                if value not in ({}, [], None, "", False):
                    yield f"{place}.{name}"
            else:
                yield from lost(value, theirs[name], f"{place}.{name}")
    elif isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        for number, (one, other) in enumerate(zip(ours, theirs)):
            yield from lost(one, other, f"{place}[{number}]")
    elif ours != theirs:
        yield f"{place}: {ours!r} is read as {theirs!r}"


def main():
    register_default_plugins()
    problems = []
    for path in sys.argv[1:]:
        with open(path, encoding="utf-8") as file:
            ours = json.load(file)
        theirs = json.loads(JSONEncoder().encode(Dashboard.from_json(ours)))
        problems += lost(ours, theirs, path)
    for problem in problems:
        print(problem)
    sys.exit(1 if problems else 0)


main()
