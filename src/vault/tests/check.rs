use super::*;
use crate::id::Namespace;
use crate::vault::check::{Plan, Told, Verified, indexes, verify_by};

/// Three tokens that are in every table, and one that is spent.
async fn filled() -> (Rig, Vec<Token>) {
    let rig = Rig::new().await;
    let mut tokens = Vec::new();
    for scope in ["a", "b", "c"] {
        let new = NewToken {
            reuse: return_within(scope),
            namespace: Some(Namespace::parse("customer").unwrap()),
            expires_at: Some(UnixMillis::now().plus(3_600_000)),
            ..card(VISA)
        };
        tokens.push(rig.create(new).await.token);
    }
    let single = NewToken {
        uses: Uses::Single,
        ..card(AMEX)
    };
    let spent = rig.create(single).await.token;
    rig.vault.reveal(&rig.actor, &spent, false).await.unwrap();
    rig.vault.reveal(&rig.actor, &tokens[0], false).await.unwrap();
    rig.vault.flush_last_used().await;
    (rig, tokens)
}

async fn write(rig: &Rig, writes: Vec<Write>) {
    let commit = Commit {
        writes,
        ..Commit::default()
    };
    rig.store.commit(commit).await.unwrap();
}

async fn faults(rig: &Rig) -> Vec<String> {
    indexes(rig.store.as_ref()).await.unwrap().faults
}

#[tokio::test]
async fn a_vault_that_was_only_used_has_no_faults() {
    let (rig, tokens) = filled().await;
    let patch = types::Patch {
        expires_at: types::Change::Clear,
        ..types::Patch::default()
    };
    rig.vault.update(&rig.actor, &tokens[1], patch).await.unwrap();
    rig.vault.delete(&rig.actor, &tokens[2]).await.unwrap();
    let report = indexes(rig.store.as_ref()).await.unwrap();
    assert_eq!(report.faults, [""; 0]);
    assert_eq!(report.entries, u64::try_from(rig.keys().await.len()).unwrap());
}

#[tokio::test]
async fn every_entry_that_is_missing_is_told() {
    let (rig, tokens) = filled().await;
    let record = rig.vault.load(rig.actor.repository, &tokens[0]).await.unwrap().record;
    let entries = record.entries();
    assert_eq!(entries.len(), 5);
    for (key, value) in entries {
        write(&rig, vec![Write::Del(key.clone())]).await;
        let expected = format!(
            "record {} of repository {}: is not in the {}",
            tokens[0],
            rig.actor.repository.0,
            tables::name_of(&key)
        );
        assert_eq!(faults(&rig).await, [expected]);
        write(&rig, vec![Write::Put(key, value)]).await;
    }
    assert_eq!(faults(&rig).await, [""; 0]);
}

#[tokio::test]
async fn entries_without_their_record_are_told() {
    let (rig, tokens) = filled().await;
    let record = rig.vault.load(rig.actor.repository, &tokens[0]).await.unwrap().record;
    // index entries of a record that is gone, and the time of its last use
    write(&rig, vec![Write::Del(record.key())]).await;
    let told = faults(&rig).await;
    assert_eq!(told.len(), 6, "{told:?}");
    assert!(
        told.iter().all(|fault| fault.ends_with("which has no record")),
        "{told:?}"
    );
    write(&rig, vec![Write::Put(record.key(), record.encode().unwrap())]).await;
    assert_eq!(faults(&rig).await, [""; 0]);
    // an entry that the record does not have, and a reuse key that leads to another token
    let stray = tables::updated(record.repository, UnixMillis(5), &record.token);
    let other = rig.vault.load(rig.actor.repository, &tokens[1]).await.unwrap().record;
    let reuse = tables::reuse(&other.reuse.unwrap());
    let (_, value) = record.entries().pop().unwrap();
    write(&rig, vec![Write::Put(stray, Vec::new()), Write::Put(reuse, value)]).await;
    let told = faults(&rig).await;
    assert_eq!(told.len(), 3, "{told:?}");
    assert!(told[0].contains(other.token.as_str()) && told[0].ends_with("is not in the reuse keys"));
    assert!(told[1].starts_with("reuse keys: ") && told[1].ends_with("whose record says otherwise"));
    assert!(told[2].starts_with("updated-at index: ") && told[2].contains(record.token.as_str()));
}

#[tokio::test]
async fn what_cannot_be_read_is_told_once_and_many_faults_are_a_number() {
    let (rig, tokens) = filled().await;
    write(
        &rig,
        vec![Write::Put(tables::record(rig.actor.repository, &tokens[0]), vec![1])],
    )
    .await;
    let told = faults(&rig).await;
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].ends_with("the record is damaged"), "{told:?}");
    for chunk in 0..3_u64 {
        let stray = |n| tables::updated(rig.actor.repository, UnixMillis(chunk * 500 + n), &token("tok_none"));
        write(&rig, (0..500).map(|n| Write::Put(stray(n), Vec::new())).collect()).await;
    }
    let told = faults(&rig).await;
    assert_eq!(told.len(), 1_001);
    assert_eq!(told[1_000], "and 501 faults more");
}

