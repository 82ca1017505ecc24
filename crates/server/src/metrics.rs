//! What is counted, for Prometheus. Every name begins with `onrecord_`; labels are names of routes, trails, problems and
//! kinds, and never anything that a caller or a record brings.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::{Family, MetricConstructor};
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::room::Room;
use crate::trails::Trails;

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OfRequest {
    route: &'static str,
    method: &'static str,
    status: u16,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OfRoute {
    route: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OfTrail {
    trail: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OfOutcome {
    trail: String,
    outcome: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OfReason {
    reason: &'static str,
}

/// Seconds of an answer, from a memory look-up to a long query.
#[derive(Clone)]
struct Seconds;

impl MetricConstructor<Histogram> for Seconds {
    fn new_metric(&self) -> Histogram {
        Histogram::new([0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0])
    }
}

/// What a server counts.
pub struct Metrics {
    registry: Registry,
    requests: Family<OfRequest, Counter>,
    seconds: Family<OfRoute, Histogram, Seconds>,
    connections: Gauge,
    connections_closed: Family<OfReason, Counter>,
    appended: Family<OfOutcome, Counter>,
    access: Family<OfTrail, Counter>,
    access_lost: Family<OfTrail, Counter>,
    refusals: Family<OfReason, Counter>,
    in_flight: Gauge,
    answers: Gauge,
    records: Family<OfTrail, Gauge>,
    sealed: Family<OfTrail, Gauge>,
    settled: Family<OfTrail, Gauge>,
    journal: Family<OfTrail, Gauge>,
    running: Family<OfTrail, Gauge>,
}

impl Metrics {
    /// Nothing counted yet.
    pub fn new() -> Metrics {
        let mut metrics = Metrics {
            registry: Registry::with_prefix("onrecord"),
            requests: Family::default(),
            seconds: Family::new_with_constructor(Seconds),
            connections: Gauge::default(),
            connections_closed: Family::default(),
            appended: Family::default(),
            access: Family::default(),
            access_lost: Family::default(),
            refusals: Family::default(),
            in_flight: Gauge::default(),
            answers: Gauge::default(),
            records: Family::default(),
            sealed: Family::default(),
            settled: Family::default(),
            journal: Family::default(),
            running: Family::default(),
        };
        let registry = &mut metrics.registry;
        registry.register("http_requests", "Requests answered", metrics.requests.clone());
        registry.register("http_request_seconds", "From a request's head to its answer's", metrics.seconds.clone());
        registry.register("connections", "Connections that are open", metrics.connections.clone());
        registry.register(
            "connections_closed_early",
            "Connections closed by a limit",
            metrics.connections_closed.clone(),
        );
        registry.register("records_appended", "Records of requests, by what became of them", metrics.appended.clone());
        registry.register("access_records", "Access records written", metrics.access.clone());
        registry.register(
            "access_records_lost",
            "Access records that could not be written",
            metrics.access_lost.clone(),
        );
        registry.register("refusals", "Requests refused, by the kind of problem", metrics.refusals.clone());
        registry.register("in_flight_bytes", "Memory of bodies and records under way", metrics.in_flight.clone());
        registry.register("answers_bytes", "Memory of whole answers that are being read", metrics.answers.clone());
        registry.register("trail_records", "Records that are durable", metrics.records.clone());
        registry.register("trail_sealed", "Records under the last checkpoint", metrics.sealed.clone());
        registry.register("trail_settled", "Records in the lake", metrics.settled.clone());
        registry.register("trail_journal_bytes", "Bytes in the journal", metrics.journal.clone());
        registry.register("trail_running", "1 while the trail takes records", metrics.running.clone());
        metrics
    }

    /// A request was answered.
    pub fn answered(&self, route: &'static str, method: &'static str, status: u16, seconds: f64) {
        self.requests.get_or_create(&OfRequest { route, method, status }).inc();
        self.seconds.get_or_create(&OfRoute { route }).observe(seconds);
    }

    /// A connection is open, or no longer.
    pub fn connections(&self, open: i64) {
        self.connections.set(open);
    }

    /// A connection was closed before it was done.
    pub fn connection_closed(&self, reason: &'static str) {
        self.connections_closed.get_or_create(&OfReason { reason }).inc();
    }

    /// What became of the records of a request.
    pub fn appended(&self, trail: &str, taken: u64, again: u64, refused: u64) {
        for (outcome, count) in [("taken", taken), ("again", again), ("refused", refused)] {
            self.appended.get_or_create(&OfOutcome { trail: trail.to_owned(), outcome }).inc_by(count);
        }
    }

    /// Access records were written.
    pub fn access_records(&self, trail: &str, count: u64) {
        self.access.get_or_create(&OfTrail { trail: trail.to_owned() }).inc_by(count);
    }

    /// Access records could not be written.
    pub fn access_records_lost(&self, trail: &str, count: u64) {
        self.access_lost.get_or_create(&OfTrail { trail: trail.to_owned() }).inc_by(count);
    }

    /// A request was refused.
    pub fn refused(&self, reason: &'static str) {
        self.refusals.get_or_create(&OfReason { reason }).inc();
    }

    /// Everything as text, with the trails' figures as they are now.
    pub fn text(&self, trails: &Trails, room: &Room, answers: &Room) -> Result<String, std::fmt::Error> {
        let gauge = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        self.in_flight.set(gauge(room.taken() as u64));
        self.answers.set(gauge(answers.taken() as u64));
        for served in trails.iter() {
            let of = OfTrail { trail: served.name().to_owned() };
            self.running.get_or_create(&of).set(i64::from(served.is_running()));
            let Some(status) = served.status() else { continue };
            self.records.get_or_create(&of).set(gauge(status.records));
            self.sealed.get_or_create(&of).set(gauge(status.sealed));
            self.settled.get_or_create(&of).set(gauge(status.settled));
            self.journal.get_or_create(&of).set(gauge(status.journal_bytes));
        }
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Metrics::new()
    }
}
