//! The store under load: how fast it commits, and what a million records cost. Long, and meaningful only in release mode:
//! `cargo test --release --test store_load -- --ignored --nocapture --test-threads 1`. Prints one JSON object per test.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test, also outside its test functions"
)]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use panvault::id::{UnixMillis, fill_random};
use panvault::store::sled::SledStore;
use panvault::store::{Commit, Cond, Config, Depth, Key, Outcome, Part, Store, Write};
use panvault::telemetry::Metrics;

const RECORDS: u8 = 0x10;
const CACHE: u64 = 256 << 20;

/// On a real disk: `/tmp` may be memory. `PANVAULT_BENCH_DIR` names another.
fn scratch() -> tempfile::TempDir {
    tempfile::tempdir_in(std::env::var_os("PANVAULT_BENCH_DIR").unwrap_or("/var/tmp".into())).unwrap()
}

fn config(dir: &Path) -> Config {
    Config {
        create: true,
        cache_bytes: CACHE,
        record_table: Some(RECORDS),
        ..Config::new(dir)
    }
}

fn key(table: u8, parts: &[&[u8]]) -> Key {
    Key([&[table], parts.concat().as_slice()].concat())
}

/// A tokenize as the vault writes it: the record under its token, the PAN index, the updated-at index, an event. The
/// token is random, which is the worst case for the cache.
fn tokenize(value: &mut [u8]) -> Commit {
    const REPOSITORY: [u8; 4] = [0, 0, 0, 1];
    fill_random(value).unwrap();
    let (mut random, mut mac) = ([0; 16], [0; 16]);
    fill_random(&mut random).unwrap();
    fill_random(&mut mac).unwrap();
    let token = format!("tok_{}", data_encoding::HEXLOWER.encode(&random));
    let now = UnixMillis::now().0;
    let record = key(RECORDS, &[&REPOSITORY, token.as_bytes()]);
    let event = format!(
        "{{\"at\":{now},\"action\":\"tokenize\",\"outcome\":\"ok\",\"peer\":{{\"uid\":1000,\"gid\":1000,\"pid\":4242}},\
         \"dialect\":\"native\",\"merchant\":\"shop\",\"repository\":\"shop\",\"token\":\"{token}\",\"request\":\"req_{token}\"}}"
    );
    Commit {
        conds: vec![Cond::Absent(record.clone())],
        writes: vec![
            Write::Put(record, value.to_vec()),
            Write::Put(key(0x11, &[&REPOSITORY, &mac, token.as_bytes()]), Vec::new()),
            Write::Put(
                key(0x14, &[&REPOSITORY, &now.to_be_bytes(), token.as_bytes()]),
                Vec::new(),
            ),
        ],
        event: Some(event.into_bytes()),
        records: 1,
        ..Commit::default()
    }
}

struct Load {
    commits: u64,
    seconds: f64,
    /// Sorted, microseconds.
    latencies: Vec<u64>,
}

/// Closed loop of `writers` until `until` says so.
async fn load(store: &Arc<SledStore>, writers: usize, until: impl Fn(u64) -> bool) -> Load {
    let (stop, count) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let start = Instant::now();
    let tasks: Vec<_> = (0..writers)
        .map(|_| {
            let (store, stop, count) = (store.clone(), stop.clone(), count.clone());
            tokio::spawn(async move {
                let (mut latencies, mut value) = (Vec::new(), vec![0; 600]);
                while !stop.load(Ordering::Relaxed) {
                    let commit = tokenize(&mut value);
                    let sent = Instant::now();
                    assert!(matches!(store.commit(commit).await, Ok(Outcome::Done { .. })));
                    latencies.push(u64::try_from(sent.elapsed().as_micros()).unwrap());
                    count.fetch_add(1, Ordering::Relaxed);
                }
                latencies
            })
        })
        .collect();
    while !until(count.load(Ordering::Relaxed)) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    stop.store(true, Ordering::Relaxed);
    let mut latencies = Vec::new();
    for task in tasks {
        latencies.extend(task.await.unwrap());
    }
    latencies.sort_unstable();
    Load {
        commits: count.load(Ordering::Relaxed),
        seconds: start.elapsed().as_secs_f64(),
        latencies,
    }
}

impl Load {
    fn figures(&self, cpu_us: u64) -> String {
        format!(
            "\"per_s\":{:.0},\"p50_us\":{},\"p99_us\":{},\"cpu_us_per_commit\":{}",
            f64::from(u32::try_from(self.commits).unwrap()) / self.seconds,
            self.percentile(500),
            self.percentile(990),
            cpu_us / self.commits
        )
    }

    fn percentile(&self, per_mille: usize) -> u64 {
        self.latencies[(self.latencies.len() - 1) * per_mille / 1000]
    }
}

fn cpu_us() -> u64 {
    let usage = nix::sys::resource::getrusage(nix::sys::resource::UsageWho::RUSAGE_SELF).unwrap();
    [usage.user_time(), usage.system_time()]
        .iter()
        .map(|time| u64::try_from(time.tv_sec() * 1_000_000 + time.tv_usec()).unwrap())
        .sum()
}

fn rss_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a benchmark: run it in release mode"]
async fn commits_per_second() {
    let temp = scratch();
    let store = Arc::new(SledStore::open(config(temp.path()), Metrics::new().unwrap()).unwrap());
    for writers in [1, 8, 64, 64, 64] {
        let (since, cpu) = (Instant::now(), cpu_us());
        let load = load(&store, writers, |_| since.elapsed() >= Duration::from_secs(4)).await;
        println!("{{\"writers\":{writers},{}}}", load.figures(cpu_us() - cpu));
        assert!(load.commits > 0);
    }
    store.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a million records: run it in release mode"]
async fn a_million_records() {
    let temp = scratch();
    let store = Arc::new(SledStore::open(config(temp.path()), Metrics::new().unwrap()).unwrap());
    for stored in (100_000..=1_000_000).step_by(100_000) {
        let cpu = cpu_us();
        let load = load(&store, 64, |count| count >= 100_000).await;
        println!("{{\"stored\":{stored},{}}}", load.figures(cpu_us() - cpu));
    }
    let rss = rss_bytes();
    let records = store.health().records;
    assert!(records >= 1_000_000);
    println!("{{\"records\":{records},\"rss_mib\":{}}}", rss >> 20);
    assert!(rss <= 2 * CACHE + 200 * records, "memory");
    let since = Instant::now();
    store.close().await.unwrap();
    println!("{{\"close_s\":{:.2}}}", since.elapsed().as_secs_f64());
    drop(store);

    let since = Instant::now();
    let store = SledStore::open(config(temp.path()), Metrics::new().unwrap()).unwrap();
    let opening = since.elapsed();
    println!(
        "{{\"open_s\":{:.2},\"rss_mib\":{}}}",
        opening.as_secs_f64(),
        rss_bytes() >> 20
    );
    assert!(opening < Duration::from_secs(10), "opening");
    assert_eq!(store.health().records, records);
    let absent = store.get(Part(0), &key(RECORDS, &[&[0; 16]])).await.unwrap();
    assert_eq!(absent, None);
    let since = Instant::now();
    let report = store.verify(Depth::Full).await.unwrap();
    assert_eq!(report.faults, Vec::<String>::new());
    assert_eq!(report.audit_lines, records);
    println!(
        "{{\"verify_s\":{:.2},\"entries\":{},\"disk_mib\":{}}}",
        since.elapsed().as_secs_f64(),
        report.entries,
        store.health().disk_bytes >> 20
    );
    store.close().await.unwrap();
}
