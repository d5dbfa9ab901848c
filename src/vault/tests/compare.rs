//! Cards that are there already with other details.

use super::*;
use crate::vault::types::{Change, Compared, Comparison, Conflict, Described, Patch};

const RULE: Comparison = Comparison {
    members: &["address", "reference"],
    filled: &["reference"],
};

fn with(holder: &str, expiry: (u8, u16), extra: Option<&str>) -> NewToken {
    NewToken {
        expiry: Some(Expiry::new(expiry.0, expiry.1).unwrap()),
        profile: profile(Some(holder), extra),
        reuse: return_within(""),
        ..card(VISA)
    }
}

async fn stored(rig: &Rig, new: NewToken) -> Compared {
    rig.vault.tokenize_compared(&rig.actor, new, RULE).await.unwrap()
}

fn extra(profile: &Profile) -> Option<&str> {
    profile.extra.as_ref().map(|text| text.as_str())
}

async fn differing(rig: &Rig, new: NewToken) -> (Described, Conflict) {
    match stored(rig, new).await {
        Compared::Different { there, conflict } => (there, conflict),
        Compared::Created(_) => panic!("created"),
        Compared::Same(_) => panic!("the same"),
    }
}

async fn same(rig: &Rig, new: NewToken) -> Described {
    match stored(rig, new).await {
        Compared::Same(there) => there,
        Compared::Created(_) => panic!("created"),
        Compared::Different { .. } => panic!("different"),
    }
}

