//! Composed searches.

use proptest::prelude::*;

use super::*;
use crate::store::Depth;
use crate::vault::types::{Change, Filter, Found, Patch, Search};

const PANS: [&str; 4] = [VISA, MASTERCARD, AMEX, "4242424242424242"];

/// A filter that can be asked more than once.
#[derive(Debug, Clone)]
enum Ask {
    All(Vec<Self>),
    Any(Vec<Self>),
    Token(usize),
    Pan(usize),
    ExpiresIn(u16),
    ExpiresBy(u16),
    UpdatedAfter(usize),
    Nothing,
}

fn june(year: u16) -> Expiry {
    Expiry::new(6, year).unwrap()
}

fn pan(at: usize) -> Filter {
    Filter::Pan(Pan::parse(PANS[at]).unwrap())
}

impl Ask {
    fn filter(&self, made: &[(usize, View)]) -> Filter {
        let view = |at: &usize| made.get(*at).map(|(_, view)| view);
        let all = |asks: &[Self]| asks.iter().map(|ask| ask.filter(made)).collect();
        match self {
            Self::All(asks) => Filter::All(all(asks)),
            Self::Any(asks) => Filter::Any(all(asks)),
            Self::Token(at) => Filter::Token(view(at).map_or(token("none"), |view| view.token.clone())),
            Self::Pan(at) => pan(*at),
            Self::ExpiresIn(year) => Filter::ExpiresIn(june(*year)),
            Self::ExpiresBy(year) => Filter::ExpiresBy(june(*year)),
            Self::Nothing => Filter::Nothing,
            Self::UpdatedAfter(at) => Filter::UpdatedAfter(view(at).map_or(UnixMillis(0), |view| view.updated_at)),
        }
    }

    /// The same question, asked of a list.
    fn holds(&self, number: usize, view: &View, made: &[(usize, View)]) -> bool {
        match self {
            Self::All(asks) => asks.iter().all(|ask| ask.holds(number, view, made)),
            Self::Any(asks) => asks.iter().any(|ask| ask.holds(number, view, made)),
            Self::Token(at) => made.get(*at).is_some_and(|(_, made)| made.token == view.token),
            Self::Pan(at) => *at == number && view.status != Status::Spent,
            Self::ExpiresIn(year) => view.expiry == Some(june(*year)),
            Self::ExpiresBy(year) => view.expiry.is_some_and(|at| at <= june(*year)),
            Self::Nothing => false,
            Self::UpdatedAfter(at) => made.get(*at).is_none_or(|(_, made)| view.updated_at > made.updated_at),
        }
    }
}

fn asks() -> impl proptest::strategy::Strategy<Value = Ask> {
    let leaf = prop_oneof![
        (0usize..24).prop_map(Ask::Token),
        (0usize..4).prop_map(Ask::Pan),
        (2028u16..2032).prop_map(Ask::ExpiresIn),
        (2028u16..2032).prop_map(Ask::ExpiresBy),
        (0usize..24).prop_map(Ask::UpdatedAfter),
        Just(Ask::Nothing),
    ];
    leaf.prop_recursive(3, 8, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 1..4).prop_map(Ask::All),
            proptest::collection::vec(inner, 1..4).prop_map(Ask::Any),
        ]
    })
}

async fn make(rig: &Rig, tokens: &[(usize, Option<u16>, u8)]) -> Vec<(usize, View)> {
    let mut made = Vec::new();
    for (number, year, fate) in tokens {
        let new = NewToken {
            expiry: year.map(june),
            uses: if *fate == 1 { Uses::Single } else { Uses::Multi },
            ..card(PANS[*number])
        };
        let token = rig.create(new).await.token;
        match fate {
            0 => {
                rig.vault.delete(&rig.actor, &token).await.unwrap();
                continue;
            }
            1 => drop(rig.vault.reveal(&rig.actor, &token, false).await.unwrap()),
            _ => {}
        }
        made.push((*number, rig.vault.inspect(&rig.actor, &token).await.unwrap()));
    }
    made
}

async fn begin(rig: &Rig, filter: Filter, limit: u32) -> Found {
    let search = Search::Begin {
        filter,
        limit,
        opened: 0,
    };
    rig.vault.find_tokens(&rig.actor, search).await.unwrap()
}

