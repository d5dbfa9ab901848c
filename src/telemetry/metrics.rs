//! Every metric the daemon has, in one struct that is handed down; there are no statics.

use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    TextEncoder,
};

/// The daemon's metrics. Names begin with `panvault_`; durations are seconds, sizes bytes.
#[derive(Clone)]
pub struct Metrics {
    registry: Registry,
    /// Requests by `dialect`, `route` (the pattern, never the path) and `outcome` (status code), with latency.
    pub requests: HistogramVec,
    /// HSM jobs by `job` and `outcome`, from hand-over to reply.
    pub hsm_jobs: HistogramVec,
    /// Jobs handed over and not answered.
    pub hsm_in_flight: IntGauge,
    /// Workers by `state`: starting, up, draining, down.
    pub hsm_workers: IntGaugeVec,
    /// Workers that ended, by `reason`: recycled, crashed, stuck, token, refused, unavailable, stopped.
    pub hsm_worker_ends: IntCounterVec,
    /// 1 while no new worker gets the PIN: custodians have not unsealed the vault.
    pub sealed: IntGauge,
    /// Shares that custodians gave so far.
    pub shares_given: IntGauge,
    /// Shares that unseal.
    pub shares_needed: IntGauge,
    /// Peak resident memory of the worker that was recycled or stopped last, in bytes.
    pub hsm_worker_peak_bytes: IntGauge,
    /// Jobs refused because the queue was full.
    pub hsm_queue_full: IntCounter,
    /// Commits by `outcome`: done, condition, error.
    pub store_commits: IntCounterVec,
    /// Commits per durable batch.
    pub store_batch: Histogram,
    /// Time of flush and fdatasync together.
    pub store_sync: Histogram,
    /// Free bytes on the store's disk.
    pub store_free_bytes: IntGauge,
    /// Bytes of the store on disk.
    pub store_disk_bytes: IntGauge,
    /// 1 while writes are taken.
    pub store_writable: IntGauge,
    /// Token records stored.
    pub tokens: IntGauge,
    /// Core operations by `op` and `outcome`.
    pub operations: IntCounterVec,
    /// Audit records committed.
    pub audit_records: IntCounter,
    /// Audit records still in the store, not yet in a segment file.
    pub audit_window: IntGauge,
    /// Audit records that no signed head covers yet.
    pub audit_unsigned_records: IntGauge,
    /// For how long there have been such records, in seconds: an alarm.
    pub audit_unsigned_seconds: IntGauge,
    /// Audit records that wait to be copied to the journal, where that is wanted: an alarm.
    pub audit_uncopied_records: IntGauge,
    /// Ciphertexts that did not open in their place: an alarm.
    pub tampered: IntCounter,
    /// Refusals by a caller's cap, by `op`: an alarm.
    pub cap_refusals: IntCounterVec,
    /// Operations refused before they began, by `op` and `outcome`: denied, suspended, capped.
    pub refusals: IntCounterVec,
    /// Failed authentications by `dialect`.
    pub auth_failures: IntCounterVec,
    /// The KEK epoch that seals.
    pub kek_epoch: IntGauge,
    /// When that epoch seals no more, in seconds of Unix time.
    pub kek_not_after: IntGauge,
    /// Data keys that it wrapped.
    pub kek_ops: IntGauge,
    /// How many it may; 0: no limit.
    pub kek_max_ops: IntGauge,
    /// Compromised epochs that are not destroyed: an alarm.
    pub kek_compromised: IntGauge,
    /// Records put under another KEK epoch.
    pub rewrapped: IntCounter,
    /// 1 while a rotation is not finished.
    pub rewrap_running: IntGauge,
    /// The fingerprint key that new entries are found under.
    pub fingerprint_key: IntGauge,
    /// Records put under another fingerprint key.
    pub refingerprinted: IntCounter,
    /// 1 while a rotation of the fingerprint key is not finished.
    pub refingerprint_running: IntGauge,
    /// Tokens removed by the sweeper.
    pub expired: IntCounter,
    /// Attempts to deliver a notification to a merchant, by `outcome`: delivered, failed, dead.
    pub notifications: IntCounterVec,
    /// Payments whose notifications wait, or are under way.
    pub notifications_waiting: IntGauge,
    /// Notifications that were given up: an alarm.
    pub notifications_dead: IntGauge,
    /// Open connections by `listener`.
    pub connections: IntGaugeVec,
}

const LATENCY: &[f64] = &[
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0,
];

