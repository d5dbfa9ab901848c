use super::*;

#[tokio::test]
async fn every_item_ends_for_itself_and_in_its_place() {
    let rig = Rig::new().await;
    let mut items: Vec<Result<NewToken, Error>> = (0..100).map(|_| Ok(card(VISA))).collect();
    let unread = Error::Caller(CallerError::BadCursor);
    items[3] = Err(unread.clone());
    items[7] = Ok(NewToken {
        metadata: Some("[]".to_owned()),
        ..card(VISA)
    });
    items[9] = Ok(NewToken {
        format: Format::Supplied(token("nine")),
        ..card(AMEX)
    });
    let results = rig.vault.tokenize_many(&rig.actor, items).await;
    assert_eq!(results.len(), 100);
    assert_eq!(results[3], Err(unread));
    assert!(matches!(
        &results[7],
        Err(Error::Caller(CallerError::Field { field: "metadata", .. }))
    ));
    assert!(matches!(&results[9], Ok(Tokenized::Created(view)) if view.token == token("nine")));
    assert_eq!(rig.store.health().records, 98);

    let tokens = vec![Ok(token("nine")), Ok(token("tok_none")), Ok(token("nine"))];
    let cards = rig.vault.reveal_many(&rig.actor, tokens, false).await;
    let pans: Vec<_> = cards
        .iter()
        .map(|card| card.as_ref().map(|card| card.pan.expose()))
        .collect();
    let unknown = Error::Caller(CallerError::UnknownToken);
    assert_eq!(pans, [Ok(AMEX), Err(&unknown), Ok(AMEX)]);
}

#[tokio::test]
async fn a_batch_that_is_repeated_makes_nothing_new() {
    let rig = Rig::new().await;
    let items = |count: usize| {
        (0..count)
            .map(|n| {
                let request = super::idempotency::once("batch-1", &format!("item {n}"));
                Ok(NewToken {
                    idempotency: Some(request),
                    ..card(VISA)
                })
            })
            .collect::<Vec<_>>()
    };
    let first = rig.vault.tokenize_many(&rig.actor, items(3)).await;
    let again = rig.vault.tokenize_many(&rig.actor, items(5)).await;
    assert_eq!(first, again[..3]);
    assert_eq!(rig.store.health().records, 5);
}
