mod going_away;

use std::sync::{Arc, Mutex};

use zeroize::Zeroizing;

use super::*;
use crate::id::{MerchantId, Token};
use crate::payment::acquirer::{Acquirer, AcquirerToken, Answer, Ask, CodeCheck, Fut, Presented};
use crate::payment::simulator::SimulatedUpdater;
use crate::payment::{CardDetails, SecurityCode};
use crate::vault::soft::Soft;
use crate::vault::types::{Management, Query, Status};

const MASTERCARD: &str = "5123450000000008";
const VISA: &str = "4508750015741019";
const NEXT_MASTERCARD: &str = "5111111111111118";

struct Rig {
    soft: Soft,
    payments: Payments,
    actor: Actor,
}

impl Rig {
    async fn new(management: Management, generation: Generation) -> Self {
        Self::named("TESTSHOP", management, generation).await
    }

    async fn named(name: &str, management: Management, generation: Generation) -> Self {
        let soft = Soft::start().await;
        let actor = soft.merchant(name, management, generation).await;
        let payments = Payments::new(soft.vault.clone());
        Self { soft, payments, actor }
    }

    async fn random() -> Self {
        Self::new(Management::UniqueToken, Generation::RandomWithLuhn).await
    }

    async fn save(&self, save: SaveToken) -> Result<Saved, Error> {
        self.payments.save_token(&self.actor, save).await
    }

    async fn saved(&self, save: SaveToken) -> View {
        self.save(save).await.unwrap().view.unwrap()
    }

    async fn number(&self, token: &Token) -> String {
        let card = self.soft.vault.reveal(&self.actor, token, false).await.unwrap();
        card.pan.expose().to_owned()
    }

    /// From now on the caller may do these only.
    async fn grant(&self, operations: &str) {
        let text = format!(
            "version = 1\n[[grant]]\nuid = {}\ndialects = [\"*\"]\nrepositories = [\"*\"]\noperations = [{operations}]",
            self.actor.peer.uid
        );
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        self.soft.vault.access().reload_policy(file.path(), None).await.unwrap();
    }

    async fn count(&self) -> usize {
        let query = Query {
            limit: 100,
            ..Query::default()
        };
        self.soft.vault.search(&self.actor, query).await.unwrap().tokens.len()
    }
}

fn card(pan: &str, expiry: &str) -> SaveToken {
    let (month, year) = expiry.split_once('/').unwrap();
    SaveToken {
        token: None,
        sources: Sources {
            card: CardDetails {
                pan: Some(Pan::parse(pan).unwrap()),
                month: month.parse().ok(),
                year: year.parse::<u16>().ok().map(|year| 2000 + year),
                ..CardDetails::default()
            },
            ..Sources::default()
        },
        verification: None,
        currency: None,
    }
}

/// The same for a token that is there.
fn under(token: &Token, save: SaveToken) -> SaveToken {
    SaveToken {
        token: Some(token.clone()),
        ..save
    }
}

fn checked(verification: Verification, save: SaveToken) -> SaveToken {
    SaveToken {
        verification: Some(verification),
        currency: Currency::parse("EUR"),
        ..save
    }
}

/// No number, only this expiry.
fn expiry_only(expiry: &str) -> SaveToken {
    let mut save = card(MASTERCARD, expiry);
    save.sources.card.pan = None;
    save
}

fn expiry(view: &View) -> String {
    view.expiry
        .map(|expiry| format!("{:02}/{}", expiry.month(), expiry.year() - 2000))
        .unwrap_or_default()
}

