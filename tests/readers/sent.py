"""Records as senders write them: those of a credit model, and whatever is odd. From nothing but a number, so that a
failure can be had again."""
import base64
import gzip
import random
from pathlib import Path

GERMAN = Path(__file__).resolve().parents[2] / "demo/german_credit/records.ndjson.gz"


def german():
    with gzip.open(GERMAN, "rt", encoding="utf-8") as file:
        return file.read().splitlines()


def identity(n, batch):
    return f"0190a5c2-7b1e-7c3a-9d{batch:02x}-{n:012x}"


def decision(n, batch, model, inputs, output, **more):
    return {"id": identity(n, batch), "time": f"2024-06-01T{n // 3600 % 24:02}:{n // 60 % 60:02}:{n % 60:02}.{n:09}Z",
            "model": {"name": model, "version": f"{batch}.{n % 3}.0"}, "inputs": inputs, "output": output} | more


def of_models(batch, each):
    """Decisions of two models; with 1,000 of each in one settle, each gets files of its own, with its own columns."""
    chance = random.Random(batch)
    for n in range(each):
        inputs = {"income": chance.randrange(100_000), "state": chance.choice("CA NY TX".split()),
                  "owner": chance.random() < 0.5, "ratio": round(chance.random(), 3)}
        if batch > 1:
            inputs[f"new_in_{batch}"] = n / 8
        yield decision(n, batch, "wide", inputs, {"score": chance.random(), "decision": "deny"},
                       subject={"id": f"customer-{n}", "case": f"case-{n}"})
    for n in range(each, 2 * each):
        yield decision(n, batch, "narrow", {"pixels": [n, chance.random(), 3]}, chance.random(),
                       explanation={"method": "shap", "values": {"pixels": chance.random() - 0.5}})


# Values that some engine or other is known to change.
ODD = [
    None, True, False, 0, -1, 1.0, -0.0, 0.1, 1e-300, 5e-324, 1.7976931348623157e308, 2**53, 2**53 + 1, 2**63 - 1, 2**63,
    2**64 - 1, -(2**63), float("nan"), float("inf"), float("-inf"), 65504.0, 1 / 3, "", "plain", "käse", "日本語", "🦀",
    "e\u0301", "\u0000", "line\nbreak\ttab \"quote\" \\ back", "NaN", "null", "2024-06-01", "1.0", "x" * 70_000, [], {},
    [[]], [{}], [1, 2.5, 3], [1, None], [True], ["a", "b"], [1, "a"], [[1, 2], [3]], {"a": {}}, {"a": {"b": {"c": 1}}},
    {"$bytes": base64.b64encode(bytes(range(256))).decode()}, {"$bytes": ""}, {"$f64": "NaN"}, {"$$f64": "mine"},
    {"$blob": {"digest": "sha256:" + "ab" * 32, "bytes": 12, "media_type": "image/png"}}, [{"$f64": "-Infinity"}],
]
KEYS = ["plain", "odd key", "a.b", "käse", "", "$$ref", "UPPER", "upper", "0", "with-dash", "semi;colon", "a:num", "rest"]


def odd(batch):
    number = iter(range(5_000, 100_000))
    for value in ODD:
        yield decision(next(number), batch, "odd", {"value": value, "of": "values"}, {"echo": value})
        if value is not None:
            yield decision(next(number), batch, "odd", {"bare": 1}, value)
    for key in KEYS:
        for value in (1, "one", True, [0.5]):
            yield decision(next(number), batch, "odd", {key: value, "nested": {key: {key: value}}}, 1)
    # One path with values of many types, dense enough that each has a column.
    for n in range(60):
        value = [n / 2, f"text {n}", n % 2 == 0, [n, n / 4], None, {"deep": n}][n % 6]
        yield decision(next(number), batch, "odd", {"mixed": value}, {"mixed": {"deep": value}})
    for bare in ([1, 2], ["a"], 3.5, "text", True):
        yield decision(next(number), batch, "odd", bare, bare)
    yield {"model": {"name": "odd", "version": "1"}, "inputs": {}, "output": {}}
    yield decision(next(number), batch, "odd", {"a": 1}, None, error="timeout")
    yield decision(next(number), batch, "odd", None, 1, inputs_withheld="licence")
    yield decision(next(number), batch, "odd", {"a": 1}, 1, time=1_717_243_200_123_456_789, profile=["reg-b", "gdpr"],
                   clock={"max_error_ns": 1, "source": "kernel", "synced": True}, result={"class": "deny", "adverse": True},
                   sampling={"probability": 0.25, "reason": "head", "rules": "r1"}, context={"environment": "test"},
                   trace={"trace_id": "4bf92f3577b34da6a3ce929d0e0e4736", "span_id": "00f067aa0ba902b7"},
                   producer={"name": "p", "instance": "i", "seq": 2**63 - 1}, parameters={"threshold": 0.5, "none": None},
                   subject={"id": "s", "case": "c", "demographics": {"sex": "f", "age": 40}})
    yield from late(batch)


def late(batch):
    about = identity(0, batch)
    yield {"id": identity(200_000, batch), "kind": "outcome", "about": about, "output": {"defaulted": False}}
    yield {"id": identity(200_001, batch), "kind": "explanation", "about": about, "explanation": {"values": {"income": 1}}}
    yield {"id": identity(200_002, batch), "kind": "oversight", "about": about, "output": {"before": "deny", "after": "ok"},
           "context": {"reason": "appeal"}, "subject": {"id": "clerk-7"}}
    yield {"id": identity(200_003, batch), "kind": "outcome", "about": identity(999_999, batch), "output": "dangling"}
    yield {"kind": "gap", "producer": {"name": "p", "instance": "i", "seq": 7}, "context": {"first": 3, "count": 4}}
    yield {"kind": "model", "model": {"name": "odd", "version": "9"}, "parameters": {"event": "retired"}}
