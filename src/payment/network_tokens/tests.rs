mod erased;
mod going_away;
mod races;
mod refused;

use std::ops::Bound;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::Semaphore;

use super::*;
use crate::id::{MerchantId, UnixMillis};
use crate::payment::acquirer::Fut;
use crate::payment::network_token::{CardToProvision, NetworkTokenService, NotDone, Provision};
use crate::payment::simulator::SimulatedNetworkTokens;
use crate::store::{Key, Part as StorePart, Store};
use crate::vault::accounts::{AdminActor, NewMerchant};
use crate::vault::tests::{Rig, card as token_of};
use crate::vault::types::{Dialect, DocumentKind, NewToken};

const VISA: &str = "4508750015741019";
const MASTERCARD: &str = "5123450000000008";
const GOOD: &str = "12/40";
const NOT_DONE: &str = "02/38";
const REFUSED: &str = "03/38";
const PENDING: &str = "04/38";
const REFUSED_LATER: &str = "05/38";

/// Payments whose network token service is the simulator, watched.
struct Shop {
    rig: Rig,
    payments: Payments,
    service: Arc<Watched>,
}

struct Watched {
    inner: SimulatedNetworkTokens,
    /// The holders of the cards that it was asked about.
    holders: Mutex<Vec<String>>,
    /// The numbers that it was told to end.
    ended: Mutex<Vec<String>>,
    /// It does nothing.
    down: AtomicBool,
    /// One permit lets one question through.
    door: Semaphore,
    /// How often it was asked.
    asked: AtomicUsize,
    /// It gives this number for every card.
    number: Mutex<Option<&'static str>>,
}

impl NetworkTokenService for Arc<Watched> {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn provision<'a>(
        &'a self,
        merchant: &'a MerchantId,
        card: CardToProvision<'a>,
    ) -> Fut<'a, Result<Provision, NotDone>> {
        Box::pin(async move {
            self.up().await?;
            self.holders.lock().unwrap().extend(card.holder.map(str::to_owned));
            let mut provision = self.inner.provision(merchant, card).await?;
            if let (Provision::Active(token), Some(number)) = (&mut provision, *self.number.lock().unwrap()) {
                token.number = Pan::parse(number).unwrap();
            }
            Ok(provision)
        })
    }

    fn look_up<'a>(&'a self, merchant: &'a MerchantId, pending: &'a str) -> Fut<'a, Result<Provision, NotDone>> {
        Box::pin(async move {
            self.up().await?;
            self.inner.look_up(merchant, pending).await
        })
    }

    fn cryptogram<'a>(
        &'a self,
        merchant: &'a MerchantId,
        number: &'a Pan,
    ) -> Fut<'a, Result<CryptogramDetails, NotDone>> {
        Box::pin(async move {
            self.up().await?;
            self.inner.cryptogram(merchant, number).await
        })
    }

    fn delete<'a>(&'a self, merchant: &'a MerchantId, number: &'a Pan) -> Fut<'a, Result<(), NotDone>> {
        Box::pin(async move {
            self.up().await?;
            self.ended.lock().unwrap().push(number.expose().to_owned());
            self.inner.delete(merchant, number).await
        })
    }
}

impl Watched {
    async fn up(&self) -> Result<(), NotDone> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        self.door.acquire().await.unwrap().forget();
        match self.down.load(Ordering::SeqCst) {
            true => Err(NotDone),
            false => Ok(()),
        }
    }
}

impl Shop {
    async fn open() -> Self {
        Self::over(Rig::new().await)
    }

    fn over(rig: Rig) -> Self {
        let service = Arc::new(Watched {
            inner: SimulatedNetworkTokens::new(Arc::clone(&rig.vault)),
            holders: Mutex::default(),
            ended: Mutex::default(),
            down: AtomicBool::new(false),
            door: Semaphore::new(10_000),
            asked: AtomicUsize::new(0),
            number: Mutex::default(),
        });
        let payments = Payments {
            network_tokens: Arc::new(Arc::clone(&service)),
            ..Payments::new(Arc::clone(&rig.vault))
        };
        Self { rig, payments, service }
    }

    async fn provision(&self, from: ProvisionFrom) -> Result<NetworkToken, Error> {
        self.payments.provision_network_token(&self.rig.actor, from).await
    }

    async fn given(&self, pan: &str, expiry: &str) -> NetworkToken {
        self.provision(card(pan, expiry)).await.unwrap()
    }

    async fn get(&self, reference: &str) -> Result<NetworkToken, Error> {
        self.payments.network_token(&self.rig.actor, reference).await
    }

    async fn delete(&self, number: &str) -> Result<(), Error> {
        let number = Pan::parse(number).unwrap();
        self.payments.delete_network_token(&self.rig.actor, &number).await
    }

