"""Forms of bodies that schemathesis does not know: their shape is text, and is sent as it is."""
import schemathesis

schemathesis.serializer.alias(["application/x-ndjson", "application/cbor-seq"], "text/plain")
