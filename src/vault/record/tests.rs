use proptest::prelude::*;

use super::Strategy;
use super::*;

fn sample() -> Record {
    let (repository, token) = (
        RepositoryId(3),
        Token::parse("tok_abcdefghijklmnopqrstuvwxyz0123456789").unwrap(),
    );
    // made once, so that two samples are equal
    static ID: std::sync::OnceLock<RecordId> = std::sync::OnceLock::new();
    Record {
        id: *ID.get_or_init(|| identity::fresh(repository, &token).unwrap()),
        repository,
        token,
        merchant: MerchantId::parse("TESTshop").unwrap(),
        revision: Revision(1),
        status: Status::Active,
        uses: Uses::Multi,
        strategy: Strategy::Opaque,
        shown: Shown {
            bin: "41111111".to_owned(),
            last4: "1111".to_owned(),
            length: 16,
            brand: Some("visa".to_owned()),
            funding: None,
            country: None,
        },
        expiry: Some(Expiry::new(12, 2030).unwrap()),
        namespace: None,
        metadata: None,
        created_at: UnixMillis(1_800_000_000_000),
        updated_at: UnixMillis(1_800_000_000_000),
        expires_at: None,
        pan: PanIndex([9; 16]),
        reuse: None,
        holder: true,
        // epoch, wrapped DEK, a PAN of 16 digits and a short holder
        sealed: Some(vec![1; 7 + 41 + 1 + (22 + 16 + 16) + (22 + 16 + 25)]),
        scope: None,
        updated_by: Some(MerchantId::parse("TESTshop").unwrap()),
        verification: None,
        replacement: None,
        alias: None,
        slot: None,
        renewed_by: None,
        limited_updates: Vec::new(),
        generation: Generation::FIRST,
    }
}

fn decode(bytes: &[u8]) -> Result<Record, IntegrityError> {
    Record::decode(bytes, RepositoryId(3), &sample().token)
}

#[test]
fn a_record_is_small() {
    let size = sample().encode().unwrap().len();
    assert!(size < 360, "{size}");
}

#[test]
fn other_bytes_are_classed() {
    let good = sample().encode().unwrap();
    assert_eq!(decode(&good), Ok(sample()));
    let mut newer = good.clone();
    newer[0] = VERSION + 1;
    assert_eq!(decode(&newer), Err(IntegrityError::NewerFormat));
    assert_eq!(decode(&[]), Err(IntegrityError::Damaged));
    assert_eq!(decode(&good[..good.len() - 1]), Err(IntegrityError::Damaged));
    assert_eq!(decode(&[good.as_slice(), &[0]].concat()), Err(IntegrityError::Damaged));
    let mut older = good;
    older[0] = 0;
    assert_eq!(decode(&older), Err(IntegrityError::Damaged));
}

/// Version 1, field by field in its order.
#[derive(Serialize)]
#[expect(clippy::type_complexity, reason = "a stored form, written out")]
struct Version1(
    (RecordId, RepositoryId, Token, MerchantId),
    (Revision, Status, Uses, super::Strategy),
    (String, String, u8, Option<String>, Option<String>, Option<String>),
    (Option<Expiry>, Option<Namespace>, Option<String>),
    (UnixMillis, UnixMillis, Option<UnixMillis>),
    ([u8; 16], Option<[u8; 16]>, bool, Option<Vec<u8>>),
);

fn version_1(record: &Record) -> Vec<u8> {
    let r = record.clone();
    let shown = r.shown;
    let old = Version1(
        (r.id, r.repository, r.token, r.merchant),
        (r.revision, r.status, r.uses, r.strategy),
        (
            shown.bin,
            shown.last4,
            shown.length,
            shown.brand,
            shown.funding,
            shown.country,
        ),
        (r.expiry, r.namespace, r.metadata),
        (r.created_at, r.updated_at, r.expires_at),
        (r.pan.0, r.reuse, r.holder, r.sealed),
    );
    postcard::to_extend(&old, vec![1]).unwrap()
}

#[test]
fn a_record_of_version_1_is_read_and_its_scope_is_known() {
    assert_eq!(decode(&version_1(&sample())), Ok(sample()));
    let namespace = Namespace::parse("customer-1").unwrap();
    for (reuse, namespace, scope) in [
        (None, Some(&namespace), None),
        (Some([1; 16]), None, Some(&b""[..])),
        (Some([1; 16]), Some(&namespace), Some(&b"namespace:customer-1"[..])),
    ] {
        let record = Record {
            reuse,
            namespace: namespace.cloned(),
            ..sample()
        };
        let scope = scope.map(<[u8]>::to_vec);
        assert_eq!(decode(&version_1(&record)), Ok(Record { scope, ..record }));
    }
    let good = version_1(&sample());
    assert_eq!(decode(&good[..good.len() - 1]), Err(IntegrityError::Damaged));
    assert_eq!(decode(&[good.as_slice(), &[0]].concat()), Err(IntegrityError::Damaged));
}

#[test]
fn a_record_of_version_2_is_read() {
    let record = Record {
        scope: Some(b"scope".to_vec()),
        verification: Some(Verification::Basic),
        replacement: Some(Token::parse("tok_b").unwrap()),
        ..sample()
    };
    let mut old = record.encode().unwrap();
    // what versions 3 and 5 added is absent, empty or 1: a byte each at the end
    old.truncate(old.len() - 5);
    old[0] = 2;
    assert_eq!(decode(&old), Ok(record));
    assert_eq!(decode(&old[..old.len() - 1]), Err(IntegrityError::Damaged));
}

