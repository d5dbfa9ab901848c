//! Customers where the store or the process fails in between.

use zeroize::Zeroizing;

use super::*;
use crate::payment::wallet::{Json, Text};
use crate::vault::tests::Rig;
use crate::vault::types::{CallerError, DocumentKind};

fn details(reference: Option<&str>) -> CustomerDetails {
    let text = |text: &str| Some(Text::from(Zeroizing::new(text.to_owned())));
    CustomerDetails {
        reference: reference.and_then(text),
        name: text("Ada Lovelace"),
        email: text("ada@example.com"),
        metadata: Some(Json::of(&[("a", 1)].into_iter().collect::<std::collections::BTreeMap<_, _>>()).unwrap()),
        ..CustomerDetails::default()
    }
}

fn is(result: Result<Customer, Error>, wanted: &str) -> bool {
    result.err().is_some_and(|error| error.to_string() == wanted)
}

#[tokio::test]
async fn what_is_written_is_sealed_and_comes_back() {
    let rig = Rig::new().await;
    let payments = Payments::new(rig.vault.clone());
    let made = payments.add_customer(&rig.actor, details(Some("ref"))).await.unwrap();
    let seen = payments.customer(&rig.actor, &made.id).await.unwrap();
    assert!(seen.details == made.details && seen.created_at == made.created_at);
    let found = payments.customer_by_reference(&rig.actor, "ref").await.unwrap();
    assert_eq!(found.id, made.id);
    for kind in [DocumentKind::Customer, DocumentKind::CustomerReference] {
        let documents = rig.vault.documents(&rig.actor, kind, "", None, 10).await.unwrap();
        assert_eq!(documents.len(), 1);
        let clear = format!("{} {}", documents[0].name, String::from_utf8_lossy(&documents[0].clear));
        assert!(!clear.contains("Ada") && !clear.contains("ref"), "{clear}");
    }
    let change = CustomerDetails {
        name: Some(Text::new("Augusta".to_owned())),
        reference: Some(Text::new("other".to_owned())),
        ..CustomerDetails::default()
    };
    let changed = payments
        .update_customer(&rig.actor, &made.id, change, None)
        .await
        .unwrap();
    assert_eq!(changed.details.name.unwrap().expose(), "Augusta");
    assert_eq!(changed.details.reference.unwrap().expose(), "ref", "it stays");
    assert_eq!(changed.details.email.unwrap().expose(), "ada@example.com");
}

#[tokio::test]
async fn a_redaction_that_was_interrupted_goes_on() {
    let rig = Rig::new().await;
    let payments = Payments::new(rig.vault.clone());
    let made = payments.add_customer(&rig.actor, details(Some("ref"))).await.unwrap();
    payments.mark_redacting(&rig.actor, &made.id).await.unwrap();
    // from the mark on it is redacted for everyone
    let gone = "the customer was redacted";
    assert!(is(payments.customer(&rig.actor, &made.id).await, gone));
    assert!(is(payments.customer_by_reference(&rig.actor, "ref").await, gone));
    let change = payments
        .update_customer(&rig.actor, &made.id, details(None), None)
        .await;
    assert!(is(change, gone));
    let redacted = payments.redact_customer(&rig.actor, &made.id).await.unwrap();
    assert_eq!(redacted.reference.unwrap().expose(), "ref");
    assert!(matches!(
        payments.redact_customer(&rig.actor, &made.id).await,
        Err(Error::CustomerRedacted)
    ));
    let documents = rig
        .vault
        .documents(&rig.actor, DocumentKind::Customer, "", None, 10)
        .await
        .unwrap();
    assert!(documents[0].sealed.is_none(), "nothing is left of it");
    assert!(matches!(
        payments.add_customer(&rig.actor, details(Some("ref"))).await,
        Err(Error::CustomerExists)
    ));
}

#[tokio::test]
async fn what_is_never_stored_is_refused() {
    let rig = Rig::new().await;
    let payments = Payments::new(rig.vault.clone());
    let hidden: Json = serde_json::from_str(r#"{"a":{"cvv":"123"}}"#).unwrap();
    let refused = payments
        .add_customer(
            &rig.actor,
            CustomerDetails {
                metadata: Some(hidden),
                ..details(None)
            },
        )
        .await;
    let core = crate::vault::types::Error::Caller(CallerError::Field {
        field: "metadata",
        reason: "holds security code, track or PIN data, which is never stored".to_owned(),
    });
    match refused {
        Err(Error::Payment(crate::payment::Error::Core(error))) => assert_eq!(error, core),
        _ => panic!("it was taken"),
    }
}