fn part(result: Result<Saved, Error>) -> Part {
    match result {
        Err(Error::Missing(part) | Error::Invalid { part, .. }) => part,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_new_token_looks_as_the_rules_say() {
    let rig = Rig::random().await;
    let saved = rig.save(card(MASTERCARD, "01/39")).await.unwrap();
    assert_eq!(
        (saved.verification, saved.checked),
        (Verification::Basic, Checked::Basic)
    );
    let view = saved.view.unwrap();
    assert!(view.token.as_str().starts_with('9') && view.token.as_str().len() == 16);
    assert_eq!(view.verification, Some(Verification::Basic));
    assert_eq!(view.updated_by.as_ref(), Some(&rig.actor.merchant));
    assert_ne!(
        rig.saved(card(MASTERCARD, "01/39")).await.token,
        view.token,
        "each save a new one"
    );
    let keeps = Rig::new(Management::UniqueToken, Generation::Preserve64).await;
    let view = keeps.saved(card(MASTERCARD, "01/39")).await;
    assert!(view.token.as_str().starts_with("512345") && view.token.as_str().ends_with("0008"));
}

#[tokio::test]
async fn basic_refuses_by_rule_and_none_does_not() {
    let rig = Rig::random().await;
    assert_eq!(part(rig.save(card(MASTERCARD, "01/20")).await), Part::ExpiryYear);
    assert_eq!(part(rig.save(expiry_only("01/39")).await), Part::Number);
    let mut bare = card(MASTERCARD, "01/39");
    (bare.sources.card.month, bare.sources.card.year) = (None, None);
    assert_eq!(part(rig.save(bare).await), Part::ExpiryMonth);
    let mut half = card(MASTERCARD, "01/39");
    half.sources.card.year = None;
    assert_eq!(
        part(rig.save(checked(Verification::None, half)).await),
        Part::ExpiryYear
    );
    assert_eq!(rig.count().await, 0, "nothing was stored");
    let saved = rig
        .save(checked(Verification::None, card(MASTERCARD, "01/20")))
        .await
        .unwrap();
    assert_eq!(saved.checked, Checked::NotChecked);
    assert_eq!(saved.view.unwrap().verification, Some(Verification::None));
    let mut bare = checked(Verification::None, card(MASTERCARD, "01/39"));
    (bare.sources.card.month, bare.sources.card.year) = (None, None);
    assert_eq!(rig.saved(bare).await.expiry, None);
}

#[tokio::test]
async fn what_the_acquirer_refuses_is_not_stored() {
    let rig = Rig::random().await;
    let acquirer = |expiry| checked(Verification::Acquirer, card(MASTERCARD, expiry));
    for (expiry, verdict) in [
        ("05/39", Verdict::Declined),
        ("04/27", Verdict::ExpiredCard),
        ("08/28", Verdict::TimedOut),
        ("05/37", Verdict::Unknown),
        ("01/20", Verdict::ExpiredCard),
    ] {
        let saved = rig.save(acquirer(expiry)).await.unwrap();
        assert_eq!(saved.checked, Checked::Refused(verdict), "{expiry}");
        assert!(saved.view.is_none());
        let shown = saved.refused_card.unwrap();
        assert_eq!(shown.brand.as_deref(), Some("mastercard"));
        assert!(
            shown.masked.ends_with("0008") && shown.masked.contains('*'),
            "{}",
            shown.masked
        );
    }
    let mut wrong_code = acquirer("01/39");
    wrong_code.sources.card.security_code = SecurityCode::parse("102");
    let saved = rig.save(wrong_code).await.unwrap();
    assert_eq!(saved.checked, Checked::Refused(Verdict::InvalidSecurityCode));
    let without = SaveToken {
        currency: None,
        ..acquirer("01/39")
    };
    assert_eq!(part(rig.save(without).await), Part::Currency);
    assert_eq!(rig.count().await, 0);
    let mut good = acquirer("01/39");
    good.sources.card.security_code = SecurityCode::parse("100");
    let saved = rig.save(good).await.unwrap();
    assert_eq!(saved.checked, Checked::Acquirer);
    assert_eq!(rig.count().await, 1);
}

/// Approves the card that it was asked about first under a key, and answers the same from then on.
#[derive(Clone, Default)]
struct Remembering(Arc<Mutex<Vec<(String, String)>>>);

impl Acquirer for Remembering {
    fn name(&self) -> &'static str {
        "remembering"
    }

    fn ask<'a>(&'a self, _: &'a MerchantId, key: &'a str, ask: Ask<'a>) -> Fut<'a, Answer> {
        let Ask::Verify { card, .. } = ask else {
            panic!("a verification only");
        };
        let mut asked = self.0.lock().unwrap();
        if asked.iter().all(|(known, _)| known != key) {
            asked.push((key.to_owned(), card.pan.expose().to_owned()));
        }
        let good = asked.iter().any(|(known, pan)| known == key && pan == MASTERCARD);
        let answer = Answer {
            verdict: if good { Verdict::Approved } else { Verdict::Declined },
            code: String::new(),
            message: String::new(),
            authorization_code: None,
            reference: String::new(),
            security_code: CodeCheck::NotPresented,
            receipt: String::new(),
            stan: String::new(),
            network_reference: None,
        };
        Box::pin(async { answer })
    }

    fn tokenize<'a>(&'a self, _: &'a MerchantId, _: Presented<'a>) -> Fut<'a, AcquirerToken> {
        Box::pin(async { AcquirerToken::Refused(Verdict::SystemError) })
    }
}

