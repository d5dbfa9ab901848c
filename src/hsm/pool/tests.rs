//! The supervisor and the dispatch over workers that are threads; `tests/workers.rs` does it with processes and a token.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::fake::{Threads, config, keyset};
use crate::hsm::{Client, Config, Error, Job, Reply, StartFault, WorkerState};
use crate::telemetry::Metrics;

fn start(config: Config) -> (Client, Threads, Metrics) {
    let threads = Threads::default();
    let metrics = Metrics::new().unwrap();
    let client = Client::start_with(threads.clone(), config, keyset(), metrics.clone()).unwrap();
    (client, threads, metrics)
}

/// With a deadline that a job which hangs exceeds.
fn impatient(workers: usize) -> Config {
    Config {
        deadline: Duration::from_millis(500),
        ..config(workers)
    }
}

fn sign(message: &[u8]) -> Job {
    Job::Sign {
        generation: crate::hsm::Generation::FIRST,
        message: message.to_vec(),
    }
}

async fn until(client: &Client, what: impl Fn(&crate::hsm::Health) -> bool) {
    let begun = Instant::now();
    while !what(&client.health()) {
        assert!(begun.elapsed() < Duration::from_secs(10), "still {:?}", client.health());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn all_up(client: &Client) {
    until(client, |health| {
        health.workers.iter().all(|worker| *worker == WorkerState::Up)
    })
    .await;
}

async fn in_flight(metrics: &Metrics, what: impl Fn(i64) -> bool) {
    let begun = Instant::now();
    while !what(metrics.hsm_in_flight.get()) {
        assert!(begun.elapsed() < Duration::from_secs(10));
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

fn ends(metrics: &Metrics, reason: &str) -> u64 {
    metrics.hsm_worker_ends.with_label_values(&[reason]).get()
}

#[tokio::test]
async fn many_jobs_at_once_get_each_its_own_answer() {
    let (client, _, metrics) = start(config(3));
    // One that were still starting at the end would not count as stopped.
    all_up(&client).await;
    let jobs: Vec<_> = (0..200u16)
        .map(|len| {
            let client = client.clone();
            tokio::spawn(async move { (len, client.call(Job::Random { len }).await.unwrap()) })
        })
        .collect();
    for job in jobs {
        let (len, reply) = job.await.unwrap();
        assert!(matches!(reply, Reply::Random(bytes) if bytes.len() == usize::from(len)));
    }
    assert_eq!(metrics.hsm_in_flight.get(), 0);
    assert_eq!(
        metrics
            .hsm_jobs
            .with_label_values(&["random", "done"])
            .get_sample_count(),
        200
    );
    client.shutdown().await;
    assert_eq!(ends(&metrics, "stopped"), 3);
    assert!(client.health().pids.is_empty());
    assert!(matches!(client.call(sign(b"x")).await, Err(Error::Down(_))));
}

#[tokio::test]
async fn several_sessions_work_side_by_side() {
    let (client, _, _) = start(Config {
        sessions: 4,
        ..config(1)
    });
    client.ready().await.unwrap();
    let begun = Instant::now();
    let jobs: Vec<_> = (0..4)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move { client.call(sign(b"hang")).await })
        })
        .collect();
    for job in jobs {
        job.await.unwrap().unwrap();
    }
    // One after the other they take eight seconds.
    assert!(begun.elapsed() < Duration::from_secs(6), "{:?}", begun.elapsed());
    client.shutdown().await;
}

#[tokio::test]
async fn faults_of_a_job_are_its_own() {
    let (client, threads, _) = start(Config { ..config(1) });
    client.ready().await.unwrap();
    assert_eq!(client.call(sign(b"tampered")).await.unwrap_err(), Error::Tampered);
    assert_eq!(
        client.call(Job::Probe).await.unwrap_err(),
        Error::Malformed("probe".to_owned())
    );
    let long = client.call(sign(&vec![1; 9 << 20])).await.unwrap_err();
    assert!(matches!(long, Error::Malformed(_)), "{long}");
    client.call(sign(b"fine")).await.unwrap();
    assert_eq!(threads.started.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_full_queue_is_busy_and_then_empties() {
    let (client, _, metrics) = start(Config { queue: 2, ..config(1) });
    client.ready().await.unwrap();
    let slow: Vec<_> = [b"hang", b"fine"]
        .into_iter()
        .map(|message| {
            let client = client.clone();
            tokio::spawn(async move { client.call(sign(message)).await })
        })
        .collect();
    in_flight(&metrics, |jobs| jobs == 2).await;
    assert_eq!(client.call(sign(b"x")).await.unwrap_err(), Error::Busy);
    assert_eq!(metrics.hsm_queue_full.get(), 1);
    for job in slow {
        job.await.unwrap().unwrap();
    }
    client.call(sign(b"x")).await.unwrap();
}

#[tokio::test]
async fn a_caller_that_goes_away_still_counts_until_its_job_is_done() {
    let (client, _, metrics) = start(Config { queue: 1, ..config(1) });
    client.ready().await.unwrap();
    let gone = client.call(sign(b"hang"));
    assert!(tokio::time::timeout(Duration::from_millis(5), gone).await.is_err());
    assert_eq!(client.call(sign(b"x")).await.unwrap_err(), Error::Busy);
    in_flight(&metrics, |jobs| jobs == 0).await;
    client.call(sign(b"x")).await.unwrap();
}

#[tokio::test]
async fn a_job_that_hangs_takes_two_workers_at_most() {
    let (client, threads, metrics) = start(impatient(3));
    all_up(&client).await;
    let begun = Instant::now();
    assert_eq!(client.call(sign(b"hang")).await.unwrap_err(), Error::Deadline);
    let took = begun.elapsed();
    assert!(
        took > Duration::from_millis(950) && took < Duration::from_millis(1900),
        "{took:?}"
    );
    until(&client, |_| threads.started.load(Ordering::SeqCst) == 5).await;
    tokio::time::sleep(Duration::from_millis(700)).await;
    all_up(&client).await;
    assert_eq!(threads.started.load(Ordering::SeqCst), 5);
    client.shutdown().await;
    assert_eq!(ends(&metrics, "stuck"), 2);
}

#[tokio::test]
async fn jobs_behind_a_stuck_one_are_redone_by_its_neighbour() {
    let (client, _, _) = start(impatient(2));
    all_up(&client).await;
    let hang = {
        let client = client.clone();
        tokio::spawn(async move { client.call(sign(b"hang")).await })
    };
    tokio::time::sleep(Duration::from_millis(50)).await;
    let jobs: Vec<_> = (0..20)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move { client.call(sign(b"fine")).await })
        })
        .collect();
    for job in jobs {
        job.await.unwrap().unwrap();
    }
    assert_eq!(hang.await.unwrap().unwrap_err(), Error::Deadline);
}