#[test]
fn a_record_of_version_4_is_found_under_the_first_fingerprint_key() {
    for version in [3, 4] {
        let mut old = sample().encode().unwrap();
        assert_eq!(old.pop(), Some(1));
        old[0] = version;
        assert_eq!(decode(&old), Ok(sample()));
    }
    let later = Record {
        generation: Generation(300),
        ..sample()
    };
    assert_eq!(decode(&later.encode().unwrap()), Ok(later));
}

#[test]
fn a_record_under_another_key_is_an_alarm() {
    let good = sample().encode().unwrap();
    let other = Token::parse("tok_b").unwrap();
    assert_eq!(
        Record::decode(&good, RepositoryId(3), &other),
        Err(IntegrityError::Tampered)
    );
    assert_eq!(
        Record::decode(&good, RepositoryId(4), &sample().token),
        Err(IntegrityError::Tampered)
    );
}

#[test]
fn a_new_token_writes_three_keys_and_only_those_it_needs() {
    assert_eq!(sample().insertion().unwrap().len(), 3);
    let full = Record {
        namespace: Some(Namespace::parse("customer-1").unwrap()),
        expires_at: Some(UnixMillis(5)),
        reuse: Some([1; 16]),
        scope: Some(Vec::new()),
        alias: Some(Token::parse("9900000000000000001").unwrap()),
        slot: Some(3),
        ..sample()
    };
    let written: Vec<Key> = full
        .insertion()
        .unwrap()
        .into_iter()
        .map(|write| match write {
            Write::Put(key, _) | Write::Del(key) => key,
        })
        .collect();
    assert_eq!(written.len(), 8);
    for key in written {
        assert!(full.removal().contains(&Write::Del(key)), "left behind");
    }
}

#[test]
fn a_replacement_moves_only_the_entries_that_change() {
    let old = sample();
    let spent = Record {
        status: Status::Spent,
        sealed: None,
        updated_at: UnixMillis(1_800_000_000_001),
        ..sample()
    };
    let writes = spent.replacement(&old).unwrap();
    let put = |key: Key| {
        writes
            .iter()
            .any(|write| matches!(write, Write::Put(k, _) if *k == key))
    };
    let del = |key: Key| writes.contains(&Write::Del(key));
    assert_eq!(writes.len(), 4);
    assert!(put(old.key()));
    assert!(del(tables::pan(old.repository, old.pan, &old.token)));
    assert!(del(tables::updated(old.repository, old.updated_at, &old.token)));
    assert!(put(tables::updated(old.repository, spent.updated_at, &old.token)));
}

#[test]
fn a_new_number_moves_the_ways_to_it() {
    let old = Record {
        reuse: Some([1; 16]),
        scope: Some(Vec::new()),
        ..sample()
    };
    let renumbered = Record {
        pan: PanIndex([8; 16]),
        reuse: Some([2; 16]),
        ..old.clone()
    };
    let writes = renumbered.replacement(&old).unwrap();
    let value = tables::reuse_value(old.repository, &old.token);
    for expected in [
        Write::Del(tables::pan(old.repository, old.pan, &old.token)),
        Write::Put(tables::pan(old.repository, renumbered.pan, &old.token), Vec::new()),
        Write::Del(tables::reuse(&[1; 16])),
        Write::Put(tables::reuse(&[2; 16]), value),
    ] {
        assert!(writes.contains(&expected), "{expected:?}");
    }
    assert_eq!(writes.len(), 5);
}

#[test]
fn a_persons_card_has_one_entry_for_its_number_and_its_person() {
    let old = Record {
        reuse: Some([1; 16]),
        ..sample()
    };
    assert_eq!(old.insertion().unwrap().len(), 3);
    let renumbered = Record {
        pan: PanIndex([8; 16]),
        reuse: Some([2; 16]),
        ..old.clone()
    };
    let writes = renumbered.replacement(&old).unwrap();
    let entry = |record: &Record, hash| tables::personal(record.repository, record.pan, &hash);
    let value = tables::reuse_value(old.repository, &old.token);
    assert_eq!(
        writes[1..],
        [
            Write::Del(entry(&old, [1; 16])),
            Write::Put(entry(&renumbered, [2; 16]), value)
        ]
    );
    assert!(renumbered.removal().contains(&Write::Del(entry(&renumbered, [2; 16]))));
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400), at in any::<prop::sample::Index>(), to in any::<u8>()) {
        let _ = decode(&bytes);
        let mut changed = sample().encode().unwrap();
        let at = at.index(changed.len());
        changed[at] = to;
        if let Ok(record) = decode(&changed) {
            prop_assert!(record.encode().is_ok());
        }
    }

    #[test]
    fn records_come_back(
        metadata in proptest::option::of("\\PC{0,40}"), funding in proptest::option::of("[a-z]{1,8}"),
        expires in proptest::option::of(any::<u64>()), revision in any::<u64>(), reuse in proptest::option::of(any::<[u8; 16]>()),
        sealed in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..200)),
        scope in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..40)), replaced in any::<bool>(),
    ) {
        let record = Record {
            metadata, reuse, sealed, scope,
            updated_by: None,
            verification: Some(Verification::AccountUpdater),
            replacement: replaced.then(|| Token::parse("tok_b").unwrap()),
            slot: reuse.map(|reuse| reuse[0]),
            renewed_by: expires,
            limited_updates: expires.map(UnixMillis).into_iter().collect(),
            shown: Shown { funding, ..sample().shown },
            expires_at: expires.map(UnixMillis),
            revision: Revision(revision),
            ..sample()
        };
        prop_assert_eq!(decode(&record.encode().unwrap()), Ok(record));
    }
}