#[tokio::test]
async fn a_request_id_does_not_bring_another_cards_approval() {
    let mut rig = Rig::random().await;
    let acquirer = Remembering::default();
    rig.payments = Payments::with(
        rig.soft.vault.clone(),
        Arc::new(acquirer.clone()),
        Arc::new(SimulatedUpdater),
    );
    // the actor, and so its request id, is the same each time
    for (pan, checked_as) in [
        (MASTERCARD, Checked::Acquirer),
        (VISA, Checked::Refused(Verdict::Declined)),
        (MASTERCARD, Checked::Acquirer),
    ] {
        let saved = rig.save(checked(Verification::Acquirer, card(pan, "01/39"))).await;
        assert_eq!(saved.unwrap().checked, checked_as, "{pan}");
    }
    let asked = acquirer.0.lock().unwrap();
    assert_eq!(asked.len(), 3, "each under a key of its own");
    assert!(asked.iter().all(|(key, _)| !key.contains(rig.actor.request.as_str())));
}

#[tokio::test]
async fn a_refused_update_leaves_the_token_as_it_was() {
    let rig = Rig::random().await;
    let token = rig.saved(card(MASTERCARD, "01/39")).await.token;
    let declined = checked(Verification::Acquirer, card(VISA, "05/39"));
    let saved = rig.save(under(&token, declined)).await.unwrap();
    assert_eq!(saved.checked, Checked::Refused(Verdict::Declined));
    assert_eq!(rig.number(&token).await, MASTERCARD);
    let view = rig.soft.vault.inspect(&rig.actor, &token).await.unwrap();
    assert_eq!((expiry(&view).as_str(), view.revision.0), ("01/39", 1));
}

#[tokio::test]
async fn a_live_merchant_has_nobody_to_ask() {
    let rig = Rig::named("SHOP", Management::UniqueToken, Generation::RandomWithLuhn).await;
    for verification in [Verification::Acquirer, Verification::AccountUpdater] {
        let refused = rig.save(checked(verification, card(MASTERCARD, "01/39"))).await;
        assert!(matches!(refused, Err(Error::NoAcquirer)), "{refused:?}");
    }
    rig.saved(card(MASTERCARD, "01/39")).await;
}

#[tokio::test]
async fn who_may_not_store_does_not_reach_the_acquirer() {
    let mut rig = Rig::random().await;
    rig.actor.peer.uid += 1;
    let refused = rig
        .save(checked(Verification::Acquirer, card(MASTERCARD, "05/39")))
        .await;
    assert!(
        matches!(refused, Err(Error::Core(CoreError::Policy(PolicyError::Denied)))),
        "{refused:?}"
    );
}

#[tokio::test]
async fn a_card_with_one_token_gets_it_again_with_its_new_details() {
    let rig = Rig::new(Management::UniqueAccountIdentifier, Generation::RandomWithLuhn).await;
    let first = rig.saved(card(MASTERCARD, "01/39")).await;
    let again = rig.saved(card(MASTERCARD, "02/39")).await;
    assert_eq!((&again.token, expiry(&again).as_str()), (&first.token, "02/39"));
    // out of use, and brought back
    let closed = rig
        .save(checked(Verification::AccountUpdater, card(MASTERCARD, "08/38")))
        .await
        .unwrap();
    assert_eq!(closed.view.unwrap().status, Status::Inactive);
    let back = rig.saved(card(MASTERCARD, "03/39")).await;
    assert_eq!((&back.token, back.status), (&first.token, Status::Active));
    // a put meets the rule as a refusal
    let other = rig.saved(card(VISA, "01/39")).await.token;
    assert_eq!(
        part(rig.save(under(&other, card(MASTERCARD, "01/39"))).await),
        Part::Number
    );
    assert_eq!(rig.number(&other).await, VISA);
}

