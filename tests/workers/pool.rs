//! The pool over real processes and a real token: what happens when they end, hang, or lose the token, under load.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use panvault::hsm::{
    Boxed, Client, Config, Epoch, Error, Health, Job, Plain, Reply, SecretBytes, StartFault, WorkerState,
};
use panvault::telemetry::Metrics;
use tokio::task::JoinHandle;

use crate::softhsm::SoftHsm;
use crate::token::{Token, role};
use crate::{status, until};

const SERVER: &str = "PANVAULT_TEST_SERVER";
const LIMIT: Duration = Duration::from_secs(30);

fn start(token: &Token, config: Config) -> (Client, Metrics) {
    let metrics = Metrics::new().unwrap();
    let client = Client::start(config, token.keyset(), metrics.clone()).unwrap();
    (client, metrics)
}

async fn health(client: &Client, what: &str, check: impl Fn(&Health) -> bool) {
    let begun = Instant::now();
    while !check(&client.health()) {
        assert!(begun.elapsed() < LIMIT, "not {what}: {:?}", client.health());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn all_up(client: &Client, workers: usize) {
    health(client, "all up", |health| {
        health.workers == vec![WorkerState::Up; workers] && health.pids.len() == workers
    })
    .await;
}

fn ends(metrics: &Metrics, reason: &str) -> u64 {
    metrics.hsm_worker_ends.with_label_values(&[reason]).get()
}

fn signal(pid: u32, signal: Signal) {
    kill(Pid::from_raw(i32::try_from(pid).unwrap()), signal).unwrap();
}

fn random() -> Job {
    Job::Random { len: 16 }
}

fn aad(n: usize) -> Vec<u8> {
    format!("place {n}").into_bytes()
}

/// Seals a text that only caller `n` has and opens it again.
async fn round_trip(client: &Client, n: usize) -> Result<(), Error> {
    let text = format!("caller {n}").into_bytes();
    let sealed = client
        .call(Job::Seal {
            epoch: Epoch(1),
            mac: None,
            parts: vec![Plain {
                aad: aad(n),
                text: SecretBytes::new(text.clone()),
            }],
        })
        .await?;
    let Reply::Seal { dek, parts, .. } = sealed else {
        panic!("another job's reply: {sealed:?}")
    };
    let opened = client
        .call(Job::Open {
            epoch: Epoch(1),
            dek,
            parts: parts.into_iter().map(|sealed| Boxed { aad: aad(n), sealed }).collect(),
        })
        .await?;
    let Reply::Open(parts) = opened else {
        panic!("another job's reply: {opened:?}")
    };
    assert_eq!(parts.first().map(SecretBytes::expose), Some(text.as_slice()));
    Ok(())
}

/// So many callers, one round trip after the other, until told to stop; each gives its count of round trips or the
/// first error.
struct Load {
    stop: tokio::sync::watch::Sender<bool>,
    callers: Vec<JoinHandle<Result<u64, Error>>>,
}

impl Load {
    fn start(client: &Client, callers: usize) -> Self {
        let stop = tokio::sync::watch::Sender::new(false);
        let callers = (0..callers)
            .map(|n| {
                let (client, stop) = (client.clone(), stop.subscribe());
                tokio::spawn(async move {
                    let mut done = 0;
                    while !*stop.borrow() {
                        round_trip(&client, n).await?;
                        done += 1;
                    }
                    Ok(done)
                })
            })
            .collect();
        Self { stop, callers }
    }

    async fn end(self) -> u64 {
        self.stop.send_replace(true);
        let mut total = 0;
        for caller in self.callers {
            total += caller.await.unwrap().unwrap();
        }
        total
    }
}

/// Processes whose parent this process is and that ended without being waited for.
fn zombies(pids: &[u32]) -> Vec<u32> {
    let is_zombie = |pid: &u32| status(*pid, "State").is_some_and(|state| state.starts_with('Z'));
    pids.iter().copied().filter(is_zombie).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_run_in_parallel_and_the_server_holds_neither_module_nor_pin() {
    let token = Token::new();
    let (client, metrics) = start(&token, token.config(2));
    client.ready().await.unwrap();
    all_up(&client, 2).await;
    let load = Load::start(&client, 64);
    tokio::time::sleep(Duration::from_millis(500)).await;

    let module = token.config(1).module;
    let module = fs::canonicalize(module).unwrap();
    let maps = |pid: &str| fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
    assert!(!maps("self").contains(module.to_str().unwrap()));
    let pids = client.health().pids;
    for pid in &pids {
        assert!(maps(&pid.to_string()).contains(module.to_str().unwrap()));
        for file in ["cmdline", "environ"] {
            let bytes = fs::read(format!("/proc/{pid}/{file}")).unwrap();
            let text = String::from_utf8_lossy(&bytes);
            assert!(!text.contains(SoftHsm::USER_PIN), "{file}: {text}");
        }
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap();
        let names: BTreeSet<_> = String::from_utf8_lossy(&environment)
            .split('\0')
            .filter_map(|entry| Some(entry.split_once('=')?.0.to_owned()))
            .collect();
        let allowed = [
            "CREDENTIALS_DIRECTORY",
            "JOURNAL_STREAM",
            "LANG",
            "PATH",
            "SOFTHSM2_CONF",
            "TZ",
        ];
        assert!(names.iter().all(|name| allowed.contains(&name.as_str())), "{names:?}");
    }

    assert!(load.end().await > 64);
    let cpu = |pid: &u32| -> u64 {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        let (_, after) = stat.rsplit_once(')').unwrap();
        after.split_whitespace().nth(11).unwrap().parse().unwrap()
    };
    assert!(pids.iter().all(|pid| cpu(pid) > 0), "a worker did nothing");

    client.shutdown().await;
    // Exit code 0, which a worker has only after C_Finalize; any other counts as crashed.
    assert_eq!((ends(&metrics, "stopped"), ends(&metrics, "crashed")), (2, 0));
    assert!(pids.iter().all(|pid| !Path::new(&format!("/proc/{pid}")).exists()));
    assert!(metrics.hsm_worker_peak_bytes.get() > 1 << 20);
    assert_eq!(metrics.hsm_in_flight.get(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn several_sessions_of_one_worker_give_each_caller_its_own_answer() {
    let token = Token::new();
    let (client, metrics) = start(
        &token,
        Config {
            sessions: 4,
            ..token.config(1)
        },
    );
    client.ready().await.unwrap();
    let load = Load::start(&client, 32);
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(load.end().await > 32);
    client.shutdown().await;
    assert_eq!((ends(&metrics, "stopped"), ends(&metrics, "crashed")), (1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_worker_costs_no_job() {
    let token = Token::new();
    let (client, metrics) = start(&token, token.config(2));
    all_up(&client, 2).await;
    let load = Load::start(&client, 32);
    let mut killed = Vec::new();
    for _ in 0..4 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let victim = client.health().pids[0];
        signal(victim, Signal::SIGKILL);
        killed.push(victim);
        health(&client, "replaced", |health| {
            !health.pids.contains(&victim) && health.workers == [WorkerState::Up; 2]
        })
        .await;
    }
    load.end().await;
    assert_eq!(ends(&metrics, "crashed"), 4);
    assert_eq!(zombies(&killed), [0u32; 0]);
    client.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_worker_is_killed_at_the_deadline_and_its_jobs_redone() {
    let token = Token::new();
    let (client, metrics) = start(
        &token,
        Config {
            deadline: Duration::from_secs(1),
            ..token.config(2)
        },
    );
    all_up(&client, 2).await;
    let load = Load::start(&client, 32);
    tokio::time::sleep(Duration::from_millis(100)).await;
    let victim = client.health().pids[1];
    signal(victim, Signal::SIGSTOP);
    let stopped = Instant::now();
    health(&client, "replaced", |health| {
        !health.pids.contains(&victim) && health.workers == [WorkerState::Up; 2]
    })
    .await;
    assert!(
        stopped.elapsed() >= Duration::from_millis(900),
        "{:?}",
        stopped.elapsed()
    );
    load.end().await;
    assert_eq!((ends(&metrics, "stuck"), ends(&metrics, "crashed")), (1, 0));
    assert_eq!(zombies(&[victim]), [0u32; 0]);
    client.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_worker_that_stops_is_noticed_by_its_silence() {
    let token = Token::new();
    let (client, metrics) = start(
        &token,
        Config {
            deadline: Duration::from_secs(1),
            ..token.config(1)
        },
    );
    all_up(&client, 1).await;
    let victim = client.health().pids[0];
    // Longer than the silence that is borne: heartbeats keep it.
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert_eq!(client.health().pids, [victim]);
    signal(victim, Signal::SIGSTOP);
    health(&client, "replaced", |health| {
        !health.pids.contains(&victim) && health.workers == [WorkerState::Up]
    })
    .await;
    round_trip(&client, 0).await.unwrap();
    assert_eq!(ends(&metrics, "stuck"), 1);
    client.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn recycling_under_load_costs_no_job() {
    let token = Token::new();
    let (client, metrics) = start(
        &token,
        Config {
            recycle_after: 200,
            ..token.config(2)
        },
    );
    all_up(&client, 2).await;
    let first = client.health().pids;
    let load = Load::start(&client, 32);
    let begun = Instant::now();
    while ends(&metrics, "recycled") < 5 {
        assert!(client.health().ready);
        assert!(begun.elapsed() < LIMIT, "{:?}", client.health());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    load.end().await;
    assert!(metrics.hsm_worker_peak_bytes.get() > 1 << 20);
    let others: u64 = ["crashed", "stuck", "token", "unavailable"]
        .iter()
        .map(|reason| ends(&metrics, reason))
        .sum();
    assert_eq!(others, 0);
    assert_eq!(zombies(&first), [0u32; 0]);
    client.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_absent_token_is_down_at_once_and_back_without_a_restart() {
    let token = Token::new();
    let (client, metrics) = start(&token, token.config(2));
    all_up(&client, 2).await;
    fs::rename(token.path("tokens"), token.path("elsewhere")).unwrap();
    for pid in client.health().pids {
        signal(pid, Signal::SIGKILL);
    }
    health(&client, "down", |health| {
        !health.ready
            && health
                .reason
                .as_deref()
                .is_some_and(|reason| reason.contains("not available"))
    })
    .await;
    let begun = Instant::now();
    let down = client.call(random()).await.unwrap_err();
    assert!(
        matches!(&down, Error::Down(reason) if reason.contains("not available")),
        "{down}"
    );
    assert!(begun.elapsed() < Duration::from_millis(100), "{:?}", begun.elapsed());
    assert_eq!(client.refusal(), None);

    fs::rename(token.path("elsewhere"), token.path("tokens")).unwrap();
    client.ready().await.unwrap();
    round_trip(&client, 1).await.unwrap();
    all_up(&client, 2).await;
    assert!(ends(&metrics, "unavailable") >= 1);
    client.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_pin_is_tried_once() {
    let token = Token::new();
    fs::write(token.path("user-pin"), "99999999").unwrap();
    let (client, metrics) = start(&token, token.config(3));
    let refused = client.ready().await.unwrap_err();
    assert!(matches!(client.refusal(), Some(StartFault::PinRefused(_))), "{refused}");
    assert_eq!(client.call(random()).await.unwrap_err(), refused);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(client.health().pids, [0u32; 0]);
    assert_eq!(ends(&metrics, "refused"), 1);
    assert!(!client.health().workers.contains(&WorkerState::Up));
    client.shutdown().await;

    // The PIN was not changed: another server does not try it either. Then it is, and works.
    let (client, _) = start(&token, token.config(1));
    client.ready().await.unwrap_err();
    assert!(matches!(client.refusal(), Some(StartFault::PinRefused(_))));
    client.shutdown().await;
    fs::write(token.path("user-pin"), SoftHsm::USER_PIN).unwrap();
    let (client, _) = start(&token, token.config(1));
    client.ready().await.unwrap();
    client.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_is_busy() {
    let token = Token::new();
    let (client, metrics) = start(
        &token,
        Config {
            queue: 4,
            ..token.config(1)
        },
    );
    all_up(&client, 1).await;
    let pid = client.health().pids[0];
    signal(pid, Signal::SIGSTOP);
    let waiting: Vec<_> = (0..4)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move { client.call(random()).await })
        })
        .collect();
    while metrics.hsm_in_flight.get() < 4 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(client.call(random()).await.unwrap_err(), Error::Busy);
    assert_eq!(metrics.hsm_queue_full.get(), 1);
    signal(pid, Signal::SIGCONT);
    for job in waiting {
        job.await.unwrap().unwrap();
    }
    client.call(random()).await.unwrap();
    client.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn accepted_jobs_are_finished_before_the_end() {
    let token = Token::new();
    let (client, metrics) = start(&token, token.config(2));
    all_up(&client, 2).await;
    let jobs: Vec<_> = (0..500)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move { client.call(random()).await })
        })
        .collect();
    let answered = metrics.hsm_jobs.with_label_values(&["random", "done"]);
    while metrics.hsm_in_flight.get() == 0 && answered.get_sample_count() == 0 {
        tokio::task::yield_now().await;
    }
    client.shutdown().await;
    let mut done = 0;
    for job in jobs {
        match job.await.unwrap() {
            Ok(Reply::Random(bytes)) => done += bytes.len() / 16,
            // Came after the end had begun.
            Err(Error::Down(reason)) => assert_eq!(reason, "shutting down"),
            other => panic!("{other:?}"),
        }
    }
    assert!(done > 0);
    assert_eq!((ends(&metrics, "stopped"), ends(&metrics, "crashed")), (2, 0));
}

#[test]
fn workers_die_with_their_server_even_when_stopped() {
    let token = Token::new();
    let mut server = role("pool::server", SERVER, &token.path(""))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let pids: Vec<u32> = BufReader::new(server.stdout.take().unwrap())
        .lines()
        .find_map(|line| {
            let pids = line.unwrap().split_once("workers:")?.1.to_owned();
            Some(pids.split_whitespace().map(|pid| pid.parse().unwrap()).collect())
        })
        .unwrap();
    assert_eq!(pids.len(), 2);
    // One that cannot see the end of its socket.
    signal(pids[0], Signal::SIGSTOP);
    server.kill().unwrap();
    server.wait().unwrap();
    for pid in pids {
        until("the worker is gone", Duration::from_secs(5), || {
            status(pid, "State")
                .is_none_or(|state| state.starts_with('Z'))
                .then_some(())
        });
    }
}

#[test]
#[ignore = "a role: a server that is killed"]
fn server() {
    let Some(dir) = std::env::var_os(SERVER) else {
        return;
    };
    let dir = Path::new(&dir);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let config = Token::config_in(dir, 2);
        let client = Client::start(config, Token::keyset_in(dir), Metrics::new().unwrap()).unwrap();
        all_up(&client, 2).await;
        let pids: Vec<_> = client.health().pids.iter().map(ToString::to_string).collect();
        println!("workers: {}", pids.join(" "));
        std::future::pending::<()>().await;
    });
}