#[tokio::test]
async fn what_changes_meanwhile_is_no_fault() {
    let (rig, tokens) = filled().await;
    let (vault, actor) = (Arc::clone(&rig.vault), rig.actor.clone());
    let writer = tokio::spawn(async move {
        for n in 0.. {
            let patch = types::Patch {
                expires_at: types::Change::Set(UnixMillis::now().plus(3_600_000 + n)),
                ..types::Patch::default()
            };
            vault
                .update(&actor, &tokens[usize::try_from(n % 3).unwrap()], patch)
                .await
                .unwrap();
        }
    });
    for _ in 0..200 {
        assert_eq!(faults(&rig).await, [""; 0]);
    }
    assert!(!writer.is_finished());
    writer.abort();
}

async fn opened(rig: &Rig, sample: Option<u64>) -> (Verified, Vec<String>) {
    opened_by(rig, sample, 4).await
}

async fn opened_by(rig: &Rig, sample: Option<u64>, at_once: usize) -> (Verified, Vec<String>) {
    let plan = Plan {
        sample,
        per_second: None,
        at_once,
        pages: at_once,
    };
    let mut faults = Vec::new();
    let mut tell = |told| {
        if let Told::Fault(text) = told {
            faults.push(text);
        }
    };
    let sealer = rig.vault.sealer.as_ref();
    let store: Arc<dyn Store> = rig.store.clone();
    let verified = verify_by(&store, sealer, plan, &mut tell).await.unwrap();
    (verified, faults)
}

#[tokio::test]
async fn what_is_sealed_is_held_against_the_keys() {
    let (rig, tokens) = filled().await;
    let (verified, faults) = opened(&rig, None).await;
    assert_eq!(faults, [""; 0]);
    // the spent one has nothing that could be opened
    assert_eq!(verified.opened, 3);
    let (verified, _) = opened(&rig, Some(2)).await;
    assert!((1..=2).contains(&verified.opened), "{verified:?}");

    let mut records = Vec::new();
    for token in &tokens {
        records.push(rig.vault.load(rig.actor.repository, token).await.unwrap().record);
    }
    // a card of another record, and one that is found as another card
    let swapped = Record {
        sealed: records[1].sealed.clone(),
        ..records[0].clone()
    };
    let misled = Record {
        pan: tables::PanIndex([7; 16]),
        ..records[2].clone()
    };
    write(&rig, swapped.replacement(&records[0]).unwrap()).await;
    write(&rig, misled.replacement(&records[2]).unwrap()).await;
    assert_eq!(
        indexes(rig.store.as_ref()).await.unwrap().faults,
        [""; 0],
        "indexes do not tell"
    );
    let (verified, faults) = opened(&rig, None).await;
    assert_eq!((verified.faults, faults.len()), (2, 2), "{faults:?}");
    let of = |token: &Token| faults.iter().find(|fault| fault.contains(token.as_str())).unwrap();
    assert!(of(&tokens[0]).contains("does not open"), "{faults:?}");
    assert!(of(&tokens[2]).contains("another card's fingerprint"), "{faults:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_report_is_in_order_however_many_are_under_way() {
    let rig = Rig::new().await;
    let mut wanted = Vec::new();
    for n in 0..700_u64 {
        let token = rig.create(card(VISA)).await.token;
        if n % 7 > 0 {
            continue;
        }
        let record = rig.vault.load(rig.actor.repository, &token).await.unwrap().record;
        let misled = Record {
            pan: tables::PanIndex([7; 16]),
            ..record.clone()
        };
        write(&rig, misled.replacement(&record).unwrap()).await;
        // an entry that no record has, too
        let stray = tables::updated(rig.actor.repository, UnixMillis(n), &self::token("tok_none"));
        write(&rig, vec![Write::Put(stray, Vec::new())]).await;
        wanted.push(token);
    }
    wanted.sort_by(|a, b| a.as_str().cmp(b.as_str()));
    let one = opened_by(&rig, None, 1).await;
    for at_once in [2, 16, 1000] {
        assert_eq!(opened_by(&rig, None, at_once).await, one, "{at_once}");
    }
    let (verified, faults) = one;
    assert_eq!((verified.opened, verified.faults), (700, 200));
    let named = faults.iter().skip(100).zip(&wanted);
    for (fault, token) in named {
        assert!(fault.contains(token.as_str()), "{fault} is not of {token}");
    }
}