#[tokio::test]
async fn jobs_survive_all_workers_being_stuck_at_once() {
    let (client, _, metrics) = start(impatient(2));
    all_up(&client).await;
    let call = |message: &'static [u8]| {
        let client = client.clone();
        tokio::spawn(async move { client.call(sign(message)).await })
    };
    let hang = [call(b"hang"), call(b"hang")];
    in_flight(&metrics, |jobs| jobs == 2).await;
    let fine: Vec<_> = (0..20).map(|_| call(b"fine")).collect();
    for job in fine {
        job.await.unwrap().unwrap();
    }
    for job in hang {
        assert_eq!(job.await.unwrap().unwrap_err(), Error::Deadline);
    }
}

#[tokio::test]
async fn a_lost_token_replaces_the_worker_and_fails_the_job_only_after_a_second_try() {
    let (client, threads, metrics) = start(config(2));
    all_up(&client).await;
    let lost = client.call(sign(b"lost")).await.unwrap_err();
    assert!(matches!(lost, Error::Down(_)), "{lost}");
    until(&client, |health| {
        let started = threads.started.load(Ordering::SeqCst);
        started == 4 && health.workers == [WorkerState::Up; 2] && health.pids.len() == 2
    })
    .await;
    client.call(sign(b"fine")).await.unwrap();
    assert_eq!(ends(&metrics, "token"), 2);
    assert_eq!(threads.started.load(Ordering::SeqCst), 4);
}

#[tokio::test]
async fn recycling_under_load_fails_no_job() {
    let (client, threads, metrics) = start(Config {
        recycle_after: 50,
        ..config(2)
    });
    client.ready().await.unwrap();
    let callers: Vec<_> = (0..16)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move {
                for len in 0..100 {
                    client.call(Job::Random { len }).await.unwrap();
                    assert!(client.health().ready);
                }
            })
        })
        .collect();
    for caller in callers {
        caller.await.unwrap();
    }
    until(&client, |health| {
        health.workers == [WorkerState::Up; 2] && health.pids.len() == 2
    })
    .await;
    assert!(threads.started.load(Ordering::SeqCst) > 4);
    assert!(ends(&metrics, "recycled") >= 3);
    assert_eq!(ends(&metrics, "crashed"), 0);
    assert_eq!(metrics.hsm_worker_peak_bytes.get(), 4096);
}

#[tokio::test]
async fn a_refused_pin_is_tried_once_whatever_the_number_of_workers() {
    let mut config = config(4);
    config.environment.insert("start".to_owned(), "pin".to_owned());
    let (client, threads, metrics) = start(config);
    let refused = client.ready().await.unwrap_err();
    assert_eq!(refused, Error::Down("the token refused the PIN: wrong".to_owned()));
    assert_eq!(client.call(sign(b"x")).await.unwrap_err(), refused);
    assert_eq!(client.refusal(), Some(StartFault::PinRefused("wrong".to_owned())));
    tokio::time::sleep(Duration::from_millis(400)).await;
    assert_eq!(threads.started.load(Ordering::SeqCst), 1);
    assert_eq!(ends(&metrics, "refused"), 1);
    client.shutdown().await;
}