    async fn cryptogram(&self, number: &str) -> Result<CryptogramDetails, Error> {
        let number = Pan::parse(number).unwrap();
        self.payments.network_cryptogram(&self.rig.actor, &number).await
    }

    /// How many documents there are: network tokens, and ways to them.
    async fn documents(&self) -> (usize, usize) {
        let count = async |kind| {
            let listed = self.rig.vault.documents(&self.rig.actor, kind, "", None, 1_000).await;
            listed.unwrap().len()
        };
        (
            count(DocumentKind::NetworkToken).await,
            count(DocumentKind::NetworkTokenNumber).await,
        )
    }

    /// The last audit events.
    async fn last_events(&self, count: usize) -> Vec<String> {
        let mut events = self.rig.events().await;
        events.split_off(events.len().saturating_sub(count))
    }

    /// Everything in the store, the audit trail too.
    async fn everything(&self) -> String {
        let page = self
            .rig
            .store
            .scan(StorePart::default(), Bound::Unbounded, Bound::Unbounded, 10_000)
            .await
            .unwrap();
        assert!(page.next.is_none());
        let rows = page.items.into_iter().flat_map(|(key, row)| [key.0, row.value]);
        let lines = self.rig.store.audit(1, 10_000).await.unwrap();
        let all: Vec<_> = rows.chain(lines.into_iter().map(|line| line.line)).collect();
        String::from_utf8_lossy(&all.join(&b'\n')).into_owned()
    }

    /// From now on the caller may do these only.
    async fn grant(&self, operations: &str) {
        let text = format!(
            "version = 1\n[[grant]]\nuid = {}\ndialects = [\"*\"]\nrepositories = [\"*\"]\noperations = [{operations}]",
            self.rig.actor.peer.uid
        );
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        let access = self.rig.vault.access();
        access.reload_policy(file.path(), None).await.unwrap();
    }

    /// Another TEST merchant.
    async fn neighbour(&self) -> Actor {
        let admin = AdminActor {
            peer: self.rig.actor.peer,
        };
        let new = NewMerchant {
            id: MerchantId::parse("neighbour").unwrap(),
            name: "Neighbour".to_owned(),
            dialects: [Dialect::Native].into(),
            repository: None,
            test: true,
        };
        let access = self.rig.vault.access();
        let id = access.accounts().add_merchant(admin, new).await.unwrap().id;
        let actors = access.own_actors(self.rig.actor.peer, Dialect::Native).unwrap();
        actors.into_iter().find(|actor| actor.merchant == id).unwrap()
    }
}

fn card(pan: &str, expiry: &str) -> ProvisionFrom {
    let (month, year) = expiry.split_once('/').unwrap();
    ProvisionFrom::Card {
        pan: Pan::parse(pan).unwrap(),
        expiry: Expiry::parse(month, year).unwrap(),
        holder: Some(Zeroizing::new("Ada Lovelace".to_owned())),
    }
}

/// Its number.
fn number(token: &NetworkToken) -> String {
    match &token.state {
        NetworkTokenState::Active(token) => token.number.expose().to_owned(),
        NetworkTokenState::Pending => panic!("pending"),
        NetworkTokenState::Refused(refusal) => panic!("{refusal:?}"),
    }
}

/// All that is said of it.
fn told(token: &NetworkToken) -> (String, String, String) {
    let expiry = |expiry: Expiry| format!("{:02}/{}", expiry.month(), expiry.year() - 2000);
    let state = match &token.state {
        NetworkTokenState::Active(token) => format!(
            "{} {} {}",
            token.number.expose(),
            expiry(token.expiry),
            token.account_reference.expose()
        ),
        NetworkTokenState::Pending => "pending".to_owned(),
        NetworkTokenState::Refused(refusal) => format!("{} {}", refusal.error_code, refusal.provider_error_code),
    };
    let card = format!("{}/{} {}", token.first_six, token.last_four, expiry(token.card_expiry));
    (token.reference.clone(), card, state)
}

fn is_unknown<T>(result: &Result<T, Error>) -> bool {
    matches!(result, Err(Error::Unknown(Part::NetworkToken)))
}

#[tokio::test]
async fn the_same_card_has_one_network_token() {
    let shop = Shop::open().await;
    let first = shop.given(VISA, GOOD).await;
    let (_, card_told, state) = told(&first);
    assert_eq!(card_told, "450875/1019 12/40");
    assert!(
        state.starts_with("489537") && state.contains(" 12/43 SIM"),
        "its expiry is its own: {state}"
    );
    let again = shop.given(VISA, GOOD).await;
    assert_eq!(told(&again), told(&first));
    assert_eq!(told(&shop.get(&first.reference).await.unwrap()), told(&first));
    let other = shop.given(MASTERCARD, GOOD).await;
    assert!(other.reference != first.reference && number(&other) != number(&first));
    assert_eq!(shop.documents().await, (2, 4));
    assert_eq!(
        shop.rig.events().await,
        [
            "network-token-provision active",
            "network-token-provision reused",
            "network-token-provision active"
        ]
    );
    assert_eq!(*shop.service.holders.lock().unwrap(), ["Ada Lovelace"; 3]);
}