#[tokio::test]
async fn what_is_not_given_is_no_difference() {
    let rig = Rig::new().await;
    let whole = r#"{"address":{"city":"London","code":"N1"},"reference":"r1","note":1}"#;
    assert!(matches!(
        stored(&rig, with("Ada", (1, 2030), Some(whole))).await,
        Compared::Created(_)
    ));
    for given in [
        None,
        Some(r#"{"reference":"r1"}"#),
        Some(r#"{"address":{"code":"N1","city":"London"}}"#),
        Some(r#"{"note":2,"other":true}"#),
    ] {
        let there = same(&rig, with("Ada", (1, 2030), given)).await;
        assert_eq!(extra(&there.profile), Some(whole), "{given:?}");
    }
    let without = NewToken {
        expiry: None,
        profile: Profile::default(),
        ..with("Ada", (1, 2030), None)
    };
    same(&rig, without).await;
    assert_eq!(rig.store.health().records, 1);
}

#[tokio::test]
async fn only_what_differs_is_kept_as_a_conflict_and_the_stored_stays() {
    let rig = Rig::new().await;
    let first = r#"{"address":{"city":"London"},"reference":"r1"}"#;
    stored(&rig, with("Ada", (1, 2030), Some(first))).await;
    let (there, conflict) = differing(&rig, with("Bob", (1, 2030), Some(r#"{"reference":"r1"}"#))).await;
    assert_eq!(there.profile.holder.as_deref().map(String::as_str), Some("Ada"));
    assert_eq!(conflict.profile.holder.as_deref().map(String::as_str), Some("Bob"));
    assert_eq!((conflict.expiry, extra(&conflict.profile)), (None, None));

    let (_, conflict) = differing(&rig, with("Ada", (2, 2030), Some(r#"{"address":{"city":"Paris"}}"#))).await;
    assert_eq!(conflict.expiry, Some(Expiry::new(2, 2030).unwrap()));
    assert!(conflict.profile.holder.is_none());
    assert_eq!(extra(&conflict.profile), Some(r#"{"address":{"city":"Paris"}}"#));

    let (now, waiting) = rig.vault.conflict(&rig.actor, conflict.id).await.unwrap();
    assert_eq!(now.view, there.view);
    assert_eq!(
        (waiting.expiry, extra(&waiting.profile)),
        (conflict.expiry, extra(&conflict.profile))
    );
    let resolved = rig.vault.resolve_conflict(&rig.actor, conflict.id, None).await.unwrap();
    assert_eq!(resolved.expiry, conflict.expiry);
    let described = rig.vault.describe(&rig.actor, &resolved.token).await.unwrap();
    assert_eq!(
        extra(&described.profile),
        Some(r#"{"address":{"city":"Paris"},"reference":"r1"}"#),
        "only what differed was taken over"
    );
    assert_eq!(described.profile.holder.as_deref().map(String::as_str), Some("Ada"));
    let gone = error(rig.vault.conflict(&rig.actor, conflict.id).await);
    assert_eq!(gone, Error::Caller(CallerError::UnknownToken));
    let gone = error(rig.vault.resolve_conflict(&rig.actor, conflict.id, None).await);
    assert_eq!(gone, Error::Caller(CallerError::UnknownToken));
}

#[tokio::test]
async fn a_member_that_is_filled_is_taken_over_with_and_without_other_differences() {
    let rig = Rig::new().await;
    stored(&rig, with("Ada", (1, 2030), None)).await;
    let there = same(&rig, with("Ada", (1, 2030), Some(r#"{"reference":"r1"}"#))).await;
    assert_eq!(extra(&there.profile), Some(r#"{"reference":"r1"}"#));
    let kept = rig.vault.describe(&rig.actor, &there.view.token).await.unwrap();
    assert_eq!(extra(&kept.profile), Some(r#"{"reference":"r1"}"#));
    assert_eq!(
        kept.profile.holder.as_deref().map(String::as_str),
        Some("Ada"),
        "the rest of the profile stays"
    );
    let (_, conflict) = differing(&rig, with("Ada", (1, 2030), Some(r#"{"reference":"r2"}"#))).await;
    assert_eq!(extra(&conflict.profile), Some(r#"{"reference":"r2"}"#));
    let (_, conflict) = differing(&rig, with("Ada", (1, 2030), Some(r#"{"address":{"city":"X"}}"#))).await;
    assert_eq!(
        extra(&conflict.profile),
        Some(r#"{"address":{"city":"X"}}"#),
        "an address is not filled"
    );

    let other = NewToken {
        reuse: return_within("other"),
        ..with("Ada", (1, 2030), None)
    };
    stored(&rig, other).await;
    let both = NewToken {
        reuse: return_within("other"),
        ..with("Bob", (1, 2030), Some(r#"{"reference":"r9"}"#))
    };
    let (there, conflict) = differing(&rig, both).await;
    assert_eq!(extra(&there.profile), Some(r#"{"reference":"r9"}"#));
    assert_eq!(extra(&conflict.profile), None);
    let completed = rig.events().await;
    assert_eq!(
        completed.iter().filter(|event| *event == "tokenize completed").count(),
        2
    );
}

#[tokio::test]
async fn of_many_at_once_one_creates_and_all_that_say_the_same_hear_the_same() {
    let rig = Rig::new().await;
    let mut running = tokio::task::JoinSet::new();
    for n in 0..64 {
        let (vault, actor) = (Arc::clone(&rig.vault), rig.actor.clone());
        running.spawn(async move {
            let extra = (n % 2 == 0).then_some(r#"{"reference":"r1"}"#);
            vault
                .tokenize_compared(&actor, with("Ada", (1, 2030), extra), RULE)
                .await
        });
    }
    let (mut created, mut tokens) = (0, BTreeSet::new());
    for result in running.join_all().await {
        match result.unwrap() {
            Compared::Created(there) => {
                created += 1;
                tokens.insert(there.view.token.to_string());
            }
            Compared::Same(there) => {
                tokens.insert(there.view.token.to_string());
            }
            Compared::Different { .. } => panic!("different"),
        }
    }
    assert_eq!((created, tokens.len()), (1, 1));
    let token = Token::parse(tokens.first().unwrap()).unwrap();
    let described = rig.vault.describe(&rig.actor, &token).await.unwrap();
    assert_eq!(extra(&described.profile), Some(r#"{"reference":"r1"}"#));
}

#[tokio::test]
async fn a_conflict_is_taken_over_once() {
    let rig = Rig::new().await;
    stored(&rig, with("Ada", (1, 2030), None)).await;
    let (_, conflict) = differing(&rig, with("Bob", (1, 2030), None)).await;
    let mut running = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let (vault, actor, id) = (Arc::clone(&rig.vault), rig.actor.clone(), conflict.id);
        running.spawn(async move { vault.resolve_conflict(&actor, id, None).await });
    }
    let results = running.join_all().await;
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
    for result in results.into_iter().filter(Result::is_err) {
        assert_eq!(error(result), Error::Caller(CallerError::UnknownToken));
    }
    let updates = rig.events().await;
    assert_eq!(updates.iter().filter(|event| *event == "update ok").count(), 1);
    let report = crate::vault::check::indexes(&*rig.store).await.unwrap();
    assert_eq!(report.faults, Vec::<String>::new());
}

#[tokio::test]
async fn a_conflict_of_a_token_that_is_gone_is_gone_too() {
    let rig = Rig::new().await;
    stored(&rig, with("Ada", (1, 2030), None)).await;
    let (there, conflict) = differing(&rig, with("Bob", (1, 2030), None)).await;
    rig.vault.delete(&rig.actor, &there.view.token).await.unwrap();
    let gone = error(rig.vault.conflict(&rig.actor, conflict.id).await);
    assert_eq!(gone, Error::Caller(CallerError::UnknownToken));
    assert!(matches!(
        stored(&rig, with("Bob", (1, 2030), None)).await,
        Compared::Created(_)
    ));
}

#[tokio::test]
async fn a_member_of_the_profile_changes_alone() {
    let rig = Rig::new().await;
    let view = rig.create(with("Ada", (1, 2030), Some(r#"{"a":1,"b":2}"#))).await;
    let patch = Patch {
        members: [
            ("a".to_owned(), Some(Zeroizing::new("[3]".to_owned()))),
            ("b".to_owned(), None),
        ]
        .into(),
        ..Patch::default()
    };
    rig.vault.update(&rig.actor, &view.token, patch).await.unwrap();
    let described = rig.vault.describe(&rig.actor, &view.token).await.unwrap();
    assert_eq!(extra(&described.profile), Some(r#"{"a":[3]}"#));
    assert_eq!(described.profile.holder.as_deref().map(String::as_str), Some("Ada"));
    let cleared = Patch {
        holder: Change::Clear,
        extra: Change::Clear,
        ..Patch::default()
    };
    rig.vault.update(&rig.actor, &view.token, cleared).await.unwrap();
    let described = rig.vault.describe(&rig.actor, &view.token).await.unwrap();
    assert!(described.profile.holder.is_none() && described.profile.extra.is_none());
    assert!(
        !rig.sealer.opened().contains(&Compartment::Pan),
        "the number stays closed"
    );
}
