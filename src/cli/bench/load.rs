//! The closed loop: each connection sends its next request when the last one is answered.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;

use super::client::{Answer, Connection};
use super::latency::Latencies;
use super::locker::{self, Signer};
use super::numbers::Numbers;
use super::op::Op;

/// A run.
#[derive(Clone)]
pub(super) struct Plan {
    pub(super) socket: PathBuf,
    pub(super) login: Login,
    pub(super) op: Op,
    pub(super) connections: usize,
    /// How long.
    pub(super) seconds: f64,
    /// Or how many requests, whichever ends first.
    pub(super) requests: Option<u64>,
    /// Tokens to work on, made before the clock starts.
    pub(super) tokens: usize,
    /// Makes encrypted requests, for operations with such.
    pub(super) signer: Option<Arc<Signer>>,
}

/// As whom, and where, the requests are sent.
#[derive(Clone)]
pub(super) struct Login {
    /// The header that says so.
    pub(super) header: Arc<str>,
    /// The path of the tokens.
    pub(super) tokens: Arc<str>,
}

/// What came out.
#[derive(Default)]
pub(super) struct Outcome {
    pub(super) latencies: Latencies,
    pub(super) errors: u64,
    pub(super) first_error: Option<String>,
    pub(super) took: Duration,
}

/// Makes what the run needs: tokens, or the bodies of requests.
pub(super) async fn prepare(plan: &Plan) -> anyhow::Result<Arc<[String]>> {
    let made = match plan.op {
        Op::LockerJweAdd => locker::cards(plan),
        op if op.needs_tokens() => stored(plan).await?,
        _ => Vec::new(),
    };
    Ok(match &plan.signer {
        Some(signer) => locker::sealed(signer, &made)?.into(),
        None => made.into(),
    })
}

/// Stores cards, and gives what requests on them need.
async fn stored(plan: &Plan) -> anyhow::Result<Vec<String>> {
    let lanes = plan.connections.min(64);
    let share = plan.tokens.div_ceil(lanes);
    let mut tasks = Vec::new();
    for lane in 0..lanes {
        let plan = plan.clone();
        tasks.push(tokio::spawn(async move {
            let mut connection = Connection::open(&plan.socket).await?;
            let mut numbers = numbers(plan.op, lane);
            let mut made = Vec::with_capacity(share);
            for _ in 0..share {
                let number = numbers.next();
                made.push(match plan.op.is_lockers() {
                    true => locker::added(&mut connection, &plan.login, &number).await?,
                    false => token_in(&create(&mut connection, &plan.login, plan.op, &number).await?)?,
                });
            }
            anyhow::Ok(made)
        }));
    }
    let mut all = Vec::with_capacity(plan.tokens);
    for task in tasks {
        all.extend(task.await??);
    }
    Ok(all)
}

/// The locker knows a card that it has: there, each run takes others.
fn numbers(op: Op, lane: usize) -> Numbers {
    match op.is_lockers() {
        true => Numbers::of_now(lane),
        false => Numbers::new(lane),
    }
}

/// Runs the plan; `done` counts answers for a progress display.
pub(super) async fn run(plan: &Plan, tokens: Arc<[String]>, done: Arc<AtomicU64>) -> anyhow::Result<Outcome> {
    let began = Instant::now();
    let until = began + Duration::from_secs_f64(plan.seconds);
    let budget = Arc::new(AtomicU64::new(plan.requests.unwrap_or(u64::MAX)));
    let used = Arc::new(AtomicUsize::new(0));
    let mut tasks = Vec::new();
    for lane in 0..plan.connections {
        let mut worker = Lane {
            connection: Connection::open(&plan.socket).await?,
            login: plan.login.clone(),
            op: plan.op,
            numbers: numbers(plan.op, lane),
            tokens: tokens.clone(),
            next: lane,
            step: plan.connections,
            used: used.clone(),
        };
        let (budget, done) = (budget.clone(), done.clone());
        tasks.push(tokio::spawn(async move {
            let mut outcome = Outcome::default();
            while Instant::now() < until && take(&budget) {
                let sent = Instant::now();
                match worker.step().await {
                    Ok(true) => outcome.latencies.note(sent.elapsed()),
                    Ok(false) => break,
                    Err(error) => {
                        outcome.errors += 1;
                        outcome.first_error.get_or_insert(format!("{error:#}"));
                        if worker.connection.reopen().await.is_err() {
                            tokio::time::sleep(Duration::from_millis(100)).await;
                        }
                    }
                }
                done.fetch_add(1, Ordering::Relaxed);
            }
            outcome
        }));
    }
    let mut total = Outcome::default();
    for task in tasks {
        let one = task.await?;
        total.latencies.absorb(one.latencies);
        total.errors += one.errors;
        total.first_error = total.first_error.or(one.first_error);
    }
    total.took = began.elapsed();
    Ok(total)
}

