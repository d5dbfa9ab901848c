mod handover;
mod heads;

use proptest::prelude::*;

use super::super::Event;
use super::*;

fn chain(len: usize) -> Vec<Vec<u8>> {
    forged(Head::START, len, "tokenize")
}

/// Records that continue `head`, as the engine would write them.
fn forged(mut head: Head, len: usize, action: &str) -> Vec<Vec<u8>> {
    let mut event = Event::new(action, "ok");
    (0..len)
        .map(|n| {
            event.at = UnixMillis(1_800_000_000_000 + u64::try_from(n).unwrap());
            let mut line = Vec::new();
            head.append(&event.encode(), &mut line);
            line
        })
        .collect()
}

fn head_of(lines: &[Vec<u8>]) -> Head {
    let mut head = Head::START;
    for line in lines {
        head.follow(line).unwrap();
    }
    head
}

fn verify_with(verifier: Verifier, lines: &[Vec<u8>]) -> Report {
    let mut verifier = verifier;
    for line in lines {
        verifier.line(line);
    }
    verifier.finish()
}

fn faults(lines: &[Vec<u8>]) -> Vec<Fault> {
    let report = verify_with(Verifier::new(), lines);
    report.findings.into_iter().map(|finding| finding.fault).collect()
}

#[test]
fn a_chain_as_written_is_sound() {
    for len in [0, 1, 2, AHEAD, AHEAD + 1, 100] {
        let lines = chain(len);
        let report = verify_with(Verifier::new().expecting(head_of(&lines)), &lines);
        assert!(report.is_sound(), "{:?}", report.findings);
        assert_eq!(
            (report.lines, report.head),
            (u64::try_from(len).unwrap(), head_of(&lines))
        );
        assert_eq!(report.from, (len > 0).then_some(UnixMillis(1_800_000_000_000)));
    }
}

#[test]
fn a_later_part_is_verified_from_its_head() {
    let lines = chain(50);
    let (before, after) = lines.split_at(20);
    assert!(verify_with(Verifier::after(head_of(before)), after).is_sound());
    assert_eq!(faults(after), [Fault::Removed { from: 1, to: 20 }]);
    let mut wrong = head_of(before);
    wrong.hash[0] ^= 1;
    assert!(!verify_with(Verifier::after(wrong), after).is_sound());
}

#[test]
fn the_end_needs_a_noted_head() {
    let lines = chain(10);
    let noted = head_of(&lines);
    assert_eq!(faults(&lines[..7]), []);
    let report = verify_with(Verifier::new().expecting(noted), &lines[..7]);
    assert_eq!(report.findings[0].fault, Fault::CutOff { from: 8, to: 10 });
    let rewritten = [&lines[..4], &forged(head_of(&lines[..4]), 8, "reveal")].concat();
    assert_eq!(faults(&rewritten), []);
    let report = verify_with(Verifier::new().expecting(noted), &rewritten);
    assert_eq!(report.findings[0].fault, Fault::NotAsNoted { record: 10 });
    let empty = verify_with(Verifier::new().expecting(noted), &[]);
    assert_eq!(empty.findings[0].fault, Fault::CutOff { from: 1, to: 10 });
}

#[test]
fn the_last_link_is_ambiguous_without_a_noted_head() {
    let mut lines = chain(5);
    let noted = head_of(&lines);
    lines[3] = String::from_utf8(lines[3].clone())
        .unwrap()
        .replace("tokenize", "reveal")
        .into_bytes();
    assert_eq!(faults(&lines), [Fault::ChangedOneOf { record: 4 }]);
    let report = verify_with(Verifier::new().expecting(noted), &lines);
    assert_eq!(report.findings[0].fault, Fault::Changed { record: 4 });
    assert_eq!(report.findings[0].at.line, 4);
}

#[test]
fn a_forged_record_that_continues_the_chain_is_found_out_by_the_next() {
    for at in 0..9 {
        let mut lines = chain(10);
        let forgery = forged(head_of(&lines[..at]), 1, "reveal").remove(0);
        lines.insert(at, forgery);
        let report = verify_with(Verifier::new(), &lines);
        let line = u64::try_from(at).unwrap() + 1;
        assert_eq!(report.findings.len(), 1);
        assert_eq!(report.findings[0].fault, Fault::Inserted { says: Some(line) });
        assert_eq!(report.findings[0].at.line, line);
        assert_eq!(report.head.seq, 10);
    }
}

