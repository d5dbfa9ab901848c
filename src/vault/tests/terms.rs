//! Second names, namespaces of limited size, lives that use renews, changes under a limit.

use super::*;
use crate::vault::types::{Change, Patch, Terms, UpdateLimit};

const LIMITED: Terms = Terms {
    alias: true,
    namespace_limit: Some(3),
    renewed_by: None,
};

fn within(namespace: &str, pan: &str) -> NewToken {
    NewToken {
        namespace: Some(namespace.parse_namespace()),
        reuse: return_within(namespace),
        terms: LIMITED,
        ..card(pan)
    }
}

trait ParseNamespace {
    fn parse_namespace(&self) -> crate::id::Namespace;
}

impl ParseNamespace for str {
    fn parse_namespace(&self) -> crate::id::Namespace {
        crate::id::Namespace::parse(self).unwrap()
    }
}

/// Cards that are published for tests, as many as are needed: a Visa range with the check digit made to fit.
fn cards(count: usize) -> Vec<String> {
    (0..count)
        .map(|n| format!("40000000000{n:04}"))
        .map(|body| format!("{body}{}", crate::card::check_digit(&body).unwrap()))
        .collect()
}

#[tokio::test]
async fn a_second_name_leads_to_its_token_and_goes_with_it() {
    let rig = Rig::new().await;
    let view = rig.create(within("shopper", VISA)).await;
    let alias = view.alias.clone().unwrap();
    let shopper = "shopper".parse_namespace();
    let elsewhere = rig
        .vault
        .token_of_alias(&rig.actor, Operation::Inspect, &alias, None)
        .await;
    assert_eq!(error(elsewhere), Error::Caller(CallerError::UnknownToken));
    assert!(alias.as_str().starts_with("99") && alias.as_str().len() == 19);
    assert!(!crate::card::luhn_ok(alias.as_str()));
    assert_eq!(
        rig.vault
            .token_of_alias(&rig.actor, Operation::Inspect, &alias, Some(&shopper))
            .await
            .unwrap(),
        view.token
    );
    rig.vault.delete(&rig.actor, &view.token).await.unwrap();
    let gone = error(
        rig.vault
            .token_of_alias(&rig.actor, Operation::Inspect, &alias, Some(&shopper))
            .await,
    );
    assert_eq!(gone, Error::Caller(CallerError::UnknownToken));
    assert_eq!(rig.keys().await, Vec::<Key>::new());
}

#[tokio::test]
async fn a_namespace_holds_only_so_many_and_a_removed_one_makes_room() {
    let rig = Rig::new().await;
    let mut views = Vec::new();
    for pan in cards(3) {
        views.push(rig.create(within("shopper", &pan)).await);
    }
    let full = error(rig.vault.tokenize(&rig.actor, within("shopper", VISA)).await);
    assert_eq!(full, Error::Caller(CallerError::NamespaceFull));
    let again = rig.vault.tokenize(&rig.actor, within("shopper", &cards(1)[0])).await;
    assert_eq!(
        again.unwrap(),
        Tokenized::Reused(views[0].clone()),
        "one that is there is no new one"
    );
    rig.create(within("other", VISA)).await;
    rig.vault.delete(&rig.actor, &views[1].token).await.unwrap();
    let fourth = rig.create(within("shopper", VISA)).await;
    let tokens = rig
        .vault
        .tokens_of(&rig.actor, Operation::Search, &"shopper".parse_namespace())
        .await
        .unwrap();
    assert_eq!(tokens.len(), 3);
    assert!(tokens.contains(&fourth.token));
    let report = crate::vault::check::indexes(&*rig.store).await.unwrap();
    assert_eq!(report.faults, Vec::<String>::new());
}

#[tokio::test]
async fn tokens_past_their_time_take_no_room() {
    let rig = Rig::new().await;
    let soon = UnixMillis::now().plus(30);
    for pan in cards(3) {
        let new = NewToken {
            expires_at: Some(soon),
            ..within("shopper", &pan)
        };
        rig.create(new).await;
    }
    tokio::time::sleep(std::time::Duration::from_millis(40)).await;
    // no sweeper runs here
    rig.create(within("shopper", VISA)).await;
}

#[tokio::test]
async fn of_many_at_once_only_so_many_come_in() {
    let rig = Rig::new().await;
    let mut running = tokio::task::JoinSet::new();
    for pan in cards(24) {
        let (vault, actor) = (Arc::clone(&rig.vault), rig.actor.clone());
        running.spawn(async move {
            let terms = Terms {
                namespace_limit: Some(16),
                ..LIMITED
            };
            let new = NewToken {
                terms,
                ..within("shopper", &pan)
            };
            vault.tokenize(&actor, new).await
        });
    }
    let results = running.join_all().await;
    let made = results.iter().filter(|result| result.is_ok()).count();
    let refused = results
        .iter()
        .filter(|result| matches!(result, Err(Error::Caller(CallerError::NamespaceFull))))
        .count();
    assert_eq!((made, refused), (16, 8));
}

#[tokio::test]
async fn a_use_in_the_second_half_of_a_life_renews_it() {
    let rig = Rig::new().await;
    let life = 3_600_000;
    let with = |left: u64| NewToken {
        expires_at: Some(UnixMillis::now().plus(left)),
        terms: Terms {
            renewed_by: Some(life),
            ..Terms::default()
        },
        ..card(VISA)
    };
    let young = rig.create(with(life * 3 / 4)).await;
    rig.vault.reveal(&rig.actor, &young.token, false).await.unwrap();
    let after = rig.vault.inspect(&rig.actor, &young.token).await.unwrap();
    assert_eq!(after.expires_at, young.expires_at);
    let old = rig.create(with(life / 4)).await;
    let shown = rig.vault.reveal_record(&rig.actor, &old.token).await.unwrap();
    assert!(shown.record.view.expires_at > old.expires_at);
    assert_eq!(shown.pan.expose(), VISA);
    let after = rig.vault.inspect(&rig.actor, &old.token).await.unwrap();
    assert_eq!(after.expires_at, shown.record.view.expires_at);
    assert_eq!(after.revision, old.revision);
    let report = crate::vault::check::indexes(&*rig.store).await.unwrap();
    assert_eq!(report.faults, Vec::<String>::new());
}

#[tokio::test]
async fn changes_under_a_limit_are_counted_and_refused_beyond_it() {
    let rig = Rig::new().await;
    let view = rig.create(card(VISA)).await;
    let limited = |name: &str| Patch {
        holder: Change::Set(Zeroizing::new(name.to_owned())),
        limit: Some(UpdateLimit {
            changes: 3,
            within: 60_000,
        }),
        ..Patch::default()
    };
    for name in ["A", "B", "B"] {
        rig.vault.update(&rig.actor, &view.token, limited(name)).await.unwrap();
    }
    let refused = error(rig.vault.update(&rig.actor, &view.token, limited("D")).await);
    assert!(
        matches!(
            refused,
            Error::Caller(CallerError::TooManyUpdates { retry_after_s: 59..=60 })
        ),
        "{refused:?}"
    );
    let unlimited = Patch {
        limit: None,
        ..limited("E")
    };
    rig.vault.update(&rig.actor, &view.token, unlimited).await.unwrap();
    let short = Patch {
        limit: Some(UpdateLimit { changes: 3, within: 1 }),
        ..limited("F")
    };
    tokio::time::sleep(std::time::Duration::from_millis(3)).await;
    rig.vault.update(&rig.actor, &view.token, short).await.unwrap();
}
