//! What becomes of network tokens where their cards are erased, or may be kept no longer.

use std::sync::Arc;

use tokio::sync::watch;

use super::*;
use crate::id::{Namespace, RepositoryName};
use crate::payment::erasure::{LinkedTo, Whose};
use crate::vault::Linked;
use crate::vault::tests::test_store::Fault;
use crate::vault::types::{self as core, Actor, Document, DocumentWrite, Expect, Secret};

const DAY: u64 = 24 * 60 * 60 * 1_000;

impl Shop {
    fn linked(&self, of: Option<&Namespace>) -> LinkedTo {
        let (peer, repository) = (self.rig.actor.peer, self.rig.actor.repository_name.clone());
        let of = of.map(|name| (Whose::Namespace(name.clone()), name.clone()));
        Arc::new(self.payments.clone()).linked(peer, repository, of)
    }

    fn ended(&self) -> Vec<String> {
        std::mem::take(&mut *self.service.ended.lock().unwrap())
    }

    async fn token(&self, namespace: Option<&Namespace>) -> Token {
        let new = NewToken {
            namespace: namespace.cloned(),
            ..token_of(VISA)
        };
        self.rig.create(new).await.token
    }

    /// The one network token of the store, and its part in clear.
    async fn document(&self) -> (Document, serde_json::Value) {
        let kind = DocumentKind::NetworkToken;
        let listed = self.rig.vault.documents(&self.rig.actor, kind, "", None, 2).await;
        let document = listed.unwrap().remove(0);
        let clear = serde_json::from_slice(&document.clear).unwrap();
        (document, clear)
    }

    async fn rewrite(&self, document: Document, clear: &serde_json::Value) {
        let write = DocumentWrite {
            kind: document.kind,
            name: document.name,
            expect: Expect::Rev(document.rev),
            clear: clear.to_string().into_bytes(),
            secret: Secret::Keep(document.sealed),
            expires_at: document.expires_at,
        };
        let event = event("network-token-provision", "ok", "test");
        let (vault, actor) = (&self.rig.vault, &self.rig.actor);
        vault.write_documents(actor, vec![write], event).await.unwrap();
    }

    async fn retain(&self, now: UnixMillis) -> u64 {
        let (_stop, stopped) = watch::channel(false);
        let own = self.rig.actor.peer;
        self.payments.retain_network_tokens(own, now, &stopped).await.unwrap()
    }
}

#[tokio::test]
async fn those_of_a_repository_that_is_erased_are_ended_at_the_service() {
    let shop = Shop::open().await;
    let (one, two) = (shop.given(VISA, GOOD).await, shop.given(MASTERCARD, GOOD).await);
    shop.given("4012888888881881", REFUSED).await;
    // another merchant's, in its own repository
    let neighbour = shop.neighbour().await;
    let theirs = shop.payments.provision_network_token(&neighbour, card(VISA, GOOD));
    let theirs = theirs.await.unwrap();
    shop.service.down.store(true, Ordering::SeqCst);
    let refused = shop.linked(None).before().await.unwrap_err();
    assert!(refused.contains("network token service"), "{refused}");
    shop.service.down.store(false, Ordering::SeqCst);
    let removed = shop.linked(None).before().await.unwrap();
    assert_eq!((removed["network-token"], removed["network-token-number"]), (2, 4));
    let mut ended = shop.ended();
    ended.sort();
    let mut expected = vec![number(&one), number(&two)];
    expected.sort();
    assert_eq!(ended, expected);
    assert_eq!(shop.documents().await, (1, 0), "the refusal goes with the repository");
    assert!(shop.payments.network_token(&neighbour, &theirs.reference).await.is_ok());
    // one that opens no more is no reason to keep the others
    shop.given(VISA, GOOD).await;
    shop.rig.sealer.destroy_all();
    assert!(shop.linked(None).before().await.unwrap().is_empty());
}

#[tokio::test]
async fn one_that_is_asked_for_while_its_card_is_erased_is_ended_too() {
    let shop = Shop::open().await;
    let namespace = Namespace::parse("c1").unwrap();
    let token = shop.token(Some(&namespace)).await;
    let linked = shop.linked(Some(&namespace));
    assert!(linked.before().await.unwrap().is_empty());
    let made = shop.provision(ProvisionFrom::Token(token.clone())).await.unwrap();
    shop.rig.vault.delete(&shop.rig.actor, &token).await.unwrap();
    let removed = linked.after().await.unwrap();
    assert_eq!((removed["network-token"], removed["network-token-number"]), (1, 2));
    assert_eq!(shop.ended(), [number(&made)]);
    assert_eq!(shop.documents().await, (0, 0));
}

