//! Whose a card is, whatever becomes of its profile.

use super::personal::{ada, bob, created};
use super::*;
use crate::vault::record::Record;
use crate::vault::types::{Actor, Change, Operation, Patch};

/// Ada may delete it and Bob may not; and nothing is left of it.
async fn is_hers_to_delete(rig: &Rig, hers: &Token) {
    assert!(!rig.vault.delete_for(&rig.actor, &bob(), hers).await.unwrap());
    assert!(rig.vault.delete_for(&rig.actor, &ada(), hers).await.unwrap());
    created(rig, &ada(), card(VISA)).await;
}

/// Another dialect that changes the profile does not take the card from its person, nor give it to another.
#[tokio::test]
async fn a_change_of_the_profile_leaves_the_person() {
    let rig = Rig::new().await;
    let hers = created(&rig, &ada(), card(VISA)).await.token;
    for extra in [
        Change::Clear,
        Change::Set(Zeroizing::new(r#"{"person":["shop","bob"],"x":1}"#.to_owned())),
        Change::Keep,
    ] {
        let patch = Patch {
            holder: Change::Set(Zeroizing::new("Eve".to_owned())),
            extra,
            ..Patch::default()
        };
        rig.vault.update(&rig.actor, &hers, patch).await.unwrap();
        rig.vault.reveal_for(&rig.actor, &ada(), &hers).await.unwrap().unwrap();
        let seen = error(rig.vault.reveal_for(&rig.actor, &bob(), &hers).await);
        assert_eq!(seen, Error::Caller(CallerError::UnknownToken));
    }
    is_hers_to_delete(&rig, &hers).await;
}

/// What cannot be read can go all the same.
#[tokio::test]
async fn a_card_whose_profile_does_not_open_is_its_persons_to_delete() {
    let rig = Rig::new().await;
    let hers = created(&rig, &ada(), card(VISA)).await.token;
    let held = rig.vault.load(rig.actor.repository, &hers).await.unwrap();
    let mut sealed = held.record.sealed().unwrap();
    let profile = sealed
        .compartments
        .iter_mut()
        .find(|part| part.compartment == Compartment::Profile);
    profile.unwrap().part.text[0] ^= 1;
    let damaged = Record {
        sealed: Some(sealed.encode()),
        ..held.record
    };
    let commit = Commit {
        writes: vec![Write::Put(damaged.key(), damaged.encode().unwrap())],
        ..Commit::default()
    };
    rig.store.commit(commit).await.unwrap();
    is_hers_to_delete(&rig, &hers).await;
}

/// What is on record for one merchant is not for another that shares the repository, nor for one that comes after it.
#[tokio::test]
async fn persons_are_on_record_with_one_merchant() {
    let rig = Rig::new().await;
    rig.vault.enter_person(&rig.actor, &ada()).await.unwrap();
    let other = Actor {
        merchant: MerchantId::parse("other").unwrap(),
        ..rig.actor.clone()
    };
    let knows = async |actor: &Actor| rig.vault.knows_person(actor, Operation::Delete, &ada()).await.unwrap();
    assert!(knows(&rig.actor).await);
    let accounts = rig.vault.access().accounts();
    let admin = AdminActor { peer: rig.actor.peer };
    let new = || NewMerchant {
        id: other.merchant.clone(),
        name: "Other".to_owned(),
        dialects: BTreeSet::from([Dialect::Native]),
        repository: Some(rig.actor.repository_name.clone()),
        test: true,
    };
    for _ in 0..2 {
        accounts.add_merchant(admin, new()).await.unwrap();
        assert!(!knows(&other).await);
        rig.vault.enter_person(&other, &ada()).await.unwrap();
        assert!(knows(&other).await);
        accounts.remove_merchant(admin, &other.merchant).await.unwrap();
        // it is known by its id and the millisecond in which it was added
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    }
}
