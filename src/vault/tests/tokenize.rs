use super::*;

#[tokio::test]
async fn a_new_token_shows_what_may_be_shown() {
    let rig = Rig::new().await;
    let view = rig.create(card(VISA)).await;
    assert_eq!((view.bin.as_str(), view.last4.as_str()), ("41111111", "1111"));
    assert_eq!(view.masked, "41111111****1111");
    assert_eq!(view.brand.as_deref(), Some("visa"));
    assert_eq!((view.revision, view.status), (Revision(1), Status::Active));
    assert_eq!(rig.vault.inspect(&rig.actor, &view.token).await.unwrap(), view);
    assert_eq!(rig.events().await, ["tokenize ok"]);
    assert_eq!(rig.store.health().records, 1);
    assert_eq!(
        rig.keys().await.len(),
        3,
        "record, PAN and time: the hot path writes no more"
    );
}

#[tokio::test]
async fn without_reuse_every_create_is_a_token_of_its_own() {
    let rig = Rig::new().await;
    let (first, second) = (rig.create(card(VISA)).await, rig.create(card(VISA)).await);
    assert_ne!(first.token, second.token);
    assert_eq!(rig.sealer.seals(), 2);
}

#[tokio::test]
async fn of_64_at_once_with_one_card_one_creates_and_all_answer_alike() {
    let rig = Rig::new().await;
    let mut running = tokio::task::JoinSet::new();
    for _ in 0..64 {
        let (vault, actor) = (Arc::clone(&rig.vault), rig.actor.clone());
        running.spawn(async move {
            let new = NewToken {
                reuse: return_within(""),
                ..card(VISA)
            };
            vault.tokenize(&actor, new).await.unwrap()
        });
    }
    let answers = running.join_all().await;
    let created = answers
        .iter()
        .filter(|answer| matches!(answer, Tokenized::Created(_)))
        .count();
    let tokens: BTreeSet<String> = answers
        .iter()
        .map(|answer| match answer {
            Tokenized::Created(view) | Tokenized::Reused(view) => view.token.to_string(),
        })
        .collect();
    assert_eq!((created, tokens.len()), (1, 1));
    assert_eq!(rig.store.health().records, 1);
    let events = rig.events().await;
    assert_eq!(events.iter().filter(|event| *event == "tokenize ok").count(), 1);
    assert_eq!(events.iter().filter(|event| *event == "tokenize reused").count(), 63);
}

#[tokio::test]
async fn scopes_keep_cards_apart_and_a_match_seals_nothing() {
    let rig = Rig::new().await;
    let with = |scope: &str, pan: &str| NewToken {
        reuse: return_within(scope),
        ..card(pan)
    };
    let first = rig.create(with("a", VISA)).await;
    rig.create(with("b", VISA)).await;
    rig.create(with("a", MASTERCARD)).await;
    let seals = rig.sealer.seals();
    let again = rig.vault.tokenize(&rig.actor, with("a", VISA)).await.unwrap();
    assert_eq!(again, Tokenized::Reused(first.clone()));
    assert_eq!(rig.sealer.seals(), seals);
    let refuse = NewToken {
        reuse: Reuse::Refuse { scope: b"a".to_vec() },
        ..card(VISA)
    };
    let refused = error(rig.vault.tokenize(&rig.actor, refuse).await);
    assert_eq!(refused, Error::Caller(CallerError::CardExists { token: first.token }));
    let single = NewToken {
        uses: Uses::Single,
        ..with("a", VISA)
    };
    rig.create(single).await;
}

#[tokio::test]
async fn a_card_whose_token_is_gone_or_past_its_time_gets_a_new_one() {
    let rig = Rig::new().await;
    let with = |expires_at| NewToken {
        reuse: return_within(""),
        expires_at,
        ..card(VISA)
    };
    let first = rig.create(with(None)).await;
    rig.vault.delete(&rig.actor, &first.token).await.unwrap();
    let second = rig.create(with(Some(UnixMillis::now().plus(30)))).await;
    assert_ne!(first.token, second.token);
    tokio::time::sleep(std::time::Duration::from_millis(40)).await;
    let third = rig.create(with(None)).await;
    assert_ne!(third.token, second.token);
    assert_eq!(rig.store.health().records, 1);
    assert_eq!(rig.keys().await.len(), 4);
}