fn take(budget: &AtomicU64) -> bool {
    budget
        .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1))
        .is_ok()
}

/// One connection's share of the work.
struct Lane {
    connection: Connection,
    login: Login,
    op: Op,
    numbers: Numbers,
    tokens: Arc<[String]>,
    next: usize,
    step: usize,
    /// Tokens that all connections together have used up.
    used: Arc<AtomicUsize>,
}

impl Lane {
    /// One request; `false` when there is nothing left to do.
    async fn step(&mut self) -> anyhow::Result<bool> {
        match self.op {
            Op::Create => {
                self.create().await?;
            }
            Op::Delete => {
                let Some(token) = self.tokens.get(self.next).cloned() else {
                    return Ok(false);
                };
                self.next += self.step;
                self.call("DELETE", &token, "").await?;
            }
            Op::Inspect | Op::MastercardRetrieve => {
                let token = self.token()?;
                self.call("GET", &token, "").await?;
            }
            Op::LockerAdd => {
                let body = self.op.card(&self.numbers.next());
                self.call("POST", "add", &body).await?;
            }
            Op::LockerJweAdd => {
                // from one pile: no connection runs out while another has some
                let next = self.used.fetch_add(1, Ordering::Relaxed);
                let Some(body) = self.tokens.get(next).cloned() else {
                    return Ok(false);
                };
                self.call("POST", "add", &body).await?;
            }
            Op::LockerJweRetrieve | Op::LockerRetrieve => {
                let body = self.token()?;
                self.call("POST", "retrieve", &body).await?;
            }
            Op::Pair => {
                let token = self.create().await?;
                self.call("POST", &format!("{token}/reveal"), "{}").await?;
            }
            Op::Reveal => {
                let token = self.token()?;
                self.call("POST", &format!("{token}/reveal"), "{}").await?;
            }
            Op::Update => {
                let token = self.token()?;
                let body = format!("{{\"metadata\":{{\"step\":{}}}}}", self.next);
                self.call("PATCH", &token, &body).await?;
            }
        }
        Ok(true)
    }

    async fn create(&mut self) -> anyhow::Result<String> {
        let answer = create(&mut self.connection, &self.login, self.op, &self.numbers.next()).await?;
        token_in(&answer)
    }

    /// A request on what `path` names below the tokens; it must be done.
    async fn call(&mut self, method: &str, path: &str, body: &str) -> anyhow::Result<()> {
        let path = format!("{}/{path}", self.login.tokens);
        let header = &self.login.header;
        expect(200, &self.connection.call(method, &path, header, body).await?)
    }

    fn token(&mut self) -> anyhow::Result<String> {
        let at = self.next % self.tokens.len().max(1);
        self.next = self.next.wrapping_add(self.step);
        self.tokens.get(at).cloned().context("there are no tokens to work on")
    }
}

async fn create(connection: &mut Connection, login: &Login, op: Op, number: &str) -> anyhow::Result<Vec<u8>> {
    let answer = connection
        .call("POST", &login.tokens, &login.header, &op.card(number))
        .await?;
    expect(201, &answer)?;
    Ok(answer.body.to_vec())
}

pub(super) fn expect(status: u16, answer: &Answer<'_>) -> anyhow::Result<()> {
    if answer.status == status {
        return Ok(());
    }
    let body = String::from_utf8_lossy(answer.body);
    anyhow::bail!(
        "status {} instead of {status}: {}",
        answer.status,
        body.chars().take(300).collect::<String>()
    )
}

/// The member `token` of an answer. The load only reads what the daemon itself wrote.
fn token_in(body: &[u8]) -> anyhow::Result<String> {
    #[derive(serde::Deserialize)]
    struct View {
        token: String,
    }
    Ok(serde_json::from_slice::<View>(body)?.token)
}
