//! Chains with signed heads, and what is done to them.

use proptest::prelude::*;

use super::super::super::head::tests::Signer;
use super::super::super::{Event, SignedHead};
use super::{Fault, Head, Report, UnixMillis, Verifier, head_of, verify_with};

const START: u64 = 1_800_000_000_000;

/// `len` records; every fourth is a head that names the one before it.
fn chain(signer: &Signer, len: usize) -> Vec<Vec<u8>> {
    let mut lines = Vec::new();
    grow(signer, &mut lines, len);
    lines
}

/// More records until there are `len`, as the daemon would write them.
fn grow(signer: &Signer, lines: &mut Vec<Vec<u8>>, len: usize) {
    let mut head = head_of(lines);
    while lines.len() < len {
        let at = UnixMillis(START + head.seq);
        let event = if head.seq % 4 == 3 {
            signer.sign(head, at).event()
        } else {
            Event {
                at,
                ..Event::new("tokenize", "ok")
            }
        };
        lines.push(appended(&mut head, &event));
    }
}

fn appended(head: &mut Head, event: &Event) -> Vec<u8> {
    let mut line = Vec::new();
    head.append(&event.encode(), &mut line);
    line
}

fn pinned(signer: &Signer, lines: &[Vec<u8>]) -> Report {
    verify_with(Verifier::new().pinned(signer.fingerprint()), lines)
}

fn faults(report: &Report) -> Vec<Fault> {
    report.findings.iter().map(|finding| finding.fault.clone()).collect()
}

/// `lines` with record `seq` (from 1) changed and the chain after it made to fit again, heads left as they are.
fn rewritten(lines: &[Vec<u8>], seq: usize) -> Vec<Vec<u8>> {
    let mut new = lines[..seq - 1].to_vec();
    let mut head = head_of(&new);
    for (n, line) in lines.iter().enumerate().skip(seq - 1) {
        let event = match SignedHead::of_line(line) {
            Some(signed) => signed.unwrap().event(),
            None => Event {
                at: UnixMillis(START + head.seq),
                ..Event::new(if n + 1 == seq { "inspect" } else { "tokenize" }, "ok")
            },
        };
        new.push(appended(&mut head, &event));
    }
    new
}

#[test]
fn heads_by_the_pinned_key_make_a_chain_authentic() {
    let signer = Signer::new(1);
    let lines = chain(&signer, 14);
    let report = pinned(&signer, &lines);
    assert!(report.is_authentic(), "{:?}", report.findings);
    let signed = report.signed.clone().unwrap();
    assert_eq!(
        (report.signed_heads, signed.through, signed.record, report.unsigned),
        (3, 11, 12, 2)
    );
    let unpinned = verify_with(Verifier::new(), &lines);
    assert!(unpinned.is_sound() && !unpinned.is_authentic());
    assert_eq!(unpinned.key, Some(signer.fingerprint()));
}

#[test]
fn a_chain_without_heads_is_nobodys() {
    let signer = Signer::new(1);
    let lines = super::chain(5);
    assert_eq!(faults(&pinned(&signer, &lines)), [Fault::NothingSigned]);
    assert!(verify_with(Verifier::new(), &lines).is_sound());
    assert!(pinned(&signer, &[]).is_sound());
}

#[test]
fn another_keys_heads_are_forged() {
    let (signer, other) = (Signer::new(1), Signer::new(2));
    let key = other.fingerprint();
    // the wrong pin
    let found = faults(&pinned(&signer, &chain(&other, 8)));
    assert_eq!(
        found,
        [
            Fault::HeadOfOtherKey { record: 4, key },
            Fault::HeadOfOtherKey { record: 8, key },
            Fault::NothingSigned
        ]
    );
    // one more head, by somebody who can write the file: also without a pin
    let mut lines = chain(&signer, 6);
    grow(&other, &mut lines, 9);
    for report in [pinned(&signer, &lines), verify_with(Verifier::new(), &lines)] {
        assert_eq!(faults(&report), [Fault::HeadOfOtherKey { record: 8, key }]);
    }
    // the same key for another vault's chain
    let mut elsewhere = Signer::new(1);
    elsewhere.vault = crate::id::VaultId::parse("other").unwrap();
    let mut lines = chain(&signer, 6);
    grow(&elsewhere, &mut lines, 9);
    assert_eq!(
        faults(&pinned(&signer, &lines)),
        [Fault::HeadOfOtherVault { record: 8 }]
    );
}

#[test]
fn a_rewritten_chain_does_not_fit_its_heads() {
    let signer = Signer::new(1);
    let lines = chain(&signer, 23);
    for seq in (1..=19).filter(|seq| seq % 4 != 0) {
        let report = pinned(&signer, &rewritten(&lines, seq));
        // the last good head before it, and the first after it
        let (from, head) = (
            u64::try_from(seq / 4 * 4).unwrap(),
            u64::try_from(seq.next_multiple_of(4)).unwrap(),
        );
        let expected = Fault::NotAsSigned {
            from: from.max(1),
            record: head - 1,
            head,
        };
        assert_eq!(faults(&report), [expected], "record {seq}");
    }
}

