//! `/health`.

use axum::response::Response;

use super::context::{Answer, Context};
use super::refusal::Refusal;
use super::wire::{Alive, DatabaseHealth, Diagnostics, State};

/// `GET /health`: that it answers, for anyone.
pub(super) fn alive() -> Response {
    let alive = Alive {
        message: "Health is good",
    };
    match Answer::of(&alive, 40) {
        Ok(answer) => answer.respond(),
        Err(refusal) => refusal.respond(None),
    }
}

/// `GET /health/diagnostics`: store and HSM, tried out. The HSM stands where the vendor's program has a key manager.
pub(super) async fn diagnostics(context: &Context<'_>) -> Result<Answer, Refusal> {
    let found = context.vault.diagnose(&context.actor).await;
    let state = |works| if works { State::Working } else { State::Failing };
    let diagnostics = Diagnostics {
        key_custodian_locked: false,
        database: DatabaseHealth {
            database_connection: state(found.reads),
            database_read: state(found.reads),
            database_write: state(found.writes),
            database_delete: state(found.writes),
            database_replica: State::Disabled,
        },
        keymanager_status: state(found.keys),
        redis_status: State::Disabled,
    };
    Answer::of(&diagnostics, 400)
}