#[tokio::test]
async fn another_merchant_has_another_network_token() {
    let shop = Shop::open().await;
    let neighbour = shop.neighbour().await;
    let ours = shop.given(VISA, GOOD).await;
    let theirs = shop
        .payments
        .provision_network_token(&neighbour, card(VISA, GOOD))
        .await;
    let theirs = theirs.unwrap();
    assert_ne!(number(&theirs), number(&ours));
    assert!(is_unknown(&shop.get(&theirs.reference).await));
    assert!(is_unknown(&shop.cryptogram(&number(&theirs)).await));
    assert!(is_unknown(&shop.delete(&number(&theirs)).await));
    assert!(shop.payments.network_token(&neighbour, &theirs.reference).await.is_ok());
    assert!(shop.service.ended.lock().unwrap().is_empty());
}

#[tokio::test]
async fn what_is_new_about_a_card_is_taken_over() {
    let shop = Shop::open().await;
    let first = shop.given(VISA, GOOD).await;
    let renewed = shop.given(VISA, "11/41").await;
    assert_eq!(
        (&renewed.reference, number(&renewed)),
        (&first.reference, number(&first))
    );
    assert!(told(&renewed).1.ends_with("11/41") && told(&renewed).2.contains(" 11/44 "));
    assert_eq!(told(&shop.get(&first.reference).await.unwrap()), told(&renewed));

    // the service has another number for the card now
    *shop.service.number.lock().unwrap() = Some("4895370012003478");
    let moved = shop.given(VISA, "11/41").await;
    assert_eq!(
        (moved.reference.as_str(), number(&moved).as_str()),
        (first.reference.as_str(), "4895370012003478")
    );
    assert!(is_unknown(&shop.cryptogram(&number(&first)).await));
    assert!(shop.cryptogram(&number(&moved)).await.is_ok());
    assert_eq!(shop.documents().await, (1, 2));
}

#[tokio::test]
async fn a_number_is_of_one_card() {
    let shop = Shop::open().await;
    *shop.service.number.lock().unwrap() = Some("4895370012003478");
    let first = shop.given(VISA, GOOD).await;
    let before = shop.everything().await;
    let refused = shop.provision(card(MASTERCARD, GOOD)).await;
    assert!(matches!(refused, Err(Error::NetworkTokenService)));
    assert_eq!(shop.everything().await, before, "nothing is written");
    assert_eq!(told(&shop.get(&first.reference).await.unwrap()).1, "450875/1019 12/40");
}

#[tokio::test]
async fn the_card_of_a_token_is_used_unseen() {
    let shop = Shop::open().await;
    let stored = shop.rig.create(token_of("4111111111111111")).await;
    let from = || ProvisionFrom::Token(stored.token.clone());
    let first = shop.provision(from()).await.unwrap();
    assert_eq!(told(&first).1, "411111/1111 12/30");
    assert_eq!(shop.last_events(2).await, ["pay ok", "network-token-provision active"]);
    assert_eq!(*shop.service.holders.lock().unwrap(), ["Ada Lovelace"]);
    let last = shop.everything().await;
    let line = last.lines().last().unwrap();
    for text in [stored.token.as_str(), &first.reference] {
        assert!(line.contains(text), "{line}");
    }
    assert_eq!(
        told(&shop.given("4111111111111111", "12/30").await),
        told(&first),
        "it is the same card"
    );

    let bare = NewToken {
        expiry: None,
        ..token_of(MASTERCARD)
    };
    let bare = shop.rig.create(bare).await.token;
    let refused = shop.provision(ProvisionFrom::Token(bare)).await;
    assert!(matches!(refused, Err(Error::Missing(Part::ExpiryMonth))));
    let unheard_of = Token::parse("tok_none").unwrap();
    let refused = shop.provision(ProvisionFrom::Token(unheard_of)).await;
    assert!(matches!(refused, Err(Error::Invalid { part: Part::Token, .. })));
    shop.rig.vault.delete(&shop.rig.actor, &stored.token).await.unwrap();
    assert!(
        shop.get(&first.reference).await.is_ok(),
        "a network token is not its token's"
    );
}

