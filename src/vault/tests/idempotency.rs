use super::*;
use crate::id::IdempotencyKey;
use crate::keys::SecretBytes;
use crate::vault::types::Idempotency;

pub(super) fn once(key: &str, request: &str) -> Idempotency {
    Idempotency {
        key: IdempotencyKey::parse(key).unwrap(),
        request: SecretBytes::new(request.as_bytes().to_vec()),
    }
}

fn keyed(key: &str, request: &str) -> NewToken {
    NewToken {
        idempotency: Some(once(key, request)),
        ..card(VISA)
    }
}

#[tokio::test]
async fn a_replay_answers_as_the_first_time_also_after_a_restart() {
    let rig = Rig::new().await;
    let first = rig.create(keyed("k-1", "body")).await;
    assert_eq!(rig.create(keyed("k-1", "body")).await, first);
    let after = rig.restarted().await;
    assert_eq!(after.create(keyed("k-1", "body")).await, first);
    assert_ne!(rig.create(keyed("k-2", "body")).await.token, first.token);
    assert_eq!(rig.store.health().records, 2);
}

#[tokio::test]
async fn another_request_under_the_key_is_refused() {
    let rig = Rig::new().await;
    rig.create(keyed("k-1", "body")).await;
    let refused = error(rig.vault.tokenize(&rig.actor, keyed("k-1", "other")).await);
    assert_eq!(refused, Error::Caller(CallerError::IdempotencyMismatch));
    let mut other_user = rig.actor.clone();
    other_user.peer.uid = 1001;
    let denied = error(rig.vault.tokenize(&other_user, keyed("k-1", "body")).await);
    assert_eq!(denied, Error::Policy(types::PolicyError::Denied));
}

#[tokio::test]
async fn keys_are_apart_by_repository_merchant_user_and_item() {
    let rig = Rig::new().await;
    let key = IdempotencyKey::parse("k-1").unwrap();
    let of = |change: fn(&mut Actor), item| {
        let mut actor = rig.actor.clone();
        change(&mut actor);
        crate::vault::idempotency::scope(&actor, &key, item)
    };
    let scopes: BTreeSet<[u8; 16]> = [
        of(|_| (), None),
        of(|actor| actor.repository = RepositoryId(77), None),
        of(|actor| actor.merchant = MerchantId::parse("other").unwrap(), None),
        of(|actor| actor.peer.uid = 1, None),
        of(|_| (), Some(0)),
        of(|_| (), Some(1)),
    ]
    .into();
    assert_eq!(scopes.len(), 6);
    assert_eq!(
        of(|actor| actor.request = RequestId::random().unwrap(), None),
        of(|_| (), None)
    );
}

#[tokio::test]
async fn of_64_at_once_under_one_key_one_creates() {
    let rig = Rig::new().await;
    let mut running = tokio::task::JoinSet::new();
    for _ in 0..64 {
        let (vault, actor) = (Arc::clone(&rig.vault), rig.actor.clone());
        running.spawn(async move { vault.tokenize(&actor, keyed("k-1", "body")).await.unwrap() });
    }
    let answers = running.join_all().await;
    assert!(
        answers
            .iter()
            .all(|answer| *answer == answers[0] && matches!(answer, Tokenized::Created(_)))
    );
    assert_eq!(rig.store.health().records, 1);
    assert_eq!(rig.sealer.seals(), 1);
    assert_eq!(rig.vault.in_flight.len(), 0, "nothing is left behind");
}

#[tokio::test]
async fn a_request_whose_answer_was_lost_is_not_done_twice() {
    let rig = Rig::new().await;
    rig.store.next_commit(Fault::AnswerLost);
    let lost = error(rig.vault.tokenize(&rig.actor, keyed("k-1", "body")).await);
    assert_eq!(lost, Error::Dependency(types::DependencyError::StoreUnavailable));
    rig.create(keyed("k-1", "body")).await;
    assert_eq!(rig.store.health().records, 1);
}

#[tokio::test]
async fn a_late_commit_of_another_process_wins_by_the_conditions() {
    let rig = Rig::new().await;
    let elsewhere = Rig::with(Arc::clone(&rig.sealer)).await;
    assert_eq!(elsewhere.actor.repository, rig.actor.repository);
    // the same request, done between this one's look and its commit
    let first = elsewhere.create(keyed("k-1", "body")).await;
    rig.store.next_commit(Fault::Behind(elsewhere.store.last_commit()));
    assert_eq!(rig.create(keyed("k-1", "body")).await.token, first.token);
    assert_eq!(rig.store.health().records, 1);
}

#[tokio::test]
async fn errors_are_not_remembered() {
    let rig = Rig::new().await;
    rig.sealer.set_down(true);
    error(rig.vault.tokenize(&rig.actor, keyed("k-1", "body")).await);
    rig.sealer.set_down(false);
    rig.create(keyed("k-1", "body")).await;
}

#[tokio::test]
async fn a_replay_of_a_deleted_token_finds_none() {
    let rig = Rig::new().await;
    let token = rig.create(keyed("k-1", "body")).await.token;
    rig.vault.delete(&rig.actor, &token).await.unwrap();
    let gone = error(rig.vault.tokenize(&rig.actor, keyed("k-1", "body")).await);
    assert_eq!(gone, Error::Caller(CallerError::UnknownToken));
}

#[tokio::test]
async fn a_replay_of_a_reuse_answers_reused() {
    let rig = Rig::new().await;
    let new = |key: &str| NewToken {
        reuse: return_within(""),
        ..keyed(key, "body")
    };
    let first = rig.create(new("k-1")).await;
    for _ in 0..2 {
        let again = rig.vault.tokenize(&rig.actor, new("k-2")).await.unwrap();
        assert_eq!(again, Tokenized::Reused(first.clone()));
    }
    let reused = rig
        .events()
        .await
        .iter()
        .filter(|event| *event == "tokenize reused")
        .count();
    assert_eq!(reused, 1, "the replay is not another use");
}

#[tokio::test]
async fn a_key_that_could_be_a_card_is_refused() {
    let rig = Rig::new().await;
    assert_eq!(
        field(rig.vault.tokenize(&rig.actor, keyed(VISA, "body")).await),
        "idempotency_key"
    );
}
