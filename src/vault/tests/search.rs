use proptest::prelude::*;

use super::*;
use crate::id::Namespace;
use crate::vault::types::{Change, Patch, Query, Status};

const PANS: [&str; 4] = [VISA, MASTERCARD, AMEX, "4242424242424242"];

/// All pages, one after another.
async fn all(rig: &Rig, query: impl Fn() -> Query) -> Vec<View> {
    let (mut found, mut cursor) = (Vec::new(), None);
    loop {
        let page = rig.vault.search(&rig.actor, Query { cursor, ..query() }).await.unwrap();
        assert!(page.tokens.len() <= usize::try_from(query().limit).unwrap());
        found.extend(page.tokens);
        match page.next {
            Some(next) => cursor = Some(next),
            None => return found,
        }
    }
}

/// A query that can be asked more than once.
#[derive(Debug, Clone)]
struct Ask {
    pan: Option<usize>,
    namespace: Option<u8>,
    bin: Option<&'static str>,
    last4: Option<&'static str>,
    expiry_from: Option<u16>,
    expiry_to: Option<u16>,
    since: Option<usize>,
    status: Option<Status>,
    limit: u32,
}

impl Ask {
    fn query(&self, made: &[View]) -> Query {
        let year = |year: u16| Expiry::new(6, year).unwrap();
        Query {
            pan: self.pan.map(|at| Pan::parse(PANS[at]).unwrap()),
            namespace: self.namespace.map(namespace),
            bin: self.bin.map(str::to_owned),
            last4: self.last4.map(str::to_owned),
            expiry_from: self.expiry_from.map(year),
            expiry_to: self.expiry_to.map(year),
            updated_since: self.since.and_then(|at| made.get(at)).map(|view| view.updated_at),
            status: self.status,
            limit: self.limit,
            cursor: None,
        }
    }

    /// The same question, asked of a list.
    fn holds(&self, pan: usize, view: &View, made: &[View]) -> bool {
        let query = self.query(made);
        self.pan.is_none_or(|wanted| wanted == pan)
            && (query.namespace.is_none() || query.namespace == view.namespace)
            && query
                .bin
                .is_none_or(|bin| PANS[pan].starts_with(&bin) && view.bin.len() >= bin.len())
            && query.last4.is_none_or(|last4| PANS[pan].ends_with(&last4))
            && query
                .expiry_from
                .is_none_or(|from| view.expiry.is_some_and(|at| at >= from))
            && query.expiry_to.is_none_or(|to| view.expiry.is_some_and(|at| at <= to))
            && query.updated_since.is_none_or(|since| view.updated_at >= since)
            && query.status.is_none_or(|status| view.status == status)
    }
}

fn namespace(n: u8) -> Namespace {
    Namespace::parse(&format!("customer-{n}")).unwrap()
}

fn asks() -> impl Strategy<Value = Ask> {
    let some = proptest::option::of::<BoxedStrategy<u16>>;
    (
        proptest::option::weighted(0.3, 0usize..4),
        proptest::option::weighted(0.3, 0u8..3),
        proptest::option::weighted(
            0.3,
            prop::sample::select(vec!["411111", "41111111", "555555", "37828224"]),
        ),
        proptest::option::weighted(0.3, prop::sample::select(vec!["1111", "4444", "0005"])),
        some((2028u16..2032).boxed()),
        some((2028u16..2032).boxed()),
        proptest::option::weighted(0.3, 0usize..20),
        proptest::option::weighted(
            0.3,
            prop::sample::select(vec![Status::Active, Status::Inactive, Status::Spent]),
        ),
        1u32..12,
    )
        .prop_map(
            |(pan, namespace, bin, last4, expiry_from, expiry_to, since, status, limit)| Ask {
                pan,
                namespace,
                bin,
                last4,
                expiry_from,
                expiry_to,
                since,
                status,
                limit,
            },
        )
}

/// What a token is and what happens to it: PAN, namespace, year of expiry, fate.
fn tokens() -> impl Strategy<Value = Vec<(usize, Option<u8>, Option<u16>, u8)>> {
    let one = (
        0usize..4,
        proptest::option::of(0u8..3),
        proptest::option::of(2028u16..2032),
        0u8..5,
    );
    proptest::collection::vec(one, 0..24)
}

