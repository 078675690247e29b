"""Makes questions of schemathesis right where the description, which speaks of one field at
a time, cannot say what is: the start comes before the end, and numbers and texts within
free objects can be stored."""

from datetime import datetime, timedelta, timezone

import schemathesis

# What a body is that no schema describes: a log line for Loki (protobuf in snappy, written as
# one literal), and for OpenTelemetry; both with the text "line".
PROTOBUF = {
    "/loki/api/v1/push": b'\x13H\n\x11\n\x07{a="b"}\x12\x06\x12\x04line',
    "/v1/logs": b"\n\x0c\x12\n\x12\x08*\x06\n\x04line",
}

# Start and end, as parameters and as fields.
TIMES = [("start_time", "end_time"), ("ts_start", "ts_end")]

# Short enough for every route that limits the range or the number of buckets.
RANGE = timedelta(minutes=30)


def in_order(fields):
    for start, end in TIMES:
        if start in fields or end in fields:
            try:
                until = datetime.fromisoformat(fields[end].upper())
                since = until - RANGE
            except (AttributeError, KeyError, OverflowError, TypeError, ValueError):
                until = datetime.now(timezone.utc)
                since = until - RANGE
            fields[start], fields[end] = since.isoformat(), until.isoformat()
    return fields


def together(query):
    """Of the list of nodes at a moment only some fields can be asked for, and a cursor belongs to an order."""
    if "at" in query:
        for name in set(query) - {"at", "chain", "name", "state", "limit", "cursor"}:
            del query[name]
    cursor = query.get("cursor")
    if isinstance(cursor, str) and cursor.startswith("k") and "at" in query:
        del query["cursor"]
    elif isinstance(cursor, str) and cursor.startswith("k"):
        query["sort"] = "name"
    elif cursor is not None:
        query.pop("sort", None)


def storable(value):
    if isinstance(value, dict):
        return {storable(name): storable(field) for name, field in value.items()}
    if isinstance(value, list):
        return [storable(item) for item in value]
    if isinstance(value, str):
        return value.replace("\0", "")
    if isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) > 1e300:
        return 0
    return value


@schemathesis.serializer("application/x-ndjson")
def as_lines(context, value):
    return str(value).encode("utf-8", "replace")


@schemathesis.serializer("application/x-protobuf")
def as_protobuf(context, value):
    return PROTOBUF[context.case.operation.path]


@schemathesis.hook
def filter_case(context, case):
    """A body that is no JSON has no schema that it could violate; what is wrong in a line of events is counted in the answer."""
    is_right = case.meta is None or case.meta.generation.mode.is_positive
    return is_right or case.media_type not in ("application/x-ndjson", "application/x-protobuf")


@schemathesis.hook
def before_call(context, case, kwargs):
    # Unlike map_case, this is called for every request, those that follow a link too.
    if case.meta is None or case.meta.generation.mode.is_positive:
        if isinstance(case.query, dict):
            in_order(case.query)
            if case.operation.path == "/api/v1/events/stats":
                # Only a count needs no field.
                case.query.setdefault("field", "n")
            if "since" in case.query:
                case.query.pop("cursor", None)
            if case.operation.path in ("/api/v1/nodes", "/api/v1/chains/{genesis_hash}/nodes"):
                together(case.query)
        if isinstance(case.body, dict):
            case.body = in_order(storable(case.body))
            if "ends_at" in case.body:
                case.body["ends_at"] = (datetime.now(timezone.utc) + RANGE).isoformat()
