//! A repository's retention, where the clock need not move: tokens are made older.

use tokio::sync::watch;

use super::*;

const DAY: u64 = 24 * 60 * 60 * 1_000;
const ADMIN: AdminActor = AdminActor {
    peer: Peer {
        uid: 0,
        gid: 0,
        pid: None,
    },
};

impl Rig {
    /// A token that was made so many milliseconds ago.
    async fn made_ago(&self, new: NewToken, ago: u64) -> Token {
        let token = self.create(new).await.token;
        let held = self.vault.load(self.actor.repository, &token).await.unwrap();
        let record = Record {
            created_at: UnixMillis(UnixMillis::now().0 - ago),
            ..held.record
        };
        let commit = Commit {
            writes: vec![Write::Put(record.key(), record.encode().unwrap())],
            ..Commit::default()
        };
        self.store.commit(commit).await.unwrap();
        token
    }

    async fn retain(&self, days: Option<u32>) {
        let accounts = self.vault.access.accounts();
        accounts
            .set_retention(ADMIN, &self.actor.repository_name, days)
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn a_token_past_the_retention_is_refused_before_it_is_swept() {
    let rig = Rig::new().await;
    let reused = NewToken {
        reuse: return_within("a"),
        ..card(VISA)
    };
    let old = rig.made_ago(reused, 2 * DAY).await;
    let young = rig.made_ago(card(VISA), DAY / 2).await;
    assert!(rig.vault.inspect(&rig.actor, &old).await.unwrap().expires_at.is_none());
    rig.retain(Some(1)).await;
    let expired = Error::Caller(CallerError::Expired);
    assert_eq!(error(rig.vault.inspect(&rig.actor, &old).await), expired);
    assert_eq!(error(rig.vault.reveal(&rig.actor, &old, false).await), expired);
    assert_eq!(error(rig.vault.delete(&rig.actor, &old).await), expired);
    let ends = rig.vault.inspect(&rig.actor, &young).await.unwrap().expires_at.unwrap();
    let left = ends.0 - UnixMillis::now().0;
    assert!((DAY / 2 - 60_000..=DAY / 2).contains(&left), "{left}");
    // nothing was removed: a rule that is relaxed in time takes nothing away
    rig.retain(None).await;
    assert_eq!(rig.vault.inspect(&rig.actor, &old).await.unwrap().token, old);
    rig.retain(Some(1)).await;
    // its card is free again, and the token makes way
    let again = NewToken {
        reuse: return_within("a"),
        ..card(VISA)
    };
    assert_ne!(rig.create(again).await.token, old);
    assert_eq!(rig.vault.metrics.expired.get(), 1);
}

#[tokio::test]
async fn the_sweep_removes_what_is_due_and_nothing_else() {
    let rig = Rig::new().await;
    let mut old = Vec::new();
    for _ in 0..40 {
        old.push(rig.made_ago(card(VISA), 3 * DAY).await);
    }
    // its own end is later, and does not count
    let late = NewToken {
        expires_at: Some(UnixMillis::now().plus(9 * DAY)),
        ..card(MASTERCARD)
    };
    old.push(rig.made_ago(late, 3 * DAY).await);
    let young = rig.made_ago(card(AMEX), DAY).await;
    // falls due within the hour that the look notes
    let soon = rig.made_ago(card(AMEX), 2 * DAY - 1_500).await;
    rig.retain(Some(2)).await;
    let (stop, stopped) = watch::channel(false);
    let sweeping = tokio::spawn(Arc::clone(&rig.vault).retain_until(stopped));
    let gone = async |count: u64| {
        for _ in 0..600 {
            if rig.vault.metrics.expired.get() >= count {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        panic!("only {} are gone", rig.vault.metrics.expired.get());
    };
    gone(42).await;
    stop.send_replace(true);
    sweeping.await.unwrap();
    assert_eq!(rig.vault.metrics.expired.get(), 42);
    let events = rig.events().await;
    assert_eq!(
        events.iter().filter(|event| *event == "expire ok").count(),
        42,
        "one for each"
    );
    for token in old.iter().chain([&soon]) {
        let unknown = Error::Caller(CallerError::UnknownToken);
        assert_eq!(error(rig.vault.inspect(&rig.actor, token).await), unknown);
    }
    assert_eq!(rig.vault.inspect(&rig.actor, &young).await.unwrap().token, young);
    let keys = rig.keys().await.len();
    assert_eq!(rig.vault.delete(&rig.actor, &young).await.map(drop), Ok(()));
    assert!(keys > 0 && rig.keys().await.is_empty(), "no entry of any index is left");
}