#[test]
fn a_forged_piece_and_a_repeated_piece_are_found() {
    let lines = chain(60);
    let piece = forged(head_of(&lines[..20]), 5, "reveal");
    let with_piece = [&lines[..20], &piece, &lines[20..]].concat();
    assert_eq!(faults(&with_piece), [Fault::StartsAgain { record: 21 }]);
    let twice = [&lines[..], &lines[..]].concat();
    assert_eq!(faults(&twice), [Fault::StartsAgain { record: 1 }]);
    let repeated = [&lines[..20], &lines[17..20], &lines[20..]].concat();
    let inserted = [18, 19, 20].map(|seq| Fault::Inserted { says: Some(seq) });
    assert_eq!(faults(&repeated), inserted);
}

#[test]
fn a_removed_record_that_was_papered_over_is_found() {
    // record 5 is gone, and record 6 names record 4 instead
    let lines = chain(10);
    let mut hidden = lines.clone();
    hidden.remove(4);
    let text = |line: &[u8]| String::from_utf8(line.to_vec()).unwrap();
    let prev = |line: &[u8]| text(line)[16..59].to_owned();
    hidden[4] = text(&lines[5]).replace(&prev(&lines[5]), &prev(&lines[4])).into_bytes();
    let removed = Fault::Removed { from: 5, to: 5 };
    let found = faults(&hidden);
    assert_eq!(found.len(), 2);
    assert!(
        found.contains(&removed) && found.contains(&Fault::Changed { record: 6 }),
        "{found:?}"
    );
}

#[test]
fn blocks_that_were_moved_are_found() {
    let lines = chain(100);
    let moved = [&lines[..10], &lines[20..60], &lines[10..20], &lines[60..]].concat();
    let expected: Vec<Fault> = (11..=20).map(|record| Fault::Moved { record }).collect();
    assert_eq!(faults(&moved), expected);
    let moved_up = [&lines[..10], &lines[50..54], &lines[10..50], &lines[54..]].concat();
    let expected: Vec<Fault> = (51..=54).map(|record| Fault::Moved { record }).collect();
    assert_eq!(faults(&moved_up), expected);
}

#[test]
fn a_moved_record_that_was_changed_too_is_named_twice() {
    let mut lines = chain(10);
    let line = String::from_utf8(lines.remove(2))
        .unwrap()
        .replace("tokenize", "reveal");
    lines.insert(7, line.into_bytes());
    assert_eq!(
        faults(&lines),
        [Fault::Moved { record: 3 }, Fault::Changed { record: 3 }]
    );
}

#[test]
fn rubbish_ends_the_reading() {
    let mut verifier = Verifier::new();
    for n in 0..10_000u32 {
        verifier.line(&n.to_be_bytes());
    }
    let report = verifier.finish();
    assert_eq!(report.findings.last().unwrap().fault, Fault::GaveUp);
    assert!(report.findings.len() <= ODD_MAX + 1);
    assert!(report.lines < 2000);
}

#[test]
fn reports_read_well() {
    let mut lines = chain(5);
    lines.remove(1);
    let mut verifier = Verifier::new();
    verifier.source("audit-1.jsonl");
    lines.iter().for_each(|line| verifier.line(line));
    let report = verifier.finish();
    assert_eq!(
        report.findings[0].to_string(),
        "audit-1.jsonl line 2: record 2 was removed before this line"
    );
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json["findings"][0]["fault"], "removed");
    assert_eq!(json["findings"][0]["line"], 2);
    assert_eq!(json["head"].as_str().unwrap().parse(), Ok(report.head));
}

/// 250,000 lines a second in a debug build on one busy core of 2026.
#[test]
#[ignore = "a measurement: cargo test --lib million -- --ignored --nocapture"]
fn a_million_lines_are_verified_within_five_seconds() {
    let lines = chain(1_000_000);
    let start = std::time::Instant::now();
    let report = verify_with(Verifier::new(), &lines);
    let taken = start.elapsed();
    println!("{:.0} lines/s", 1e6 / taken.as_secs_f64());
    assert!(report.is_sound());
    assert!(taken.as_secs() < 5, "{taken:?}");
}