async fn resume(rig: &Rig, cursor: String) -> Result<Found, Error> {
    rig.vault.find_tokens(&rig.actor, Search::Resume { cursor }).await
}

/// All pages, one after another.
async fn all(rig: &Rig, filter: Filter, limit: u32) -> Vec<Token> {
    let mut page = begin(rig, filter, limit).await;
    let mut found = Vec::new();
    loop {
        assert!(page.tokens.len() <= usize::try_from(limit).unwrap());
        found.extend(page.tokens.into_iter().map(|view| view.token));
        match page.next {
            Some(cursor) => page = resume(rig, cursor).await.unwrap(),
            None => return found,
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_filter_finds_what_a_walk_through_all_finds_and_nothing_twice(
        tokens in proptest::collection::vec((0usize..4, proptest::option::of(2028u16..2032), 0u8..5), 0..24),
        asks in proptest::collection::vec((asks(), 1u32..8), 1..8),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let rig = Rig::new().await;
            let made = make(&rig, &tokens).await;
            for (ask, limit) in &asks {
                let mut wanted: Vec<String> = made
                    .iter()
                    .filter(|(number, view)| ask.holds(*number, view, &made))
                    .map(|(_, view)| view.token.to_string())
                    .collect();
                let mut found: Vec<String> =
                    all(&rig, ask.filter(&made), *limit).await.iter().map(Token::to_string).collect();
                found.sort();
                wanted.sort();
                assert_eq!(found, wanted, "{ask:?}");
            }
        });
    }

    #[test]
    fn pages_neither_repeat_nor_skip_what_stays(
        tokens in proptest::collection::vec((0usize..4, proptest::option::of(2028u16..2032), 1u8..5), 1..24),
        ask in asks(), limit in 1u32..4, goes in any::<prop::sample::Index>(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let rig = Rig::new().await;
            let made = make(&rig, &tokens).await;
            let mut page = begin(&rig, ask.filter(&made), limit).await;
            let (mut found, mut gone) = (Vec::new(), Vec::new());
            for round in 0..80 {
                found.extend(page.tokens.into_iter().map(|view| view.token.to_string()));
                let token = made[goes.index(made.len())].1.token.clone();
                if round == 1 {
                    rig.vault.delete(&rig.actor, &token).await.unwrap();
                    gone.push(token);
                } else if round < 20 {
                    rig.create(card(PANS[round % 4])).await;
                }
                match page.next {
                    Some(cursor) => page = resume(&rig, cursor).await.unwrap(),
                    None => break,
                }
            }
            let distinct: BTreeSet<&String> = found.iter().collect();
            assert_eq!(distinct.len(), found.len(), "none twice");
            let stays = |view: &View| !gone.contains(&view.token);
            for (_, view) in made.iter().filter(|(number, view)| ask.holds(*number, view, &made) && stays(view)) {
                assert!(found.contains(&view.token.to_string()), "{} was skipped", view.token);
            }
        });
    }
}

async fn some_tokens(rig: &Rig) {
    for n in 0..9 {
        rig.create(card(PANS[n % 3])).await;
    }
}

#[tokio::test]
async fn a_cursor_is_only_for_whom_it_was_given_to() {
    let rig = Rig::new().await;
    some_tokens(&rig).await;
    let next = begin(&rig, Filter::Any(vec![pan(0), pan(1)]), 2).await.next.unwrap();
    let bad = Error::Caller(CallerError::BadCursor);
    let others = [
        Actor {
            merchant: MerchantId::parse("other").unwrap(),
            ..rig.actor.clone()
        },
        Actor {
            repository: RepositoryId(rig.actor.repository.0 + 1),
            ..rig.actor.clone()
        },
    ];
    for actor in others {
        let cursor = next.clone();
        assert_eq!(
            error(rig.vault.find_tokens(&actor, Search::Resume { cursor }).await),
            bad
        );
    }
    for at in 0..next.len() {
        let mut text = next.clone().into_bytes();
        text[at] = if text[at] == b'A' { b'B' } else { b'A' };
        let text = String::from_utf8(text).unwrap();
        assert_eq!(error(resume(&rig, text).await), bad, "{at}");
    }
    for text in [
        "",
        "AQ",
        &next[..next.len() - 1],
        &"A".repeat(5_000),
        &format!("{next}AAAA"),
    ] {
        assert_eq!(error(resume(&rig, text.to_owned()).await), bad);
    }
    assert_eq!(resume(&rig, next.clone()).await.unwrap().tokens.len(), 2);
    // another process with the same HSM reads it, with another HSM it does not
    let restarted = rig.restarted().await;
    assert_eq!(resume(&restarted, next.clone()).await.unwrap().tokens.len(), 2);
    let stranger = Rig::new().await;
    assert_eq!(error(resume(&stranger, next).await), bad);
}