impl Metrics {
    /// Registers them all in a registry of their own.
    ///
    /// # Errors
    /// Two metrics of one name: a defect of this file.
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let histogram_vec = |name: &str, help: &str, labels: &[&str]| {
            let vec = HistogramVec::new(HistogramOpts::new(name, help).buckets(LATENCY.to_vec()), labels)?;
            registry.register(Box::new(vec.clone()))?;
            Ok::<_, prometheus::Error>(vec)
        };
        let counter_vec = |name: &str, help: &str, labels: &[&str]| {
            let vec = IntCounterVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(vec.clone()))?;
            Ok::<_, prometheus::Error>(vec)
        };
        let gauge_vec = |name: &str, help: &str, labels: &[&str]| {
            let vec = IntGaugeVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(vec.clone()))?;
            Ok::<_, prometheus::Error>(vec)
        };
        let counter = |name: &str, help: &str| {
            let one = IntCounter::new(name, help)?;
            registry.register(Box::new(one.clone()))?;
            Ok::<_, prometheus::Error>(one)
        };
        let gauge = |name: &str, help: &str| {
            let one = IntGauge::new(name, help)?;
            registry.register(Box::new(one.clone()))?;
            Ok::<_, prometheus::Error>(one)
        };
        let histogram = |name: &str, help: &str, buckets: Vec<f64>| {
            let one = Histogram::with_opts(HistogramOpts::new(name, help).buckets(buckets))?;
            registry.register(Box::new(one.clone()))?;
            Ok::<_, prometheus::Error>(one)
        };
        Ok(Self {
            requests: histogram_vec(
                "panvault_request_seconds",
                "Requests by dialect, route and status code",
                &["dialect", "route", "outcome"],
            )?,
            hsm_jobs: histogram_vec(
                "panvault_hsm_job_seconds",
                "HSM jobs by kind and outcome",
                &["job", "outcome"],
            )?,
            hsm_in_flight: gauge("panvault_hsm_in_flight", "HSM jobs waiting or at work")?,
            hsm_workers: gauge_vec("panvault_hsm_workers", "HSM workers by state", &["state"])?,
            hsm_worker_ends: counter_vec(
                "panvault_hsm_worker_ends_total",
                "HSM workers that ended, by reason",
                &["reason"],
            )?,
            sealed: gauge("panvault_sealed", "1 while custodians have not unsealed the vault")?,
            shares_given: gauge("panvault_shares_given", "Shares that custodians gave so far")?,
            shares_needed: gauge("panvault_shares_needed", "Shares that unseal the vault")?,
            hsm_worker_peak_bytes: gauge(
                "panvault_hsm_worker_peak_bytes",
                "Peak resident memory of the HSM worker that ended in order last",
            )?,
            hsm_queue_full: counter("panvault_hsm_queue_full_total", "HSM jobs refused for a full queue")?,
            store_commits: counter_vec("panvault_store_commits_total", "Commits by outcome", &["outcome"])?,
            store_batch: histogram(
                "panvault_store_batch_commits",
                "Commits per durable batch",
                vec![1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0],
            )?,
            store_sync: histogram(
                "panvault_store_sync_seconds",
                "Flush and fdatasync of a batch",
                LATENCY.to_vec(),
            )?,
            store_free_bytes: gauge("panvault_store_free_bytes", "Free bytes on the store's disk")?,
            store_disk_bytes: gauge("panvault_store_disk_bytes", "Bytes of the store on disk")?,
            store_writable: gauge("panvault_store_writable", "1 while the store takes writes")?,
            tokens: gauge("panvault_tokens", "Token records stored")?,
            operations: counter_vec(
                "panvault_operations_total",
                "Core operations by kind and outcome",
                &["op", "outcome"],
            )?,
            audit_records: counter("panvault_audit_records_total", "Audit records committed")?,
            audit_window: gauge("panvault_audit_window", "Audit records not yet in a segment file")?,
            audit_unsigned_records: gauge(
                "panvault_audit_unsigned_records",
                "Audit records that no signed head covers yet",
            )?,
            audit_unsigned_seconds: gauge(
                "panvault_audit_unsigned_seconds",
                "For how long there have been audit records that no signed head covers",
            )?,
            audit_uncopied_records: gauge(
                "panvault_audit_uncopied_records",
                "Audit records that wait to be copied to the journal",
            )?,
            tampered: counter(
                "panvault_tampered_total",
                "Ciphertexts that did not open in their place",
            )?,
            cap_refusals: counter_vec("panvault_cap_refusals_total", "Refusals by a caller's cap", &["op"])?,
            refusals: counter_vec(
                "panvault_refusals_total",
                "Operations refused by policy, suspension or cap",
                &["op", "outcome"],
            )?,
            auth_failures: counter_vec("panvault_auth_failures_total", "Failed authentications", &["dialect"])?,
            kek_epoch: gauge("panvault_kek_epoch", "The KEK epoch that seals")?,
            kek_not_after: gauge(
                "panvault_kek_not_after_seconds",
                "When the KEK epoch that seals seals no more, Unix time",
            )?,
            kek_ops: gauge(
                "panvault_kek_ops",
                "Data keys that the KEK epoch that seals has wrapped",
            )?,
            kek_max_ops: gauge("panvault_kek_max_ops", "How many data keys it may wrap; 0: no limit")?,
            kek_compromised: gauge(
                "panvault_kek_compromised",
                "KEK epochs that are compromised and not destroyed",
            )?,
            rewrapped: counter("panvault_rewrapped_total", "Records put under another KEK epoch")?,
            rewrap_running: gauge("panvault_rewrap_running", "1 while a KEK rotation is not finished")?,
            fingerprint_key: gauge(
                "panvault_fingerprint_key",
                "The fingerprint key that new entries are found under",
            )?,
            refingerprinted: counter(
                "panvault_refingerprinted_total",
                "Records put under another fingerprint key",
            )?,
            refingerprint_running: gauge(
                "panvault_refingerprint_running",
                "1 while a rotation of the fingerprint key is not finished",
            )?,
            expired: counter("panvault_expired_total", "Tokens removed after their expiry")?,
            notifications: counter_vec(
                "panvault_notifications_total",
                "Attempts to deliver a notification to a merchant, by outcome",
                &["outcome"],
            )?,
            notifications_waiting: gauge(
                "panvault_notifications_waiting",
                "Payments whose notifications wait, or are under way",
            )?,
            notifications_dead: gauge("panvault_notifications_dead", "Notifications that were given up")?,
            connections: gauge_vec("panvault_connections", "Open connections by listener", &["listener"])?,
            registry,
        })
    }

    /// All of them in the Prometheus text format.
    ///
    /// # Errors
    /// The encoder's.
    pub fn render(&self) -> Result<String, prometheus::Error> {
        TextEncoder::new().encode_to_string(&self.registry.gather())
    }
}
