use super::*;
use crate::hsm::jwe_client::{HEADER, compact};
use crate::vault::types::{Filter, Search};

fn made(rig: &Rig, header: &str, text: &[u8]) -> String {
    let key = &rig.sealer.transport_public;
    compact(&key.n, &key.e, header, text)
}

async fn open(rig: &Rig, jwe: &str) -> Result<Vec<u8>, Error> {
    let text = rig
        .vault
        .open_jwe(&rig.actor, Operation::SearchByPan, "card.number", jwe)
        .await?;
    Ok(text.expose().to_vec())
}

#[tokio::test]
async fn what_is_encrypted_to_the_served_key_opens() {
    let rig = Rig::new().await;
    let jwk: serde_json::Value = serde_json::from_str(&rig.vault.transport_jwks()[0]).unwrap();
    let number = |name: &str| {
        let text = jwk[name].as_str().unwrap();
        data_encoding::BASE64URL_NOPAD.decode(text.as_bytes()).unwrap()
    };
    assert_eq!(number("n"), rig.sealer.transport_public.n);
    let named = format!(r#"{{"kid":{},"alg":"RSA-OAEP-256","enc":"A256GCM"}}"#, jwk["kid"]);
    for header in [HEADER, &named] {
        let jwe = compact(&number("n"), &number("e"), header, VISA.as_bytes());
        assert_eq!(open(&rig, &jwe).await.unwrap(), VISA.as_bytes());
    }
}

#[tokio::test]
async fn what_does_not_open_is_the_callers_fault_and_no_alarm() {
    let rig = Rig::new().await;
    let good = made(&rig, HEADER, VISA.as_bytes());
    let other = made(&rig, HEADER, AMEX.as_bytes());
    let part = |jwe: &str, at: usize| jwe.split('.').nth(at).unwrap().to_owned();
    let swapped = |at: usize| good.replacen(&part(&good, at), &part(&other, at), 1);
    let respelled = good.replacen(&part(&good, 0), &part(&made(&rig, &format!("{HEADER} "), b""), 0), 1);
    let short = good.replacen(&part(&good, 1), "AAAA", 1);
    // all ones, more than the modulus
    let large = data_encoding::BASE64URL_NOPAD.encode(&[0xff; 256]);
    let large = good.replacen(&part(&good, 1), &large, 1);
    let refused = [swapped(1), swapped(2), swapped(3), swapped(4), respelled, short, large];
    for jwe in refused {
        let Err(Error::Caller(CallerError::Field { field, reason })) = open(&rig, &jwe).await else {
            panic!("{jwe}")
        };
        assert_eq!(field, "card.number");
        assert!(!reason.contains(&part(&good, 3)), "{reason}");
    }
    for header in [
        r#"{"alg":"dir","enc":"A256GCM"}"#,
        r#"{"alg":"RSA-OAEP-256","enc":"A256GCM","kid":"x"}"#,
    ] {
        let jwe = made(&rig, header, VISA.as_bytes());
        assert_eq!(field(open(&rig, &jwe).await), "card.number");
    }
    assert_eq!(field(open(&rig, VISA).await), "card.number");
    assert_eq!(rig.vault.metrics.tampered.get(), 0);
    // those that the HSM was asked to open, together
    rig.vault.access.events().flush().await.unwrap();
    assert_eq!(rig.events().await, ["search-by-pan not-opened"]);
    rig.sealer.set_down(true);
    assert!(matches!(open(&rig, &good).await, Err(Error::Dependency(_))));
}

#[tokio::test]
async fn it_is_opened_only_for_who_may_do_what_it_is_for() {
    let rig = Rig::new().await;
    let jwe = made(&rig, HEADER, VISA.as_bytes());
    let mut stranger = rig.actor.clone();
    stranger.peer.uid = 4711;
    // an HSM that was asked would say so
    rig.sealer.set_down(true);
    let refused = rig.vault.open_jwe(&stranger, Operation::SearchByPan, "query", &jwe);
    assert_eq!(error(refused.await), Error::Policy(types::PolicyError::Denied));
}

#[tokio::test]
async fn what_is_opened_and_what_is_not_counts_against_the_cap() {
    let rig = Rig::new().await;
    let policy = "version = 1\n[[grant]]\nuid = 1000\ndialects = [\"*\"]\nrepositories = [\"*\"]\noperations = \
                  [\"search-by-pan\"]\ncaps.search_by_pan_per_day = 3";
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), policy).unwrap();
    rig.vault.access.reload_policy(file.path(), None).await.unwrap();
    let good = made(&rig, HEADER, VISA.as_bytes());
    open(&rig, &good).await.unwrap();
    // what was opened is not counted again when it is searched for
    let search = Search::Begin {
        filter: Filter::Pan(Pan::parse(VISA).unwrap()),
        limit: 10,
        opened: 1,
    };
    rig.vault.find_tokens(&rig.actor, search).await.unwrap();
    let search = Search::Begin {
        filter: Filter::Pan(Pan::parse(VISA).unwrap()),
        limit: 10,
        opened: 0,
    };
    rig.vault.find_tokens(&rig.actor, search).await.unwrap();
    let cut = good.get(..good.len() - 4).unwrap();
    assert_eq!(field(open(&rig, cut).await), "card.number");
    // an HSM that was asked would say so
    rig.sealer.set_down(true);
    assert!(matches!(
        error(open(&rig, &good).await),
        Error::Policy(types::PolicyError::Capped { .. })
    ));
}
