//! The closed loop: each connection sends its next request when the last one is answered.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::ValueEnum;

use super::client::{Answer, Connection};
use super::latency::Latencies;

/// What each request does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Op {
    /// A new card, a new token
    Create,
    /// Remove a token (made before the clock starts)
    Delete,
    /// The masked view of a token
    Inspect,
    /// The same through the Mastercard gateway's dialect: Retrieve Token over REST
    MastercardRetrieve,
    /// A new card, then its reveal: one request is the pair
    Pair,
    /// The card of a token
    Reveal,
    /// Change the metadata of a token
    Update,
}

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
}

/// As whom, and where, the requests are sent.
#[derive(Clone)]
pub(super) struct Login {
    /// The `Authorization` header.
    pub(super) authorization: Arc<str>,
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

impl Op {
    /// Its name in results.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Delete => "delete",
            Self::Inspect => "inspect",
            Self::MastercardRetrieve => "mastercard-retrieve",
            Self::Pair => "pair",
            Self::Reveal => "reveal",
            Self::Update => "update",
        }
    }

    fn needs_tokens(self) -> bool {
        match self {
            Self::Create | Self::Pair => false,
            Self::Delete | Self::Inspect | Self::MastercardRetrieve | Self::Reveal | Self::Update => true,
        }
    }

    /// The body that stores a made-up card.
    fn card(self, number: &str) -> String {
        match self {
            Self::MastercardRetrieve => format!(
                "{{\"sourceOfFunds\":{{\"type\":\"CARD\",\"provided\":{{\"card\":{{\"number\":\"{number}\",\
                 \"expiry\":{{\"month\":\"12\",\"year\":\"30\"}}}}}}}}}}"
            ),
            Self::Create | Self::Delete | Self::Inspect | Self::Pair | Self::Reveal | Self::Update => format!(
                "{{\"card\":{{\"number\":\"{number}\",\"expiry\":{{\"month\":12,\"year\":2030}},\"holder\":\"LOAD TEST\"}}}}"
            ),
        }
    }
}

/// Makes the tokens that the run needs.
pub(super) async fn prepare(plan: &Plan) -> anyhow::Result<Arc<[String]>> {
    if !plan.op.needs_tokens() {
        return Ok(Arc::from([]));
    }
    let lanes = plan.connections.min(64);
    let share = plan.tokens.div_ceil(lanes);
    let mut tasks = Vec::new();
    for lane in 0..lanes {
        let plan = plan.clone();
        tasks.push(tokio::spawn(async move {
            let mut connection = Connection::open(&plan.socket).await?;
            let mut numbers = Numbers::new(lane);
            let mut tokens = Vec::with_capacity(share);
            for _ in 0..share {
                let answer = create(&mut connection, &plan.login, plan.op, &numbers.next()).await?;
                tokens.push(token_in(&answer)?);
            }
            anyhow::Ok(tokens)
        }));
    }
    let mut all = Vec::with_capacity(plan.tokens);
    for task in tasks {
        all.extend(task.await??);
    }
    Ok(all.into())
}

/// Runs the plan; `done` counts answers for a progress display.
pub(super) async fn run(plan: &Plan, tokens: Arc<[String]>, done: Arc<AtomicU64>) -> anyhow::Result<Outcome> {
    let began = Instant::now();
    let until = began + Duration::from_secs_f64(plan.seconds);
    let budget = Arc::new(AtomicU64::new(plan.requests.unwrap_or(u64::MAX)));
    let mut tasks = Vec::new();
    for lane in 0..plan.connections {
        let mut worker = Lane {
            connection: Connection::open(&plan.socket).await?,
            login: plan.login.clone(),
            op: plan.op,
            numbers: Numbers::new(lane),
            tokens: tokens.clone(),
            next: lane,
            step: plan.connections,
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
        let authorization = &self.login.authorization;
        expect(200, &self.connection.call(method, &path, authorization, body).await?)
    }

    fn token(&mut self) -> anyhow::Result<String> {
        let at = self.next % self.tokens.len().max(1);
        self.next = self.next.wrapping_add(self.step);
        self.tokens.get(at).cloned().context("there are no tokens to work on")
    }
}

async fn create(connection: &mut Connection, login: &Login, op: Op, number: &str) -> anyhow::Result<Vec<u8>> {
    let answer = connection
        .call("POST", &login.tokens, &login.authorization, &op.card(number))
        .await?;
    expect(201, &answer)?;
    Ok(answer.body.to_vec())
}

fn expect(status: u16, answer: &Answer<'_>) -> anyhow::Result<()> {
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

/// Made-up card numbers, distinct in a run: they begin with 0, which no issuer has, and pass Luhn.
struct Numbers {
    lane: u64,
    count: u64,
}

impl Numbers {
    fn new(lane: usize) -> Self {
        Self {
            lane: u64::try_from(lane).unwrap_or(0) % 1000,
            count: 0,
        }
    }

    fn next(&mut self) -> String {
        self.count = (self.count + 1) % 10_000_000_000;
        let body = format!("00{:03}{:010}", self.lane, self.count);
        let check = crate::card::check_digit(&body).unwrap_or('0');
        format!("{body}{check}")
    }
}
