//! A repository's rules hold for who stores cards there in any dialect.

use super::*;
use crate::id::{Namespace, RepositoryName};
use crate::store::Write;
use crate::vault::accounts::{RulesChange, gate_key};
use crate::vault::soft::{OWN, Soft};
use crate::vault::types::{Generation, Management, PolicyError, Put};

fn once(format: Format, pan: &str) -> NewToken {
    NewToken {
        format,
        reuse: return_within(""),
        ..card(pan)
    }
}

#[tokio::test]
async fn a_card_has_one_token_where_the_rules_say_so() {
    let soft = Soft::start().await;
    let unique = Management::UniqueAccountIdentifier;
    let actor = soft.merchant("TESTA", unique, Generation::RandomWithLuhn).await;
    let new = || once(Format::RandomLuhn, VISA);
    let namespace = Some(Namespace::parse("customer").unwrap());
    for (wrong, named) in [
        (
            NewToken {
                reuse: Reuse::Never,
                ..new()
            },
            "reuse",
        ),
        (
            NewToken {
                reuse: return_within("customer"),
                ..new()
            },
            "reuse",
        ),
        (NewToken { namespace, ..new() }, "namespace"),
        (
            NewToken {
                uses: Uses::Single,
                ..new()
            },
            "uses",
        ),
        (once(Format::Opaque, VISA), "format"),
    ] {
        assert_eq!(field(soft.vault.tokenize(&actor, wrong).await), named);
    }
    let Tokenized::Created(first) = soft.vault.tokenize(&actor, new()).await.unwrap() else {
        panic!("it was there")
    };
    let Tokenized::Reused(again) = soft.vault.tokenize(&actor, new()).await.unwrap() else {
        panic!("made twice")
    };
    assert_eq!(first.token, again.token);
    let refuse = NewToken {
        reuse: Reuse::Refuse { scope: Vec::new() },
        ..new()
    };
    let exists = CallerError::CardExists { token: first.token };
    assert_eq!(error(soft.vault.tokenize(&actor, refuse).await), Error::Caller(exists));
}

#[tokio::test]
async fn tokens_look_as_the_rules_say() {
    let soft = Soft::start().await;
    let supplied = || Format::Supplied(token("order-1"));
    for (name, generation, fits) in [
        ("TESTA", Generation::RandomWithLuhn, Format::RandomLuhn),
        ("TESTB", Generation::Preserve64, Format::Preserve64),
        ("TESTC", Generation::MerchantProvided, supplied()),
        ("TESTD", Generation::AcquirerTokenization, supplied()),
    ] {
        let actor = soft.merchant(name, Management::UniqueToken, generation).await;
        for format in [Format::Opaque, Format::RandomLuhn, Format::Preserve64, supplied()] {
            let fits = format == fits;
            let new = NewToken { format, ..card(VISA) };
            let stored = soft.vault.tokenize(&actor, new).await;
            match fits {
                true => assert!(matches!(stored, Ok(Tokenized::Created(_))), "{generation:?}"),
                false => assert_eq!(field(stored), "format", "{generation:?}"),
            }
        }
    }
}

#[tokio::test]
async fn a_put_keeps_to_the_rules_too() {
    let soft = Soft::start().await;
    let unique = Management::UniqueAccountIdentifier;
    let random = soft.merchant("TESTA", unique, Generation::RandomWithLuhn).await;
    let named = |name: &str, pan: &str| once(Format::Supplied(token(name)), pan);
    assert_eq!(field(soft.vault.put(&random, named("a", VISA)).await), "format");
    let actor = soft.merchant("TESTB", unique, Generation::MerchantProvided).await;
    let never = |pan| NewToken {
        reuse: Reuse::Never,
        ..named("a", pan)
    };
    assert_eq!(field(soft.vault.put(&actor, never(VISA)).await), "reuse");
    assert!(matches!(
        soft.vault.put(&actor, named("a", VISA)).await,
        Ok(Put::Created(_))
    ));
    assert_eq!(
        field(soft.vault.put(&actor, never(AMEX)).await),
        "reuse",
        "also of one that is there"
    );
}

#[tokio::test]
async fn nothing_is_stored_by_rules_of_before() {
    let soft = Soft::start().await;
    let many = Management::UniqueToken;
    let before = soft.merchant("TESTA", many, Generation::RandomWithLuhn).await;
    let rules = RulesChange {
        management: Some(Management::UniqueAccountIdentifier),
        generation: None,
        verification: None,
    };
    let admin = AdminActor { peer: OWN };
    let accounts = soft.vault.access().accounts();
    let name = RepositoryName::parse("RA").unwrap();
    accounts.set_rules(admin, &name, rules).await.unwrap();
    let new = || NewToken {
        format: Format::RandomLuhn,
        ..card(VISA)
    };
    assert_eq!(
        error(soft.vault.tokenize(&before, new()).await),
        Error::Caller(CallerError::Contended)
    );
    let now = soft.vault.access().own_actors(OWN, Dialect::Mastercard).unwrap();
    let now = now.into_iter().find(|actor| actor.merchant == before.merchant).unwrap();
    assert_eq!(field(soft.vault.tokenize(&now, new()).await), "reuse");
    let once = || NewToken {
        reuse: return_within(""),
        ..new()
    };
    soft.vault.tokenize(&now, once()).await.unwrap();

    // shut while memory still has it open
    let shut = Commit {
        writes: vec![Write::Del(gate_key(now.repository, now.rules))],
        ..Commit::default()
    };
    soft.store.commit(shut).await.unwrap();
    let other = NewToken {
        pan: Pan::parse(AMEX).unwrap(),
        ..once()
    };
    assert_eq!(
        error(soft.vault.tokenize(&now, other).await),
        Error::Policy(PolicyError::Suspended)
    );
}