#[tokio::test]
async fn who_comes_before_the_first_worker_waits_for_it() {
    let mut config = config(2);
    config.environment.insert("slow".to_owned(), String::new());
    let (client, _, metrics) = start(config.clone());
    client.call(sign(b"x")).await.unwrap();
    until(&client, |health| health.ready).await;
    assert_eq!(metrics.hsm_in_flight.get(), 0);
    client.shutdown().await;

    config.environment.insert("start".to_owned(), "pin".to_owned());
    let (client, ..) = start(config.clone());
    let refused = client.call(sign(b"x")).await.unwrap_err();
    assert_eq!(refused, Error::Down("the token refused the PIN: wrong".to_owned()));
    client.shutdown().await;

    let (client, ..) = start(config);
    let (answer, ()) = tokio::join!(client.call(sign(b"x")), client.shutdown());
    assert!(matches!(answer, Err(Error::Down(_))), "{answer:?}");
}

#[tokio::test]
async fn an_absent_token_is_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let away = dir.path().join("away");
    std::fs::write(&away, "").unwrap();
    let (client, _, metrics) = start(Config {
        state_dir: dir.path().to_owned(),
        ..config(2)
    });
    until(&client, |health| {
        health.reason.as_deref() == Some("the HSM is not available: away")
    })
    .await;
    let begun = Instant::now();
    assert!(matches!(client.call(sign(b"x")).await, Err(Error::Down(_))));
    assert!(begun.elapsed() < Duration::from_millis(50), "{:?}", begun.elapsed());
    std::fs::remove_file(away).unwrap();
    client.ready().await.unwrap();
    client.call(sign(b"x")).await.unwrap();
    all_up(&client).await;
    assert_eq!(client.health().reason, None);
    assert!(ends(&metrics, "unavailable") >= 1);
}

#[tokio::test]
async fn a_program_that_is_not_there_is_a_reason() {
    let client = Client::start(config(1), keyset(), Metrics::new().unwrap()).unwrap();
    until(&client, |health| {
        health
            .reason
            .as_deref()
            .is_some_and(|reason| reason.starts_with("a worker could not be started"))
    })
    .await;
    assert!(matches!(client.call(sign(b"x")).await, Err(Error::Down(_))));
    client.shutdown().await;
}

#[tokio::test]
async fn dropping_the_last_handle_ends_the_workers() {
    let (client, _, metrics) = start(config(2));
    all_up(&client).await;
    drop(client.clone());
    client.call(sign(b"x")).await.unwrap();
    drop(client);
    let begun = Instant::now();
    while ends(&metrics, "stopped") < 2 {
        assert!(begun.elapsed() < Duration::from_secs(5));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// What was counted beside one for each job that seals, by epoch; 0: under the one in use.
fn counted(client: &Client) -> std::sync::Arc<std::sync::Mutex<Vec<(u32, u64)>>> {
    let all = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let to = std::sync::Arc::clone(&all);
    client.count_wraps(move |epoch, more| to.lock().unwrap().push((epoch.map_or(0, |epoch| epoch.0), more)));
    all
}

#[tokio::test]
async fn wraps_beside_one_for_each_job_are_counted() {
    let (client, _, _) = start(config(1));
    let all = counted(&client);
    client.call(sign(b"wrap two")).await.unwrap();
    assert_eq!(*all.lock().unwrap(), [(1, 2)], "before the answer");
    assert_eq!(client.untold_wraps(), 0);
    client.shutdown().await;
}

#[tokio::test]
async fn a_seal_whose_worker_dies_is_counted_as_often_as_it_may_have_wrapped() {
    let (client, _, _) = start(Config {
        pregenerate: 1,
        ..impatient(2)
    });
    all_up(&client).await;
    let all = counted(&client);
    let seal = Job::Seal {
        epoch: crate::hsm::Epoch(1),
        mac: None,
        parts: Vec::new(),
    };
    // it is given to another worker, which dies of it too
    assert!(matches!(client.call(seal).await, Err(Error::Down(_))));
    client.shutdown().await;
    let all = all.lock().unwrap();
    let of = |wanted: u32| {
        all.iter()
            .filter(|(epoch, _)| *epoch == wanted)
            .map(|(_, more)| more)
            .sum::<u64>()
    };
    assert_eq!(of(1), 4, "two on each: {all:?}");
    assert!(of(0) >= 2, "and one that each was making ahead: {all:?}");
    assert_eq!(client.untold_wraps(), 4);
}
