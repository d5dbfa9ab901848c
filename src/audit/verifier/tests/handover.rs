//! Chains in which one audit key names the next.

use super::super::super::Event;
use super::super::super::head::tests::Signer;
use super::{Fault, Head, Report, UnixMillis, Verifier, head_of, verify_with};

/// Records, each as `what` says: `r` a record, `h` a head by who signs, `>` a handover to the next signer. The signers are
/// named by their seeds; a handover may be made by another than who signs.
struct Chain {
    lines: Vec<Vec<u8>>,
    head: Head,
}

impl Chain {
    fn new() -> Self {
        Self {
            lines: Vec::new(),
            head: Head::START,
        }
    }

    fn at(&self) -> UnixMillis {
        UnixMillis(1_800_000_000_000 + self.head.seq)
    }

    fn put(&mut self, event: &Event) -> &mut Self {
        let mut line = Vec::new();
        self.head.append(&event.encode(), &mut line);
        self.lines.push(line);
        self
    }

    fn records(&mut self, count: usize) -> &mut Self {
        for _ in 0..count {
            let event = Event {
                at: self.at(),
                ..Event::new("tokenize", "ok")
            };
            self.put(&event);
        }
        self
    }

    fn head(&mut self, by: &Signer) -> &mut Self {
        let event = by.sign(self.head, self.at()).event();
        self.put(&event)
    }

    fn handover(&mut self, by: &Signer, to: &Signer) -> &mut Self {
        let event = Event::handover(by.hand_over(to, self.at()));
        self.put(&event)
    }
}

fn pinned(by: &[&Signer], chain: &Chain) -> Report {
    let pins = by.iter().map(|signer| signer.fingerprint());
    verify_with(pins.fold(Verifier::new(), Verifier::pinned), &chain.lines)
}

fn faults(report: &Report) -> Vec<Fault> {
    report.findings.iter().map(|finding| finding.fault.clone()).collect()
}

/// Two keys: four records, head, handover, two records, head, two more.
fn two(one: &Signer, two: &Signer) -> Chain {
    let mut chain = Chain::new();
    chain
        .records(4)
        .head(one)
        .handover(one, two)
        .records(2)
        .head(two)
        .records(2);
    chain
}

#[test]
fn a_handover_leads_from_the_old_pin_to_the_new_one() {
    let (one, other) = (Signer::new(1), Signer::new(2));
    let chain = two(&one, &other);
    for pins in [&[&one][..], &[&one, &other]] {
        let report = pinned(pins, &chain);
        assert!(report.is_authentic(), "{:?}", report.findings);
        assert_eq!((report.key, report.handed), (Some(other.fingerprint()), 1));
        assert_eq!((report.signed_heads, report.signed.unwrap().through), (2, 8));
    }
    let unpinned = verify_with(Verifier::new(), &chain.lines);
    assert!(unpinned.is_sound() && !unpinned.is_authentic());
}

#[test]
fn the_new_pin_vouches_for_what_led_to_it() {
    let (one, other) = (Signer::new(1), Signer::new(2));
    let report = pinned(&[&other], &two(&one, &other));
    assert!(report.is_authentic(), "{:?}", report.findings);
    assert_eq!((report.key, report.signed_heads), (Some(other.fingerprint()), 2));
    // a part that begins behind the handover
    let chain = two(&one, &other);
    let verifier = Verifier::after(head_of(&chain.lines[..6])).pinned(other.fingerprint());
    assert!(verify_with(verifier, &chain.lines[6..]).is_authentic());
    // without a head of its own it vouches for nothing
    let key = one.fingerprint();
    let mut short = Chain::new();
    short.records(4).head(&one).handover(&one, &other).records(2);
    let expected = [
        Fault::HeadOfOtherKey { record: 5, key },
        Fault::HandoverOfOtherKey { record: 6, key },
        Fault::NothingSigned,
    ];
    assert_eq!(faults(&pinned(&[&other], &short)), expected);
}