#[tokio::test]
async fn a_card_that_is_there_changes_only_where_something_differs() {
    let rig = Rig::new(Management::UniqueAccountIdentifier, Generation::RandomWithLuhn).await;
    let first = rig.saved(card(MASTERCARD, "01/39")).await;
    let same = rig.saved(card(MASTERCARD, "01/39")).await;
    assert_eq!((&same.token, same.revision), (&first.token, first.revision));
    assert_eq!(same.updated_at, first.updated_at);
    let changes = [
        card(MASTERCARD, "02/39"),
        checked(Verification::None, card(MASTERCARD, "02/39")),
        SaveToken {
            sources: Sources {
                card: CardDetails {
                    holder: Some(Zeroizing::new("Ada Lovelace".to_owned())),
                    ..card(MASTERCARD, "02/39").sources.card
                },
                ..Sources::default()
            },
            ..checked(Verification::None, card(MASTERCARD, "02/39"))
        },
    ];
    for (revision, change) in (2..).zip(changes) {
        assert_eq!(rig.saved(change).await.revision.0, revision);
    }
    // who may only store cards gets the token as it is
    rig.grant("\"tokenize\"").await;
    for expiry in ["02/39", "03/39"] {
        let view = rig.saved(card(MASTERCARD, expiry)).await;
        assert_eq!((&view.token, view.revision.0), (&first.token, 4));
        assert_eq!(view.expiry, crate::card::Expiry::new(2, 2039).ok());
    }
    assert_ne!(rig.saved(card(VISA, "01/39")).await.token, first.token);
}

#[tokio::test]
async fn a_named_token_takes_the_right_that_fits() {
    let rig = Rig::new(Management::UniqueToken, Generation::MerchantProvided).await;
    let (first, second) = (Token::parse("first").unwrap(), Token::parse("second").unwrap());
    let denied = |result| matches!(result, Err(Error::Core(CoreError::Policy(PolicyError::Denied))));
    rig.grant("\"tokenize\"").await;
    rig.saved(under(&first, card(MASTERCARD, "01/39"))).await;
    // the expiry would be declined: nobody was asked
    let declined = |token| under(token, checked(Verification::Acquirer, card(MASTERCARD, "05/39")));
    assert!(denied(rig.save(declined(&first)).await));
    rig.grant("\"update\"").await;
    let view = rig.saved(under(&first, card(VISA, "02/39"))).await;
    assert_eq!((&view.token, view.revision.0), (&first, 2));
    assert!(denied(rig.save(declined(&second)).await));
}

#[tokio::test]
async fn only_named_tokens_are_made_by_a_put() {
    let unknown = Token::parse("9000000000000001").unwrap();
    for generation in [
        Generation::RandomWithLuhn,
        Generation::Preserve64,
        Generation::AcquirerTokenization,
    ] {
        let rig = Rig::new(Management::UniqueToken, generation).await;
        for verification in [Verification::None, Verification::Acquirer] {
            let save = checked(verification, card(MASTERCARD, "01/39"));
            let refused = part(rig.save(under(&unknown, save)).await);
            let expected = match generation {
                // asked for its token first, the acquirer has another
                Generation::AcquirerTokenization if verification == Verification::None => Part::Number,
                _ => Part::Token,
            };
            assert_eq!(refused, expected, "{generation:?}");
        }
        assert_eq!(part(rig.save(under(&unknown, expiry_only("01/39"))).await), Part::Token);
    }
    let rig = Rig::new(Management::UniqueToken, Generation::MerchantProvided).await;
    assert_eq!(part(rig.save(card(MASTERCARD, "01/39")).await), Part::Token);
    let named = Token::parse("customer42").unwrap();
    assert_eq!(part(rig.save(under(&named, expiry_only("01/39"))).await), Part::Number);
    assert_eq!(rig.saved(under(&named, card(MASTERCARD, "01/39"))).await.token, named);
    rig.saved(under(&named, card(VISA, "02/39"))).await;
    assert_eq!(rig.number(&named).await, VISA);
    assert_eq!(expiry(&rig.saved(under(&named, expiry_only("03/39"))).await), "03/39");
    let like_a_card = Token::parse("4111111111111111").unwrap();
    assert_eq!(
        part(rig.save(under(&like_a_card, card(MASTERCARD, "01/39"))).await),
        Part::Token
    );
}