#[test]
fn a_cut_shows_against_a_signed_head_that_was_kept() {
    let signer = Signer::new(1);
    let lines = chain(&signer, 14);
    let kept = signer.sign(head_of(&lines[..11]), UnixMillis(START)).head;
    let cut = |len: usize| {
        let verifier = Verifier::new().pinned(signer.fingerprint()).expecting(kept);
        verify_with(verifier, &lines[..len])
    };
    assert_eq!(faults(&cut(14)), []);
    assert_eq!(faults(&cut(11)), []);
    assert_eq!(faults(&cut(10)), [Fault::CutOff { from: 11, to: 11 }]);
    assert_eq!(faults(&cut(5)), [Fault::CutOff { from: 6, to: 11 }]);
    // cut together with its heads, and no head kept: what is left is whole, and says how far it is covered
    let report = pinned(&signer, &lines[..7]);
    assert!(report.is_authentic());
    assert_eq!((report.signed.unwrap().through, report.unsigned), (3, 3));
}

#[test]
fn removed_heads_are_removed_records() {
    let signer = Signer::new(1);
    let mut lines = chain(&signer, 14);
    lines.remove(7);
    assert_eq!(faults(&pinned(&signer, &lines)), [Fault::Removed { from: 8, to: 8 }]);
}

#[test]
fn a_last_head_tells_which_of_two_was_changed() {
    let signer = Signer::new(1);
    let lines = chain(&signer, 8);
    let mut changed = lines.clone();
    changed[6] = String::from_utf8(lines[6].clone())
        .unwrap()
        .replace("tokenize", "reveal")
        .into_bytes();
    assert_eq!(faults(&pinned(&signer, &changed)), [Fault::Changed { record: 7 }]);
    let mut relinked = lines.clone();
    let text = String::from_utf8(lines[7].clone()).unwrap();
    relinked[7] = text.replacen(&text[17..60], &"A".repeat(43), 1).into_bytes();
    assert_eq!(faults(&pinned(&signer, &relinked)), [Fault::Changed { record: 8 }]);
}

#[test]
fn a_copy_of_an_older_head_takes_nothing_back() {
    let signer = Signer::new(1);
    let mut lines = chain(&signer, 9);
    let old = SignedHead::of_line(&lines[3]).unwrap().unwrap();
    let mut head = head_of(&lines);
    lines.push(appended(&mut head, &old.event()));
    let report = pinned(&signer, &lines);
    assert!(report.is_authentic(), "{:?}", report.findings);
    assert_eq!(report.signed.unwrap().through, 7);
    // one that names itself or what is not there yet was not made by the daemon
    let ahead = signer.sign(Head { seq: 11, hash: [1; 32] }, UnixMillis(START));
    lines.push(appended(&mut head, &ahead.event()));
    let why = "it names no record before it";
    assert_eq!(faults(&pinned(&signer, &lines)), [Fault::NotAHead { record: 11, why }]);
}

proptest! {
    #[test]
    fn a_changed_byte_names_the_record_also_in_heads(
        len in 4..40usize, which in any::<prop::sample::Index>(), byte in any::<prop::sample::Index>(), flip in 1..=u8::MAX
    ) {
        let signer = Signer::new(1);
        let mut lines = chain(&signer, len);
        // of what heads cover, themselves included
        let which = which.index(len / 4 * 4);
        let byte = byte.index(lines[which].len());
        lines[which][byte] ^= flip;
        let record = u64::try_from(which + 1).unwrap();
        let report = pinned(&signer, &lines);
        let named: Vec<u64> = report.findings.iter().filter_map(|finding| finding.fault.record()).collect();
        prop_assert_eq!(named, vec![record], "{:?}", report.findings);
        prop_assert!(!report.is_sound());
    }

    #[test]
    fn records_that_are_removed_inserted_or_moved_are_named(
        len in 8..40usize, from in any::<prop::sample::Index>(), to in any::<prop::sample::Index>()
    ) {
        let signer = Signer::new(1);
        let lines = chain(&signer, len);
        let (from, to) = (from.index(len / 4 * 4 - 1), to.index(len / 4 * 4 - 1));
        let record = u64::try_from(from + 1).unwrap();

        let mut removed = lines.clone();
        removed.remove(from);
        let found = faults(&pinned(&signer, &removed));
        prop_assert!(found.contains(&Fault::Removed { from: record, to: record }), "{:?}", found);

        let mut inserted = lines.clone();
        inserted.insert(from, lines[to].clone());
        prop_assert!(!pinned(&signer, &inserted).is_sound());

        prop_assume!(from.abs_diff(to) > 1);
        let mut moved = lines;
        let line = moved.remove(from);
        moved.insert(to, line);
        let found = faults(&pinned(&signer, &moved));
        prop_assert_eq!(found, vec![Fault::Moved { record }]);
    }
}