#[tokio::test]
async fn a_cursor_shows_neither_number_nor_fingerprint() {
    let rig = Rig::new().await;
    some_tokens(&rig).await;
    let next = begin(&rig, pan(0), 1).await.next.unwrap();
    let raw = data_encoding::BASE64URL_NOPAD.decode(next.as_bytes()).unwrap();
    let number = Pan::parse(VISA).unwrap();
    let fingerprint = sealer::Sealer::fingerprint(
        rig.sealer.as_ref(),
        crate::hsm::Generation::FIRST,
        rig.actor.repository,
        &number,
    )
    .await
    .unwrap();
    assert!(!raw.windows(4).any(|part| part == &fingerprint.0[..4]));
    assert!(!raw.windows(8).any(|part| part == &VISA.as_bytes()[..8]));
    let again = begin(&rig, pan(0), 1).await.next.unwrap();
    assert_ne!(next, again, "sealed under an IV of its own");
}

#[tokio::test]
async fn a_filter_has_limits() {
    let rig = Rig::new().await;
    let many = |n: u32| Filter::Any((0..n).map(|n| Filter::UpdatedAfter(UnixMillis(u64::from(n)))).collect());
    let deep = |levels: u32| (1..levels).fold(pan(0), |inner, _| Filter::All(vec![inner]));
    let pans = |n: usize| Filter::Any((0..n).map(|n| pan(n % 4)).collect());
    let long = Filter::Any((0..31).map(|n| Filter::Token(token(&format!("{n:0>128}")))).collect());
    for bad in [
        many(32),
        deep(5),
        pans(9),
        Filter::All(Vec::new()),
        Filter::Any(vec![pan(0), Filter::Any(Vec::new())]),
        long,
    ] {
        let search = Search::Begin {
            filter: bad,
            limit: 10,
            opened: 0,
        };
        assert_eq!(field(rig.vault.find_tokens(&rig.actor, search).await), "query");
    }
    for good in [many(31), deep(4), pans(8)] {
        begin(&rig, good, 10).await;
    }
    for limit in [0, 1_001] {
        let search = Search::Begin {
            filter: pan(0),
            limit,
            opened: 0,
        };
        assert_eq!(field(rig.vault.find_tokens(&rig.actor, search).await), "limit");
    }
    // the longest filter that is taken has a cursor that is taken
    let tokens = |n: usize| (0..n).map(|n| Filter::Token(token(&format!("{n:0>128}"))));
    let longest = Filter::Any(tokens(20).chain([Filter::UpdatedAfter(UnixMillis(0))]).collect());
    for n in 0..4 {
        let new = NewToken {
            format: Format::Supplied(token(&format!("x{n:->127}"))),
            ..card(VISA)
        };
        rig.create(new).await;
    }
    let next = begin(&rig, longest, 1).await.next.unwrap();
    assert!((3_000..=4_096).contains(&next.len()), "{}", next.len());
    assert_eq!(resume(&rig, next).await.unwrap().tokens.len(), 1);
}

#[tokio::test]
async fn a_search_with_a_number_is_on_record_and_others_are_not() {
    let rig = Rig::new().await;
    some_tokens(&rig).await;
    let before = rig.events().await.len();
    begin(&rig, Filter::UpdatedAfter(UnixMillis(0)), 10).await;
    let page = begin(&rig, Filter::All(vec![pan(0), Filter::ExpiresBy(june(2040))]), 2).await;
    resume(&rig, page.next.unwrap()).await.unwrap();
    begin(&rig, pan(3), 10).await;
    assert_eq!(rig.events().await[before..], ["search-by-pan ok"; 3]);
    // the store takes no events: no answer either
    rig.store.next_commit(Fault::Refused(store::Error::Full));
    let search = Search::Begin {
        filter: pan(0),
        limit: 10,
        opened: 0,
    };
    let refused = error(rig.vault.find_tokens(&rig.actor, search).await);
    assert_eq!(refused, Error::Dependency(types::DependencyError::StoreReadOnly));
    assert_eq!(rig.store.verify(Depth::Full).await.unwrap().faults, [""; 0]);
}