async fn make(rig: &Rig, tokens: &[(usize, Option<u8>, Option<u16>, u8)]) -> Vec<(usize, View)> {
    let mut made = Vec::new();
    for (pan, name, year, fate) in tokens {
        let new = NewToken {
            namespace: name.map(namespace),
            expiry: year.map(|year| Expiry::new(6, year).unwrap()),
            uses: if *fate == 2 { Uses::Single } else { Uses::Multi },
            ..card(PANS[*pan])
        };
        let token = rig.create(new).await.token;
        match fate {
            0 => {
                rig.vault.delete(&rig.actor, &token).await.unwrap();
                continue;
            }
            1 => {
                let patch = Patch {
                    status: Some(Status::Inactive),
                    ..Patch::default()
                };
                rig.vault.update(&rig.actor, &token, patch).await.unwrap();
            }
            2 => drop(rig.vault.reveal(&rig.actor, &token, false).await.unwrap()),
            _ => {}
        }
        made.push((*pan, rig.vault.inspect(&rig.actor, &token).await.unwrap()));
    }
    made
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_search_finds_what_a_walk_through_all_finds(tokens in tokens(), asks in proptest::collection::vec(asks(), 1..8)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let rig = Rig::new().await;
            let made = make(&rig, &tokens).await;
            let views: Vec<View> = made.iter().map(|(_, view)| view.clone()).collect();
            for ask in &asks {
                let mut wanted: Vec<String> = made
                    .iter()
                    // a spent token's card is gone: no PAN leads to it
                    .filter(|(pan, view)| ask.holds(*pan, view, &views) && !(ask.pan.is_some() && view.status == Status::Spent))
                    .map(|(_, view)| view.token.to_string())
                    .collect();
                let found = all(&rig, || ask.query(&views)).await;
                let mut tokens: Vec<String> = found.iter().map(|view| view.token.to_string()).collect();
                tokens.sort();
                wanted.sort();
                assert_eq!(tokens, wanted, "{ask:?}");
                for view in found {
                    assert!(views.iter().any(|made| made.token == view.token && made.revision == view.revision));
                }
            }
        });
    }

    #[test]
    fn pages_neither_repeat_nor_skip_what_stays(
        tokens in tokens(), limit in 1u32..5, comes in any::<u8>(), goes in any::<prop::sample::Index>(), since in any::<bool>(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let rig = Rig::new().await;
            let made = make(&rig, &tokens).await;
            let query = |cursor| Query {
                limit,
                cursor,
                updated_since: since.then_some(UnixMillis(0)),
                ..Query::default()
            };
            let (mut found, mut cursor, mut gone) = (Vec::new(), None, Vec::new());
            let mut round = 0u8;
            loop {
                let page = rig.vault.search(&rig.actor, query(cursor)).await.unwrap();
                found.extend(page.tokens.into_iter().map(|view| view.token));
                round = round.wrapping_add(1);
                if round.is_multiple_of(2) || comes.is_multiple_of(3) {
                    rig.create(card(PANS[usize::from(round % 4)])).await;
                } else if !made.is_empty() {
                    let token = made[goes.index(made.len())].1.token.clone();
                    if !gone.contains(&token) {
                        rig.vault.delete(&rig.actor, &token).await.unwrap();
                        gone.push(token);
                    }
                }
                // tokens that come while it runs may keep a search by time going
                match page.next.filter(|_| round < 60) {
                    Some(next) => cursor = Some(next),
                    None => break,
                }
            }
            let distinct: BTreeSet<String> = found.iter().map(Token::to_string).collect();
            assert_eq!(distinct.len(), found.len(), "none twice");
            for (_, view) in made.iter().filter(|(_, view)| !gone.contains(&view.token)) {
                assert!(found.contains(&view.token), "{} was skipped", view.token);
            }
        });
    }
}