#[tokio::test]
async fn none_is_written_for_a_token_that_is_gone() {
    let shop = Shop::open().await;
    let token = shop.token(None).await;
    let (came, may) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let halt = || {
        let fault = Fault::Halted(Arc::clone(&came), Arc::clone(&may));
        shop.rig.store.next_commit(fault);
    };
    // the first commit takes the card out, the second writes the network token down
    halt();
    let (payments, actor): (Payments, Actor) = (shop.payments.clone(), shop.rig.actor.clone());
    let of = ProvisionFrom::Token(token.clone());
    let asked = tokio::spawn(async move { payments.provision_network_token(&actor, of).await });
    came.acquire().await.unwrap().forget();
    halt();
    may.add_permits(1);
    came.acquire().await.unwrap().forget();
    shop.rig.vault.delete(&shop.rig.actor, &token).await.unwrap();
    may.add_permits(1);
    let ended = asked.await.unwrap();
    let gone = Error::Core(core::Error::Caller(CallerError::UnknownToken));
    assert!(matches!(ended, Err(error) if error.to_string() == gone.to_string()));
    assert_eq!(shop.documents().await, (0, 0));
}

#[tokio::test]
async fn a_card_that_a_token_elsewhere_has_too_keeps_its_network_token() {
    let shop = Shop::open().await;
    let (mine, other) = (Namespace::parse("c1").unwrap(), Namespace::parse("c2").unwrap());
    let token = shop.token(Some(&mine)).await;
    let (vault, actor) = (&shop.rig.vault, &shop.rig.actor);
    let is_shared = async || {
        let card = vault.card_to_erase(actor, &mine, &token).await.unwrap();
        card.unwrap().shared
    };
    assert!(!is_shared().await);
    // found under the next fingerprint key, while the first one's token is not moved yet
    vault.rotate_fingerprint(actor.peer).await.unwrap();
    assert!(!is_shared().await);
    let theirs = shop.token(Some(&other)).await;
    assert!(is_shared().await);
    vault.delete(actor, &theirs).await.unwrap();
    assert!(!is_shared().await);
    // in another repository that the merchant may act in
    let neighbour = shop.neighbour().await;
    vault.tokenize(&neighbour, token_of(VISA)).await.unwrap();
    assert!(!is_shared().await, "another merchant's network tokens are its own");
    let admin = AdminActor { peer: actor.peer };
    let name: &RepositoryName = &neighbour.repository_name;
    let accounts = vault.access().accounts();
    accounts
        .grant_repository(admin, name, &actor.merchant, false)
        .await
        .unwrap();
    assert!(is_shared().await);
}

#[tokio::test]
async fn one_past_its_repositorys_retention_is_refused_and_then_ended() {
    let shop = Shop::open().await;
    let made = shop.given(VISA, GOOD).await;
    let now = UnixMillis::now();
    assert_eq!(shop.retain(now.plus(40 * DAY)).await, 0, "no limit");
    let admin = AdminActor {
        peer: shop.rig.actor.peer,
    };
    let name = &shop.rig.actor.repository_name;
    let accounts = shop.rig.vault.access().accounts();
    accounts.set_retention(admin, name, Some(30)).await.unwrap();
    assert_eq!(shop.retain(now.plus(29 * DAY)).await, 0);
    assert!(shop.get(&made.reference).await.is_ok());
    // as one that was made 31 days ago
    let (document, mut clear) = shop.document().await;
    clear["made_at"] = (now.0 - 31 * DAY).into();
    shop.rewrite(document, &clear).await;
    assert!(is_unknown(&shop.get(&made.reference).await));
    assert!(is_unknown(&shop.cryptogram(&number(&made)).await));
    // who asks for it anew has it for another life
    let again = shop.given(VISA, GOOD).await;
    assert_eq!(again.reference, made.reference);
    assert_eq!(shop.retain(UnixMillis::now()).await, 0);
    let (document, mut clear) = shop.document().await;
    clear["made_at"] = (now.0 - 31 * DAY).into();
    shop.rewrite(document, &clear).await;
    assert_eq!(shop.retain(UnixMillis::now()).await, 1);
    assert_eq!(shop.ended(), [number(&made)]);
    assert_eq!(shop.documents().await, (0, 0));

    // of one from before ages were kept, the life is counted from now
    let made = shop.given(VISA, GOOD).await;
    let (document, mut clear) = shop.document().await;
    clear.as_object_mut().unwrap().remove("made_at");
    shop.rewrite(document, &clear).await;
    assert_eq!(shop.retain(now).await, 0);
    assert!(shop.get(&made.reference).await.is_ok());
    // one that opens no more goes too
    shop.rig.sealer.destroy_all();
    assert_eq!(shop.retain(now.plus(31 * DAY)).await, 1);
    assert_eq!(shop.documents().await, (0, 0));
}