#[tokio::test]
async fn a_new_expiry_alone_opens_no_number() {
    let rig = Rig::new(Management::UniqueToken, Generation::Preserve64).await;
    let mut named = card(MASTERCARD, "01/39");
    named.sources.card.holder = Some(Zeroizing::new("Ada Lovelace".to_owned()));
    let token = rig.saved(named).await.token;
    let mut itself = expiry_only("02/39");
    itself.sources.token = Some(token.clone());
    assert!(!rig.soft.opened_a_number());
    assert_eq!(expiry(&rig.saved(under(&token, itself)).await), "02/39");
    assert_eq!(expiry(&rig.saved(under(&token, expiry_only("03/39"))).await), "03/39");
    assert!(!rig.soft.opened_a_number());
    let asked = checked(Verification::Acquirer, expiry_only("04/39"));
    let view = rig.saved(under(&token, asked)).await;
    assert!(rig.soft.opened_a_number(), "the acquirer was shown it");
    assert_eq!(view.verification, Some(Verification::Acquirer));
    let revealed = rig.soft.vault.reveal(&rig.actor, &token, false).await.unwrap();
    assert_eq!(revealed.pan.expose(), MASTERCARD);
    assert_eq!(
        revealed.profile.holder.as_deref().map(String::as_str),
        Some("Ada Lovelace")
    );
}

#[tokio::test]
async fn a_number_changes_where_the_token_does_not_show_it() {
    let rig = Rig::random().await;
    let token = rig.saved(card(MASTERCARD, "01/39")).await.token;
    rig.saved(under(&token, card(VISA, "02/39"))).await;
    assert_eq!(rig.number(&token).await, VISA);
    let keeps = Rig::new(Management::UniqueToken, Generation::Preserve64).await;
    let token = keeps.saved(card(MASTERCARD, "01/39")).await.token;
    assert_eq!(part(keeps.save(under(&token, card(VISA, "02/39"))).await), Part::Number);
    assert_eq!(
        expiry(&keeps.saved(under(&token, card(MASTERCARD, "02/39"))).await),
        "02/39",
        "the same is no change"
    );
}

#[tokio::test]
async fn another_token_is_a_source() {
    let rig = Rig::random().await;
    let first = rig.saved(card(MASTERCARD, "01/39")).await.token;
    let mut copy = expiry_only("02/39");
    copy.sources.token = Some(first.clone());
    let view = rig.saved(copy).await;
    assert_ne!(view.token, first);
    assert_eq!(
        (rig.number(&view.token).await.as_str(), expiry(&view).as_str()),
        (MASTERCARD, "02/39")
    );
}

#[tokio::test]
async fn the_acquirer_names_tokens_the_same_for_the_same_card() {
    for management in [Management::UniqueToken, Management::UniqueAccountIdentifier] {
        let rig = Rig::new(management, Generation::AcquirerTokenization).await;
        let first = rig.saved(card(MASTERCARD, "01/39")).await;
        let again = rig.saved(card(MASTERCARD, "02/39")).await;
        assert_eq!(
            (&again.token, expiry(&again).as_str()),
            (&first.token, "02/39"),
            "{management:?}"
        );
        assert_ne!(rig.saved(card(VISA, "01/39")).await.token, first.token);
        assert_eq!(
            part(rig.save(under(&first.token, card(VISA, "01/39"))).await),
            Part::Number
        );
        let refused = rig
            .save(checked(Verification::None, card(VISA, "05/39")))
            .await
            .unwrap();
        assert_eq!(refused.checked, Checked::Refused(Verdict::Declined));
        rig.soft.set_down(true);
        let down = rig.save(card(MASTERCARD, "01/39")).await.unwrap();
        assert_eq!(down.checked, Checked::Refused(Verdict::SystemError));
    }
}