/// What a single fault must be called, by the number of the record.
fn names(fault: &Fault, number: u64) -> bool {
    match *fault {
        Fault::Changed { record } | Fault::NotARecord { record, .. } | Fault::Renumbered { record, .. } => {
            record == number
        }
        Fault::NotAsNoted { record } => record == number,
        _ => false,
    }
}

proptest! {
    #[test]
    fn a_changed_byte_names_the_record(
        len in 1..50usize, which in any::<prop::sample::Index>(), byte in any::<prop::sample::Index>(), flip in 1..=u8::MAX
    ) {
        let mut lines = chain(len);
        let noted = head_of(&lines);
        let which = which.index(len);
        let byte = byte.index(lines[which].len());
        lines[which][byte] ^= flip;
        let report = verify_with(Verifier::new().expecting(noted), &lines);
        prop_assert_eq!(report.findings.len(), 1, "{:?}", report.findings);
        let record = u64::try_from(which + 1).unwrap();
        prop_assert!(names(&report.findings[0].fault, record), "{:?} for {}", report.findings, record);
        prop_assert_eq!(report.findings[0].at.line, record);
    }

    #[test]
    fn removed_records_are_named(len in 2..80usize, from in any::<prop::sample::Index>(), count in 1..40usize) {
        let mut lines = chain(len);
        let noted = head_of(&lines);
        let from = from.index(len);
        let to = (from + count).min(len);
        lines.drain(from..to);
        let report = verify_with(Verifier::new().expecting(noted), &lines);
        prop_assert_eq!(report.findings.len(), 1, "{:?}", report.findings);
        let (first, last) = (u64::try_from(from + 1).unwrap(), u64::try_from(to).unwrap());
        let expected = if to == len {
            Fault::CutOff { from: first, to: last }
        } else {
            Fault::Removed { from: first, to: last }
        };
        prop_assert_eq!(&report.findings[0].fault, &expected);
    }

    #[test]
    fn an_inserted_line_is_named(
        len in 1..50usize, at in any::<prop::sample::Index>(), seq in 1..60u64, prev in any::<[u8; 32]>(), rubbish in any::<bool>()
    ) {
        let mut lines = chain(len);
        let at = at.index(len);
        let mut line = Vec::new();
        Head { seq: seq - 1, hash: prev }.append(b"{\"at\":1}", &mut line);
        if rubbish {
            line.reverse();
        }
        lines.insert(at, line);
        let report = verify_with(Verifier::new(), &lines);
        prop_assert_eq!(report.findings.len(), 1, "{:?}", report.findings);
        prop_assert_eq!(&report.findings[0].fault, &Fault::Inserted { says: (!rubbish).then_some(seq) });
        prop_assert_eq!(report.findings[0].at.line, u64::try_from(at + 1).unwrap());
        prop_assert_eq!(report.head.seq, u64::try_from(len).unwrap());
    }

    #[test]
    fn a_moved_record_is_named(len in 2..90usize, from in any::<prop::sample::Index>(), to in any::<prop::sample::Index>()) {
        let mut lines = chain(len);
        let (from, to) = (from.index(len), to.index(len));
        prop_assume!(from != to);
        let line = lines.remove(from);
        lines.insert(to, line);
        let found = faults(&lines);
        prop_assert_eq!(found.len(), 1, "{:?}", &found);
        // neighbours that changed places may be told either way
        let one = u64::try_from(from + 1).unwrap();
        let other = u64::try_from(to + 1).unwrap();
        let neighbours = from.abs_diff(to) == 1;
        prop_assert!(
            found[0] == Fault::Moved { record: one } || neighbours && found[0] == Fault::Moved { record: other },
            "{:?} for {} to {}", found, one, other
        );
    }

    #[test]
    fn whatever_is_done_is_seen(
        len in 2..40usize,
        steps in proptest::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), 0..4u8), 1..6)
    ) {
        let good = chain(len);
        let mut lines = good.clone();
        for (a, b, what) in steps {
            let (a, b) = (a.index(lines.len()), b.index(lines.len()));
            match what {
                0 if lines.len() > 1 => drop(lines.remove(a)),
                1 => lines.insert(a, lines[b].clone()),
                2 => lines.swap(a, b),
                _ => lines[a] = vec![b'x'; b + 1],
            }
        }
        let report = verify_with(Verifier::new().expecting(head_of(&good)), &lines);
        prop_assert_eq!(report.is_sound(), lines == good, "{:?}", report.findings);
    }
}