#[tokio::test]
async fn each_part_of_a_filter_takes_its_own_right() {
    let rig = Rig::new().await;
    some_tokens(&rig).await;
    let narrow = || Filter::Any(vec![pan(0), Filter::All(vec![pan(1), Filter::ExpiresBy(june(2040))])]);
    let wide = || Filter::Any(vec![pan(0), Filter::UpdatedAfter(UnixMillis(0))]);
    let other = || Filter::ExpiresBy(june(2040));
    for (granted, may) in [
        ("\"search\"", [false, false, true]),
        ("\"search-by-pan\"", [true, false, false]),
        ("\"search\", \"search-by-pan\"", [true, true, true]),
    ] {
        let policy = format!(
            "version = 1\n[[grant]]\nuid = 1000\ndialects = [\"*\"]\nrepositories = [\"*\"]\noperations = [{granted}]"
        );
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), policy).unwrap();
        rig.vault.access.reload_policy(file.path(), None).await.unwrap();
        for (filter, may) in [narrow(), wide(), other()].into_iter().zip(may) {
            let search = Search::Begin {
                filter,
                limit: 10,
                opened: 0,
            };
            let done = rig.vault.find_tokens(&rig.actor, search).await;
            assert_eq!(done.is_ok(), may, "{granted}");
        }
    }
}

#[tokio::test]
async fn a_search_costs_what_it_gave_and_each_number_that_it_asked_about() {
    let rig = Rig::new().await;
    for _ in 0..20 {
        rig.create(card(VISA)).await;
    }
    let policy = "version = 1\n[[grant]]\nuid = 1000\ndialects = [\"*\"]\nrepositories = [\"*\"]\noperations = [\"*\"]\n\
                  [grant.caps]\nsearch_per_second = 1\nsearch_burst = 10\nsearch_by_pan_per_second = 1\n\
                  search_by_pan_burst = 8";
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), policy).unwrap();
    rig.vault.access.reload_policy(file.path(), None).await.unwrap();
    let capped = |found: Result<Found, Error>| matches!(found, Err(Error::Policy(types::PolicyError::Capped { .. })));
    let ask = |filter| {
        rig.vault.find_tokens(
            &rig.actor,
            Search::Begin {
                filter,
                limit: 1_000,
                opened: 0,
            },
        )
    };
    let eight = || Filter::Any((0..8).map(|n| pan(n % 4)).collect());
    assert!(!capped(ask(eight()).await));
    assert!(capped(ask(pan(0)).await), "eight were asked about");
    let everything = || Filter::UpdatedAfter(UnixMillis(0));
    assert_eq!(ask(everything()).await.unwrap().tokens.len(), 20);
    assert!(capped(ask(everything()).await), "twenty were shown");
}

#[tokio::test]
async fn updated_after_is_strictly_later() {
    let rig = Rig::new().await;
    let first = rig.create(card(VISA)).await;
    let second = rig.create(card(AMEX)).await;
    tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    let patch = Patch {
        metadata: Change::Set("{}".to_owned()),
        ..Patch::default()
    };
    let changed = rig.vault.update(&rig.actor, &first.token, patch).await.unwrap();
    let after = |at| all(&rig, Filter::UpdatedAfter(at), 1);
    assert_eq!(after(UnixMillis(0)).await, [second.token, first.token.clone()]);
    assert_eq!(after(UnixMillis(changed.updated_at.0 - 1)).await, [first.token]);
    assert_eq!(after(changed.updated_at).await, []);
    assert_eq!(after(UnixMillis(u64::MAX)).await, []);
}

#[tokio::test]
async fn tokens_past_their_time_are_not_found() {
    let rig = Rig::new().await;
    let short = NewToken {
        expires_at: Some(UnixMillis::now().plus(20)),
        ..card(VISA)
    };
    let token = rig.create(short).await.token;
    assert_eq!(
        all(&rig, Filter::Token(token.clone()), 1).await,
        std::slice::from_ref(&token)
    );
    tokio::time::sleep(std::time::Duration::from_millis(30)).await;
    for filter in [Filter::Token(token), pan(0)] {
        assert_eq!(all(&rig, filter, 1).await, []);
    }
}