#[tokio::test]
async fn a_search_by_pan_is_audited_and_others_are_not() {
    let rig = Rig::new().await;
    rig.create(card(VISA)).await;
    let query = |pan: Option<&str>| Query {
        pan: pan.map(|pan| Pan::parse(pan).unwrap()),
        limit: 10,
        ..Query::default()
    };
    assert_eq!(rig.vault.search(&rig.actor, query(None)).await.unwrap().tokens.len(), 1);
    assert_eq!(
        rig.vault
            .search(&rig.actor, query(Some(VISA)))
            .await
            .unwrap()
            .tokens
            .len(),
        1
    );
    assert_eq!(
        rig.vault
            .search(&rig.actor, query(Some(AMEX)))
            .await
            .unwrap()
            .tokens
            .len(),
        0
    );
    assert_eq!(
        rig.events().await,
        ["tokenize ok", "search-by-pan ok", "search-by-pan ok"]
    );
}

#[tokio::test]
async fn a_cursor_of_another_pan_is_refused() {
    let rig = Rig::new().await;
    for _ in 0..3 {
        rig.create(card(VISA)).await;
    }
    let query = |pan: &str, cursor| Query {
        pan: Some(Pan::parse(pan).unwrap()),
        limit: 1,
        cursor,
        ..Query::default()
    };
    let next = rig.vault.search(&rig.actor, query(VISA, None)).await.unwrap().next;
    assert!(next.is_some());
    let refused = error(rig.vault.search(&rig.actor, query(AMEX, next.clone())).await);
    assert_eq!(refused, Error::Caller(CallerError::BadCursor));
    assert_eq!(
        rig.vault
            .search(&rig.actor, query(VISA, next))
            .await
            .unwrap()
            .tokens
            .len(),
        1
    );
}

#[tokio::test]
async fn bad_fields_are_named() {
    let rig = Rig::new().await;
    let good = || Query {
        limit: 1,
        ..Query::default()
    };
    for (wanted, query) in [
        ("limit", Query { limit: 0, ..good() }),
        ("limit", Query { limit: 1001, ..good() }),
        (
            "bin",
            Query {
                bin: Some("41111".to_owned()),
                ..good()
            },
        ),
        (
            "bin",
            Query {
                bin: Some("41111a".to_owned()),
                ..good()
            },
        ),
        (
            "last4",
            Query {
                last4: Some("111".to_owned()),
                ..good()
            },
        ),
    ] {
        assert_eq!(field(rig.vault.search(&rig.actor, query).await), wanted);
    }
}

#[tokio::test]
async fn a_page_looks_at_a_bounded_number_of_records() {
    let rig = Rig::new().await;
    let first = rig.create(card(VISA)).await.token;
    let record = rig.vault.load(rig.actor.repository, &first).await.unwrap().record;
    for chunk in 0..21 {
        let mut commit = Commit::default();
        for n in 0..500 {
            let token = token(&format!("u-{chunk:02}-{n:03}"));
            let copy = record::Record {
                id: identity::fresh(record.repository, &token).unwrap(),
                token,
                ..record.clone()
            };
            commit.writes.push(Write::Put(copy.key(), copy.encode().unwrap()));
        }
        rig.store.commit(commit).await.unwrap();
    }
    let nothing = |cursor| Query {
        last4: Some("9999".to_owned()),
        limit: 10,
        cursor,
        ..Query::default()
    };
    let page = rig.vault.search(&rig.actor, nothing(None)).await.unwrap();
    assert!(page.tokens.is_empty() && page.next.is_some());
    let page = rig.vault.search(&rig.actor, nothing(page.next)).await.unwrap();
    assert_eq!((page.tokens.len(), page.next), (0, None));
}

#[tokio::test]
async fn a_change_moves_a_token_in_the_order_of_changes() {
    let rig = Rig::new().await;
    let (one, two) = (rig.create(card(VISA)).await, rig.create(card(VISA)).await);
    tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    let patch = Patch {
        metadata: Change::Set("{}".to_owned()),
        ..Patch::default()
    };
    let changed = rig.vault.update(&rig.actor, &one.token, patch).await.unwrap();
    let query = |since| Query {
        updated_since: Some(since),
        limit: 10,
        ..Query::default()
    };
    let order: Vec<Token> = all(&rig, || query(UnixMillis(0)))
        .await
        .into_iter()
        .map(|view| view.token)
        .collect();
    assert_eq!(order, [two.token, one.token.clone()]);
    let since: Vec<Token> = all(&rig, || query(changed.updated_at))
        .await
        .into_iter()
        .map(|view| view.token)
        .collect();
    assert_eq!(since, [one.token]);
}
