use proptest::prelude::*;

use super::*;
use crate::id::{RecordId, RepositoryId};

fn compartment(compartment: Compartment) -> impl Strategy<Value = SealedCompartment> {
    let iv = prop_oneof![
        proptest::collection::vec(any::<u8>(), 12),
        proptest::collection::vec(any::<u8>(), 16)
    ];
    let text = proptest::collection::vec(any::<u8>(), 16..64);
    (1..=u32::MAX, iv, text).prop_map(move |(revision, iv, text)| SealedCompartment {
        compartment,
        revision,
        part: SealedPart { iv, text },
    })
}

fn sealed() -> impl Strategy<Value = Sealed> {
    let dek = proptest::collection::vec(any::<u8>(), DEK_LEN);
    let profile = proptest::option::of(compartment(Compartment::Profile));
    (1..=u32::MAX, dek, compartment(Compartment::Pan), profile).prop_map(|(epoch, dek, pan, profile)| Sealed {
        epoch: Epoch(epoch),
        dek: WrappedKey(dek),
        compartments: [pan].into_iter().chain(profile).collect(),
    })
}

fn place() -> impl Strategy<Value = (Place, Compartment, u32)> {
    // few values, so that places that differ in one member only come up often
    let kind = prop_oneof![Just(Compartment::Pan), Just(Compartment::Profile)];
    let number = prop_oneof![0..3u32, any::<u32>()];
    (number.clone(), 0..3u8, kind, number).prop_map(|(repository, record, kind, revision)| {
        let place = Place {
            repository: RepositoryId(repository),
            record: RecordId([record; 16]),
        };
        (place, kind, revision)
    })
}

fn sample() -> Sealed {
    let part = |fill: u8| SealedPart {
        iv: vec![fill; 12],
        text: vec![fill; 32],
    };
    Sealed {
        epoch: Epoch(3),
        dek: WrappedKey(vec![9; DEK_LEN]),
        compartments: vec![
            SealedCompartment {
                compartment: Compartment::Pan,
                revision: 1,
                part: part(1),
            },
            SealedCompartment {
                compartment: Compartment::Profile,
                revision: 7,
                part: part(2),
            },
        ],
    }
}

#[test]
fn the_stored_form_stays_what_it_is() {
    let hex = data_encoding::HEXLOWER.encode(&sample().encode());
    let (dek, one, two) = ("09".repeat(40), "01".repeat(32), "02".repeat(32));
    let (iv1, iv2) = ("01".repeat(12), "02".repeat(12));
    assert_eq!(
        hex,
        format!("01010000000328{dek}0201000000010c{iv1}00000020{one}02000000070c{iv2}00000020{two}")
    );
}

#[test]
fn newer_forms_are_told_from_damage() {
    let mut bytes = sample().encode();
    bytes[0] = 2;
    assert_eq!(Sealed::decode(&bytes), Err(Error::NewerFormat));
    bytes[0] = 0;
    assert_eq!(Sealed::decode(&bytes), Err(Error::Tampered));
    bytes[0] = 1;
    bytes[1] = 2;
    assert_eq!(Sealed::decode(&bytes), Err(Error::NewerFormat));
    assert_eq!(Sealed::decode(&[]), Err(Error::Tampered));
}

#[test]
fn twice_the_same_compartment_is_refused() {
    let mut twice = sample();
    twice.compartments[1].compartment = Compartment::Pan;
    assert_eq!(Sealed::decode(&twice.encode()), Err(Error::Tampered));
}

#[test]
fn values_that_do_not_fit_the_format_are_refused_not_misread() {
    let changed = |change: fn(&mut Sealed)| {
        let mut sealed = sample();
        change(&mut sealed);
        Sealed::decode(&sealed.encode())
    };
    for result in [
        changed(|s| s.epoch = Epoch(0)),
        changed(|s| s.dek.0.truncate(39)),
        changed(|s| s.dek.0 = vec![0; 300]),
        changed(|s| s.compartments.clear()),
        changed(|s| s.compartments[0].revision = 0),
        changed(|s| s.compartments[0].part.iv.truncate(11)),
        changed(|s| s.compartments[0].part.iv = vec![0; 17]),
        changed(|s| s.compartments[0].part.text.truncate(15)),
        changed(|s| s.compartments[0].part.text = vec![0; MAX_TEXT + TAG_LEN + 1]),
    ] {
        assert_eq!(result, Err(Error::Tampered));
    }
    assert!(changed(|s| s.compartments[0].part.text = vec![0; MAX_TEXT + TAG_LEN]).is_ok());
}

proptest! {
    #[test]
    fn decode_reads_what_encode_writes(sealed in sealed()) {
        prop_assert_eq!(Sealed::decode(&sealed.encode()), Ok(sealed));
    }

    #[test]
    fn cut_or_longer_forms_are_refused(sealed in sealed(), cut in any::<prop::sample::Index>(), more in any::<u8>()) {
        let mut bytes = sealed.encode();
        prop_assert_eq!(Sealed::decode(&bytes[..cut.index(bytes.len())]), Err(Error::Tampered));
        bytes.push(more);
        prop_assert_eq!(Sealed::decode(&bytes), Err(Error::Tampered));
    }

    #[test]
    fn whatever_is_accepted_has_one_form(
        sealed in sealed(), at in any::<prop::sample::Index>(), flip in 1..=u8::MAX
    ) {
        let mut bytes = sealed.encode();
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        if let Ok(other) = Sealed::decode(&bytes) {
            prop_assert_ne!(&other, &sealed);
            prop_assert_eq!(other.encode(), bytes);
        }
    }

    #[test]
    fn no_two_places_share_an_aad(a in place(), b in place()) {
        prop_assert_eq!(a == b, a.0.aad(a.1, a.2) == b.0.aad(b.1, b.2));
    }
}
