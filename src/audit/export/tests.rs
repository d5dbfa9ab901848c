use super::super::Event;
use super::super::head::tests::Signer;
use super::*;

/// Records of consecutive days, `a_day` each, with a signed head at the end of each.
fn trail(days: u64, a_day: u64) -> Vec<Vec<u8>> {
    let signer = Signer::new(1);
    let (mut head, mut lines) = (Head::START, Vec::new());
    for day in 0..days {
        for n in 0..a_day {
            let mut event = Event::new("tokenize", "ok");
            event.at = UnixMillis(day * DAY_MS + n);
            let mut line = Vec::new();
            head.append(&event.encode(), &mut line);
            lines.push(line);
        }
        let mut line = Vec::new();
        let signed = signer.sign(head, UnixMillis(day * DAY_MS + a_day));
        head.append(&signed.event().encode(), &mut line);
        lines.push(line);
    }
    lines
}

fn export(dir: &Path, lines: &[Vec<u8>]) -> Result<Exported, ExportFault> {
    let mut export = Export::open(dir, 64 << 20)?;
    let from = usize::try_from(export.from()).unwrap() - 1;
    for line in lines.iter().skip(from) {
        export.line(line)?;
    }
    export.finish()
}

fn verified(dir: &Path) -> super::super::Report {
    let signed = exported_head(dir).unwrap().unwrap();
    let mut verifier = Verifier::new()
        .pinned(Signer::new(1).fingerprint())
        .expecting(signed.head);
    read_segments(&segment_files(dir).unwrap(), &mut verifier).unwrap();
    verifier.finish()
}

#[test]
fn a_day_is_a_file_and_the_chain_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let lines = trail(4, 3);
    let done = export(&out, &lines[..6]).unwrap();
    assert_eq!((done.written, done.signed_through), (6, Some(3)));
    let done = export(&out, &lines).unwrap();
    assert_eq!((done.written, done.head.seq, done.signed_through), (10, 16, Some(15)));
    assert_eq!(export(&out, &lines).unwrap().written, 0);
    let names: Vec<String> = segment_files(&out)
        .unwrap()
        .iter()
        .map(|path| {
            path.file_stem()
                .unwrap()
                .to_string_lossy()
                .trim_start_matches('0')
                .to_owned()
        })
        .collect();
    assert_eq!(names, ["1", "5", "9", "13"]);
    let report = verified(&out);
    assert!(report.is_authentic(), "{:?}", report.findings);
    assert_eq!((report.lines, report.signed_heads, report.unsigned), (16, 4, 0));
}

#[test]
fn a_size_is_a_file_too() {
    let dir = tempfile::tempdir().unwrap();
    let mut export = Export::open(dir.path(), 500).unwrap();
    for line in trail(1, 20) {
        export.line(&line).unwrap();
    }
    export.finish().unwrap();
    assert!(segment_files(dir.path()).unwrap().len() > 3);
    assert!(verified(dir.path()).is_authentic());
}

#[test]
fn a_cut_tail_shows_against_the_head_beside_it() {
    let dir = tempfile::tempdir().unwrap();
    export(dir.path(), &trail(2, 3)).unwrap();
    fs::remove_file(segment_files(dir.path()).unwrap().pop().unwrap()).unwrap();
    let report = verified(dir.path());
    assert_eq!(report.findings[0].fault, super::super::Fault::CutOff { from: 5, to: 7 });
    assert!(matches!(export(dir.path(), &trail(2, 3)), Err(ExportFault::Damaged(_))));
}

#[test]
fn only_the_same_trail_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let lines = trail(1, 3);
    export(dir.path(), &lines).unwrap();
    let other = trail(1, 5);
    assert!(matches!(export(dir.path(), &other), Err(ExportFault::NotContinued(4))));
    // the trail is shorter than the export
    assert!(matches!(
        export(dir.path(), &lines[..3]),
        Err(ExportFault::NotContinued(4))
    ));
    let elsewhere = tempfile::tempdir().unwrap();
    fs::write(elsewhere.path().join("notes"), "x").unwrap();
    assert!(matches!(
        export(elsewhere.path(), &lines),
        Err(ExportFault::NotAnExport(_))
    ));
}

#[test]
fn what_a_crash_left_unfinished_is_taken_off() {
    let dir = tempfile::tempdir().unwrap();
    let lines = trail(1, 3);
    export(dir.path(), &lines[..2]).unwrap();
    let file = segment_files(dir.path()).unwrap().remove(0);
    let mut text = fs::read(&file).unwrap();
    text.extend_from_slice(&lines[2][..20]);
    fs::write(&file, text).unwrap();
    assert_eq!(export(dir.path(), &lines).unwrap().written, 2);
    assert!(verified(dir.path()).is_authentic());
}