#[tokio::test]
async fn a_deleted_one_is_gone() {
    let shop = Shop::open().await;
    let first = shop.given(VISA, GOOD).await;
    let digits = number(&first);
    shop.delete(&digits).await.unwrap();
    assert_eq!(*shop.service.ended.lock().unwrap(), [digits.as_str()]);
    assert!(is_unknown(&shop.get(&first.reference).await));
    assert!(is_unknown(&shop.cryptogram(&digits).await));
    assert!(is_unknown(&shop.delete(&digits).await));
    assert_eq!(shop.service.ended.lock().unwrap().len(), 1);
    assert_eq!(shop.last_events(1).await, ["network-token-delete ok"]);
    assert_eq!(shop.documents().await, (0, 0));
    let again = shop.given(VISA, GOOD).await;
    assert_ne!(again.reference, first.reference);
    assert_eq!(shop.documents().await, (1, 2));
    shop.delete(&number(&again)).await.unwrap();

    // no row of it stays
    let rows = async || {
        let (from, to) = (Key(vec![0x30]), Key(vec![0x32]));
        let page = shop
            .rig
            .store
            .scan(StorePart::default(), Bound::Included(from), Bound::Excluded(to), 1_000)
            .await;
        page.unwrap().items.len()
    };
    assert_ne!(rows().await, 0);
    let background = shop.rig.vault.start_background(0);
    let swept = async {
        while rows().await > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), swept).await.unwrap();
    background.shutdown().await;
}

/// A backup brought it back, and its KEK was destroyed since.
#[tokio::test]
async fn one_that_opens_no_more_is_asked_for_again() {
    let shop = Shop::open().await;
    let first = shop.provision(card(VISA, GOOD)).await.unwrap();
    shop.rig.sealer.destroy_all();
    let again = shop.provision(card(VISA, GOOD)).await.unwrap();
    assert_ne!(again.reference, first.reference);
    assert_eq!(number(&again), number(&first), "the service's own is the same");
    assert!(is_unknown(&shop.get(&first.reference).await));
    let last = shop.provision(card(VISA, GOOD)).await.unwrap();
    assert_eq!(last.reference, again.reference);
}

#[tokio::test]
async fn it_is_kept_across_a_restart() {
    let shop = Shop::open().await;
    let (active, pending) = (shop.given(VISA, GOOD).await, shop.given(MASTERCARD, PENDING).await);
    let later = Shop::over(shop.rig.restarted().await);
    assert_eq!(told(&later.get(&active.reference).await.unwrap()), told(&active));
    assert_eq!(told(&later.given(VISA, GOOD).await), told(&active));
    let ready = later.get(&pending.reference).await.unwrap();
    assert!(later.cryptogram(&number(&ready)).await.is_ok());
    later.delete(&number(&active)).await.unwrap();
    assert!(is_unknown(&later.get(&active.reference).await));
}

#[tokio::test]
async fn no_number_is_stored_in_clear() {
    let shop = Shop::open().await;
    let active = shop.given(VISA, GOOD).await;
    let pending = shop.given(MASTERCARD, PENDING).await;
    let refused = shop.given("371449635398431", REFUSED).await;
    let cryptogram = shop.cryptogram(&number(&active)).await.unwrap().cryptogram;
    let stored = shop.everything().await;
    assert!(
        stored.contains("450875") && stored.contains(&active.reference),
        "the view is in clear"
    );
    let ready = shop.get(&pending.reference).await.unwrap();
    for stored in [stored, shop.everything().await] {
        for secret in [
            VISA,
            MASTERCARD,
            "371449635398431",
            &number(&active),
            &number(&ready),
            cryptogram.expose(),
            "Lovelace",
            "SIM",
            "(simulator)",
        ] {
            assert!(!stored.contains(secret), "{secret}");
        }
    }
    for (reference, card_is_kept) in [(&active.reference, true), (&refused.reference, false)] {
        let held = shop.payments.held(&shop.rig.actor, reference).await.unwrap().unwrap();
        assert_eq!(held.kept.card().is_some(), card_is_kept);
    }
}

#[tokio::test]
async fn a_cryptogram_is_fresh_and_kept_nowhere() {
    let shop = Shop::open().await;
    let digits = number(&shop.given(VISA, GOOD).await);
    let mut seen = Vec::new();
    for _ in 0..3 {
        let before = shop.documents().await;
        let details = shop.cryptogram(&digits).await.unwrap();
        assert_eq!(details.eci, "07");
        seen.push(details.cryptogram.expose().to_owned());
        assert_eq!(shop.documents().await, before);
        assert_eq!(shop.last_events(1).await, ["network-token-cryptogram ok"]);
    }
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 3);
    let stored = shop.everything().await;
    assert!(seen.iter().all(|cryptogram| !stored.contains(cryptogram)));
    assert_eq!(
        shop.cryptogram(&number(&shop.given(MASTERCARD, GOOD).await))
            .await
            .unwrap()
            .eci,
        "02"
    );
}