#[tokio::test]
async fn what_the_updater_knows_takes_effect() {
    let rig = Rig::random().await;
    for (given, outcome, now, status, number) in [
        ("01/39", Checked::UpdaterCurrent, "01/39", Status::Active, MASTERCARD),
        ("06/38", Checked::UpdaterChanged, "06/41", Status::Active, MASTERCARD),
        (
            "07/38",
            Checked::UpdaterChanged,
            "07/41",
            Status::Active,
            NEXT_MASTERCARD,
        ),
        (
            "09/38",
            Checked::UpdaterUnavailable,
            "09/38",
            Status::Active,
            MASTERCARD,
        ),
        ("08/38", Checked::UpdaterClosed, "08/38", Status::Inactive, MASTERCARD),
    ] {
        let saved = rig
            .save(checked(Verification::AccountUpdater, card(MASTERCARD, given)))
            .await
            .unwrap();
        assert_eq!(saved.checked, outcome, "{given}");
        let view = saved.view.unwrap();
        assert_eq!((expiry(&view).as_str(), view.status), (now, status), "{given}");
        assert_eq!(view.verification, Some(Verification::AccountUpdater));
        let by_merchant = matches!(outcome, Checked::UpdaterCurrent | Checked::UpdaterUnavailable);
        assert_eq!(view.updated_by.is_some(), by_merchant, "{given}");
        if status == Status::Active {
            assert_eq!(rig.number(&view.token).await, number, "{given}");
        }
    }
}

#[tokio::test]
async fn a_closed_account_comes_back_with_new_details() {
    let rig = Rig::random().await;
    let closed = rig
        .saved(checked(Verification::AccountUpdater, card(MASTERCARD, "08/38")))
        .await;
    let mut itself = checked(Verification::Acquirer, expiry_only("01/39"));
    itself.sources.token = Some(closed.token.clone());
    assert_eq!(
        part(rig.save(under(&closed.token, itself)).await),
        Part::Token,
        "it is not used as it is"
    );
    let back = rig.saved(under(&closed.token, card(MASTERCARD, "01/39"))).await;
    assert_eq!(back.status, Status::Active);
}

#[tokio::test]
async fn a_token_that_keeps_digits_is_taken_over_by_another() {
    for management in [Management::UniqueToken, Management::UniqueAccountIdentifier] {
        let rig = Rig::new(management, Generation::Preserve64).await;
        let old = rig.saved(card(MASTERCARD, "07/38")).await.token;
        let asked = SaveToken {
            sources: Sources::default(),
            ..checked(Verification::AccountUpdater, card(MASTERCARD, "07/38"))
        };
        let saved = rig.save(under(&old, asked)).await.unwrap();
        assert_eq!(saved.checked, Checked::UpdaterChanged);
        let view = saved.view.unwrap();
        let new = view.replacement.clone().unwrap();
        assert_eq!((view.status, view.updated_by), (Status::Active, None));
        assert!(new.as_str().starts_with("511111") && new.as_str().ends_with("1118"));
        for token in [&old, &new] {
            assert_eq!(rig.number(token).await, NEXT_MASTERCARD, "{management:?}");
        }
        let taken_over = rig.soft.vault.inspect(&rig.actor, &new).await.unwrap();
        assert_eq!(
            (taken_over.updated_by, taken_over.verification),
            (None, Some(Verification::AccountUpdater))
        );
        // the old one works on but is not changed any more
        for verification in [Verification::None, Verification::Acquirer] {
            let save = checked(verification, expiry_only("01/40"));
            assert_eq!(part(rig.save(under(&old, save)).await), Part::Token);
        }
        assert_eq!(expiry(&rig.saved(under(&new, expiry_only("01/40"))).await), "01/40");
    }
}

#[tokio::test]
async fn a_number_that_another_token_has_makes_that_one_take_over() {
    let rig = Rig::new(Management::UniqueAccountIdentifier, Generation::RandomWithLuhn).await;
    let there = rig.saved(card(NEXT_MASTERCARD, "01/39")).await.token;
    let view = rig
        .saved(checked(Verification::AccountUpdater, card(MASTERCARD, "07/38")))
        .await;
    assert_eq!(view.replacement.as_ref(), Some(&there));
    assert_eq!(rig.number(&view.token).await, NEXT_MASTERCARD);
}