#[tokio::test]
async fn every_format_is_what_it_says() {
    let rig = Rig::new().await;
    let of = |format| NewToken { format, ..card(VISA) };
    assert!(rig.create(of(Format::Opaque)).await.token.as_str().starts_with("tok_"));
    assert!(rig.create(of(Format::RandomLuhn)).await.token.as_str().starts_with('9'));
    let preserved = rig.create(of(Format::Preserve64)).await;
    assert!(preserved.token.as_str().starts_with("411111") && preserved.token.as_str().ends_with("1111"));
    assert_eq!(
        rig.create(of(Format::Supplied(token("my-1")))).await.token,
        token("my-1")
    );
    let could_be_a_card = of(Format::Supplied(token(MASTERCARD)));
    assert_eq!(field(rig.vault.tokenize(&rig.actor, could_be_a_card).await), "token");
}

#[tokio::test]
async fn the_last_free_token_of_a_short_format_is_found_and_then_none() {
    let rig = Rig::new().await;
    let body = "41111111111";
    let pan = format!("{body}{}", crate::card::check_digit(body).unwrap());
    let new = || NewToken {
        format: Format::Preserve64,
        ..card(&pan)
    };
    let mut tokens = BTreeSet::new();
    for _ in 0..90 {
        tokens.insert(rig.create(new()).await.token.to_string());
    }
    assert_eq!(tokens.len(), 90, "of 100 middles ten pass Luhn");
    let none = error(rig.vault.tokenize(&rig.actor, new()).await);
    assert_eq!(none, Error::Caller(CallerError::FormatExhausted));
    let one = token(tokens.first().unwrap());
    rig.vault.delete(&rig.actor, &one).await.unwrap();
    assert_eq!(rig.create(new()).await.token, one);
}

#[tokio::test]
async fn a_supplied_token_is_taken_by_another_card_and_serves_its_own() {
    let rig = Rig::new().await;
    let supplied = |pan: &str, reuse| NewToken {
        format: Format::Supplied(token("mine")),
        reuse,
        ..card(pan)
    };
    rig.create(supplied(VISA, Reuse::Never)).await;
    for (pan, reuse) in [
        (MASTERCARD, Reuse::Never),
        (MASTERCARD, return_within("")),
        (VISA, Reuse::Never),
    ] {
        let taken = error(rig.vault.tokenize(&rig.actor, supplied(pan, reuse)).await);
        assert_eq!(taken, Error::Caller(CallerError::TokenTaken), "{pan}");
    }
    let own = rig
        .vault
        .tokenize(&rig.actor, supplied(VISA, return_within("")))
        .await
        .unwrap();
    assert!(matches!(own, Tokenized::Reused(view) if view.token == token("mine")));
    let refused = error(
        rig.vault
            .tokenize(&rig.actor, supplied(VISA, Reuse::Refuse { scope: Vec::new() }))
            .await,
    );
    assert_eq!(refused, Error::Caller(CallerError::CardExists { token: token("mine") }));
}

#[tokio::test]
async fn what_must_not_be_stored_is_refused_by_field() {
    let rig = Rig::new().await;
    let name = |text: &str| crate::id::Namespace::parse(text).unwrap();
    let big = format!("{{\"a\":\"{}\"}}", "x".repeat(8 * 1024));
    for (wanted, new) in [
        (
            "namespace",
            NewToken {
                namespace: Some(name(VISA)),
                ..card(VISA)
            },
        ),
        (
            "metadata",
            NewToken {
                metadata: Some("[]".to_owned()),
                ..card(VISA)
            },
        ),
        (
            "metadata",
            NewToken {
                metadata: Some(format!("{{\"pan\":\"{AMEX}\"}}")),
                ..card(VISA)
            },
        ),
        (
            "metadata",
            NewToken {
                metadata: Some("{\"cvv\":\"123\"}".to_owned()),
                ..card(VISA)
            },
        ),
        (
            "card.holder",
            NewToken {
                profile: profile(Some(AMEX), None),
                ..card(VISA)
            },
        ),
        (
            "profile",
            NewToken {
                profile: profile(None, Some("{\"securityCode\":\"123\"}")),
                ..card(VISA)
            },
        ),
        (
            "profile",
            NewToken {
                profile: profile(None, Some(&big)),
                ..card(VISA)
            },
        ),
        (
            "expires_at",
            NewToken {
                expires_at: Some(UnixMillis::now()),
                ..card(VISA)
            },
        ),
    ] {
        assert_eq!(field(rig.vault.tokenize(&rig.actor, new).await), wanted);
    }
    assert_eq!(rig.keys().await, []);
    assert_eq!(rig.sealer.seals(), 0);
}

