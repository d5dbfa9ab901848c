//! What is on record beside the changes themselves.

use super::*;
use crate::vault::types::Patch;

async fn last_event(rig: &Rig) -> Event {
    let last = rig.store.audit(rig.store.health().audit_seq, 1).await.unwrap();
    let line: serde_json::Value = serde_json::from_slice(&last[0].line).unwrap();
    serde_json::from_value(line["event"].clone()).unwrap()
}

#[tokio::test]
async fn reveals_in_vain_are_counted_by_why() {
    let rig = Rig::new().await;
    let inactive = rig.create(card(VISA)).await.token;
    let patch = Patch {
        status: Some(Status::Inactive),
        ..Patch::default()
    };
    rig.vault.update(&rig.actor, &inactive, patch).await.unwrap();
    let spent = NewToken {
        uses: Uses::Single,
        ..card(VISA)
    };
    let spent = rig.create(spent).await.token;
    rig.vault.reveal(&rig.actor, &spent, false).await.unwrap();
    let expired = NewToken {
        expires_at: Some(UnixMillis::now().plus(20)),
        ..card(VISA)
    };
    let expired = rig.create(expired).await.token;
    tokio::time::sleep(std::time::Duration::from_millis(30)).await;
    let before = rig.events().await.len();
    for (token, times) in [(&inactive, 1), (&spent, 2), (&expired, 3), (&token("tok_none"), 4)] {
        for _ in 0..times {
            error(rig.vault.reveal(&rig.actor, token, false).await);
        }
    }
    assert_eq!(rig.events().await.len(), before, "not one by one");
    rig.vault.access.events().flush().await.unwrap();
    let lines = rig.store.audit(1, 10_000).await.unwrap();
    let counted: BTreeSet<(String, u64)> = lines
        .iter()
        .map(|line| serde_json::from_slice::<serde_json::Value>(&line.line).unwrap())
        .map(|line| serde_json::from_value::<Event>(line["event"].clone()).unwrap())
        .filter(|event| event.action == "reveal" && event.outcome != "ok")
        .map(|event| {
            assert_eq!(event.peer.unwrap().uid, 1000);
            (event.outcome, event.count.unwrap())
        })
        .collect();
    let expected = [("expired", 3), ("inactive", 1), ("spent", 2), ("unknown-token", 4)];
    assert_eq!(counted, expected.map(|(why, count)| (why.to_owned(), count)).into());
}

#[tokio::test]
async fn start_and_stop_are_on_record() {
    let rig = Rig::new().await;
    let digest = "0123456789abcdef".repeat(4);
    rig.vault.note_start(&digest).await;
    let start = last_event(&rig).await;
    assert_eq!(start.action, "daemon-start");
    let detail = start.detail.unwrap();
    assert!(detail.contains(env!("CARGO_PKG_VERSION")), "{detail}");
    let shown = "01234567:89abcdef:".repeat(4);
    assert!(
        detail.contains(shown.trim_end_matches(':')),
        "nothing of it is masked: {detail}"
    );
    rig.vault.note_stop().await;
    assert_eq!(last_event(&rig).await.action, "daemon-stop");
}

#[tokio::test]
async fn a_clock_that_was_set_back_before_the_start_is_marked() {
    let rig = Rig::new().await;
    rig.vault.note_start("00").await;
    assert_eq!(rig.events().await, ["daemon-start ok"]);
    let mut ahead = Event::new("test", "ok");
    ahead.at = ahead.at.plus(3_600_000);
    rig.vault.note(ahead).await.unwrap();
    rig.vault.note_start("00").await;
    assert_eq!(
        rig.events().await[1..],
        ["test ok", "daemon-start ok", "clock-step back"]
    );
    rig.vault.note_start("00").await;
    assert_eq!(rig.events().await[4..], ["daemon-start ok"]);
}

#[tokio::test]
async fn a_start_on_a_full_disk_is_on_record_once_there_is_room() {
    let rig = Rig::new().await;
    rig.store.next_commit(Fault::Refused(store::Error::Full));
    rig.vault.note_start("00").await;
    assert_eq!(rig.events().await, [""; 0]);
    rig.vault.access.events().flush().await.unwrap();
    assert_eq!(rig.events().await, ["daemon-start ok"]);
}

#[tokio::test]
async fn a_bin_table_that_cannot_be_audited_is_not_used() {
    let rig = Rig::new().await;
    let table = || BinTable::extended("range,brand,funding,country,issuer\n411111,visa,credit,US,Bank\n").unwrap();
    rig.store.next_commit(Fault::Refused(store::Error::Full));
    assert!(rig.vault.replace_bins(table(), None).await.is_err());
    assert_eq!(rig.create(card(VISA)).await.country, None);
    rig.vault.replace_bins(table(), Some(rig.actor.peer)).await.unwrap();
    assert_eq!(last_event(&rig).await.action, "bin-table-reload");
    assert_eq!(rig.create(card(VISA)).await.country.as_deref(), Some("US"));
}
