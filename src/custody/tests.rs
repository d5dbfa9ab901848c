use std::time::Duration;

use proptest::prelude::*;
use serde_json::Map;

use super::Error;
use super::ceremony::{Act, Ceremony, Standing};
use super::control::Guarded;
use crate::id::{CeremonyId, CredentialId, OperatorName, UnixMillis};

const WINDOW: u64 = 60_000;

fn by(who: u32, at: u64) -> Act {
    Act {
        operator: OperatorName::parse(&format!("operator-{who}")).unwrap(),
        uid: 1_000 + who,
        credential: CredentialId::parse(&format!("credential{who}")).unwrap(),
        at: UnixMillis(at),
    }
}

fn opened() -> Ceremony {
    Ceremony::open(
        CeremonyId::random().unwrap(),
        Guarded::KeyRotate,
        Map::new(),
        by(0, 1_000),
        Duration::from_millis(WINDOW),
    )
}

fn standing(ceremony: &Ceremony, at: u64) -> Standing {
    ceremony.standing(UnixMillis(at), UnixMillis(0))
}

#[test]
fn two_persons_do_it_once() {
    let approved = opened().approve(by(1, 2_000)).unwrap();
    let acting = approved.act(UnixMillis(3_000)).unwrap();
    assert!(matches!(
        acting.act(UnixMillis(3_001)),
        Err(Error::Over(_, Standing::Acting))
    ));
    assert!(
        acting.cancel(by(1, 3_001)).is_err(),
        "what is being done is not taken back"
    );
    let done = acting.conclude("ok", UnixMillis(4_000)).unwrap();
    assert_eq!(standing(&done, 1 << 50), Standing::Done);
    assert!(done.act(UnixMillis(4_001)).is_err());
    let says = done.says().unwrap();
    assert_eq!(says["opened"]["operator"], "operator-0");
    assert_eq!(says["approved"]["uid"], 1_001);
    assert_eq!(says["outcome"], "ok");
}

#[test]
fn one_person_is_not_two() {
    assert_eq!(opened().approve(by(0, 2_000)), Err(Error::SamePerson));
    let other_name = Act {
        uid: 1_000,
        ..by(1, 2_000)
    };
    assert_eq!(opened().approve(other_name), Err(Error::SamePerson));
    let other_user = Act {
        uid: 1_001,
        ..by(0, 2_000)
    };
    assert_eq!(opened().approve(other_user), Err(Error::SamePerson));
}

#[test]
fn the_window_ends_for_all() {
    let end = 1_000 + WINDOW;
    let is_expired = |refused: Result<Ceremony, Error>| matches!(refused, Err(Error::Over(_, Standing::Expired)));
    let open = opened();
    assert!(is_expired(open.approve(by(1, end))));
    let approved = open.approve(by(1, end - 1)).unwrap();
    assert!(is_expired(approved.act(UnixMillis(end))));
    let acting = approved.act(UnixMillis(end - 1)).unwrap();
    assert_eq!(
        standing(&acting, end + 1),
        Standing::Acting,
        "what was begun in time may take longer"
    );
    assert_eq!(
        acting.standing(UnixMillis(end), UnixMillis(end)),
        Standing::CutShort,
        "the daemon was started since"
    );
}

#[test]
fn a_row_reads_back() {
    let stages = [
        opened(),
        opened().approve(by(1, 2_000)).unwrap(),
        opened().cancel(by(2, 2_000)).unwrap(),
        opened().approve(by(1, 2_000)).unwrap().act(UnixMillis(3_000)).unwrap(),
    ];
    for ceremony in stages {
        let text = serde_json::to_string(&ceremony).unwrap();
        assert_eq!(serde_json::from_str::<Ceremony>(&text).unwrap(), ceremony);
    }
    let text = serde_json::to_string(&opened())
        .unwrap()
        .replace("key-rotate", "key-invent");
    assert!(serde_json::from_str::<Ceremony>(&text).is_err());
}

proptest! {
    /// Whatever three operators do and when: what it is for is done at most once, after another person's approval, in time.
    #[test]
    fn nothing_happens_without_two(acts in proptest::collection::vec((0_u8..4, 0_u32..3, 0_u64..30_000), 0..12)) {
        let mut ceremony = opened();
        let (mut now, mut done, mut agreed, mut taken_back) = (1_000, 0, false, false);
        for (what, who, later) in acts {
            now += later;
            let next = match what {
                0 => ceremony.approve(by(who, now)),
                1 => ceremony.cancel(by(who, now)),
                2 => ceremony.act(UnixMillis(now)),
                _ => ceremony.conclude("ok", UnixMillis(now)),
            };
            let Ok(next) = next else { continue };
            match what {
                0 => {
                    prop_assert!(who != 0 && !agreed && !taken_back && now < 1_000 + WINDOW);
                    agreed = true;
                }
                1 => {
                    prop_assert!(done == 0);
                    taken_back = true;
                }
                2 => {
                    prop_assert!(agreed && !taken_back && now < 1_000 + WINDOW);
                    done += 1;
                }
                _ => prop_assert_eq!(done, 1),
            }
            ceremony = next;
        }
        prop_assert!(done <= 1);
    }
}