#[tokio::test]
async fn nothing_stored_shows_the_card_or_the_holder() {
    let rig = Rig::new().await;
    let new = NewToken {
        reuse: return_within(""),
        profile: profile(Some("Ada Lovelace"), Some("{\"street\":\"St James\"}")),
        idempotency: Some(super::idempotency::once("k-1", VISA)),
        ..card(VISA)
    };
    let view = rig.create(new).await;
    rig.vault.reveal(&rig.actor, &view.token, true).await.unwrap();
    let everything = std::ops::Bound::Unbounded;
    let page = rig
        .store
        .scan(
            Part::default(),
            std::ops::Bound::Included(Key(vec![0x10])),
            everything,
            10_000,
        )
        .await
        .unwrap();
    let mut bytes: Vec<u8> = page
        .items
        .into_iter()
        .flat_map(|(key, value)| [key.0, value.value].concat())
        .collect();
    bytes.extend(
        rig.store
            .audit(1, 100)
            .await
            .unwrap()
            .into_iter()
            .flat_map(|line| line.line),
    );
    for secret in [VISA, "Lovelace", "St James"] {
        assert!(
            !bytes.windows(secret.len()).any(|part| part == secret.as_bytes()),
            "{secret}"
        );
    }
}

#[tokio::test]
async fn a_token_out_of_use_is_not_given_to_who_wants_to_use_it() {
    let rig = Rig::new().await;
    let new = || NewToken {
        reuse: return_within(""),
        ..card(VISA)
    };
    let token = rig.create(new()).await.token;
    let set = |status| types::Patch {
        status: Some(status),
        ..types::Patch::default()
    };
    rig.vault
        .update(&rig.actor, &token, set(Status::Inactive))
        .await
        .unwrap();
    let refused = error(rig.vault.tokenize(&rig.actor, new()).await);
    assert_eq!(refused, Error::Caller(CallerError::Inactive));
    rig.vault.update(&rig.actor, &token, set(Status::Active)).await.unwrap();
    let Tokenized::Reused(view) = rig.vault.tokenize(&rig.actor, new()).await.unwrap() else {
        panic!("stored twice")
    };
    assert_eq!(view.token, token);
}

#[tokio::test]
async fn a_card_of_13_digits_has_900_preserving_tokens_and_then_an_error() {
    let rig = Rig::new().await;
    let body = "411111111111";
    let pan = format!("{body}{}", crate::card::check_digit(body).unwrap());
    assert_eq!(pan.len(), 13);
    let new = || NewToken {
        format: Format::Preserve64,
        ..card(&pan)
    };
    let mut tokens = BTreeSet::new();
    for _ in 0..900 {
        tokens.insert(rig.create(new()).await.token.to_string());
    }
    assert_eq!(tokens.len(), 900, "of 1,000 middles a hundred pass Luhn");
    let commits = rig.store.commits();
    let none = error(rig.vault.tokenize(&rig.actor, new()).await);
    assert_eq!(none, Error::Caller(CallerError::FormatExhausted));
    assert_eq!(rig.store.commits(), commits, "nothing was stored");
    // a card of other digits has room of its own
    let other = NewToken {
        format: Format::Preserve64,
        ..card("4222222222222")
    };
    rig.create(other).await;
}