#[test]
fn a_handover_by_another_key_is_forged() {
    let (one, other, forger) = (Signer::new(1), Signer::new(2), Signer::new(3));
    let key = forger.fingerprint();
    // by somebody who can write the file, who signs on with the key that it names
    let mut chain = Chain::new();
    chain
        .records(4)
        .head(&one)
        .handover(&forger, &forger)
        .records(2)
        .head(&forger);
    let expected = [
        Fault::HandoverOfOtherKey { record: 6, key },
        Fault::HeadOfOtherKey { record: 9, key },
    ];
    assert_eq!(faults(&pinned(&[&one], &chain)), expected);
    assert_eq!(faults(&verify_with(Verifier::new(), &chain.lines)), expected);
    // from the very begin
    let mut chain = Chain::new();
    chain.handover(&forger, &other).records(2).head(&other);
    let found = faults(&pinned(&[&one], &chain));
    assert_eq!(found.first(), Some(&Fault::HandoverOfOtherKey { record: 1, key }));
    assert_eq!(found.last(), Some(&Fault::NothingSigned));
    // put before genuine heads: those do not take it over
    let mut chain = Chain::new();
    chain
        .handover(&forger, &other)
        .records(2)
        .head(&one)
        .records(1)
        .head(&one);
    let report = pinned(&[&one], &chain);
    assert_eq!(faults(&report), [Fault::HandoverOfOtherKey { record: 1, key }]);
    assert_eq!(report.signed_heads, 2);
}

#[test]
fn the_old_key_signs_no_head_after_its_handover() {
    let (one, other) = (Signer::new(1), Signer::new(2));
    let mut chain = two(&one, &other);
    chain.head(&one);
    let key = one.fingerprint();
    for pins in [&[&one][..], &[&other], &[&one, &other]] {
        let found = faults(&pinned(pins, &chain));
        assert_eq!(found, [Fault::HeadOfOtherKey { record: 12, key }]);
    }
}

#[test]
fn a_handover_that_was_changed_is_told() {
    let (one, other, third) = (Signer::new(1), Signer::new(2), Signer::new(3));
    let good = one.hand_over(&other, UnixMillis(1_800_000_000_005));
    let mut to_another = good.clone();
    to_another.to = one.hand_over(&third, good.at).to;
    let mut chain = Chain::new();
    chain.records(4).head(&one).put(&Event::handover(to_another));
    assert_eq!(
        faults(&pinned(&[&one], &chain)),
        [Fault::HandoverNotSigned { record: 6 }]
    );
    // a member beside it that the signature does not cover
    let mut chain = Chain::new();
    let mut event = Event::handover(good);
    event.detail = Some("more".to_owned());
    chain.records(4).head(&one).put(&event);
    assert!(matches!(
        faults(&pinned(&[&one], &chain))[..],
        [Fault::NotARecord { record: 6, .. }]
    ));
    // another vault's
    let (mut elsewhere, mut its_next) = (Signer::new(1), Signer::new(2));
    elsewhere.vault = crate::id::VaultId::parse("other").unwrap();
    its_next.vault = elsewhere.vault.clone();
    let mut chain = Chain::new();
    chain.records(4).head(&one).handover(&elsewhere, &its_next);
    assert_eq!(
        faults(&pinned(&[&one], &chain)),
        [Fault::HeadOfOtherVault { record: 6 }]
    );
}

#[test]
fn many_handovers_are_followed_from_any_of_the_keys() {
    let signers: Vec<Signer> = (1..=4).map(Signer::new).collect();
    let mut chain = Chain::new();
    for pair in signers.windows(2) {
        chain.records(2).head(&pair[0]).handover(&pair[0], &pair[1]);
    }
    chain.records(2).head(&signers[3]);
    for signer in &signers {
        let report = pinned(&[signer], &chain);
        assert!(report.is_authentic(), "{:?}", report.findings);
        assert_eq!(report.key, Some(signers[3].fingerprint()));
        assert_eq!(report.signed_heads, 4);
    }
}
