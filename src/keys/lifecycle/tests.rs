use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

#[derive(Debug, Clone)]
enum Step {
    Rotate,
    Compromise(u32),
    Destroy(u32),
    Destroyed(u32),
    WasDestroyed(u32),
}

const EPOCHS: u32 = 4;

fn fresh() -> Lifecycle {
    let epochs = (1..=EPOCHS).map(|epoch| (Epoch(epoch), EpochMark::default()));
    Lifecycle::new(Epoch(1), UnixMillis(0), epochs.collect())
}

/// After a move: the first epoch stayed in the HSM before.
fn moved() -> Lifecycle {
    let epochs = (1..=EPOCHS).map(|epoch| {
        let left = (epoch == 1).then_some(UnixMillis(7));
        (
            Epoch(epoch),
            EpochMark {
                left,
                ..EpochMark::default()
            },
        )
    });
    Lifecycle::new(Epoch(2), UnixMillis(0), epochs.collect())
}

#[test]
fn an_epoch_that_was_left_does_nothing_and_nothing_is_done_to_it() {
    let mut life = moved();
    let before = life.clone();
    assert_eq!(life.state(Epoch(1)), Some(EpochState::Left));
    let left = Refused::Left(Epoch(1), UnixMillis(7));
    assert_eq!(life.opens(Epoch(1)), Err(left.clone()));
    assert_eq!(life.compromise(Epoch(1), None, UnixMillis(8)), Err(left.clone()));
    assert_eq!(life.destroy(Epoch(1), UnixMillis(8)), Err(left));
    assert_eq!(
        life.destroyed(Epoch(1), UnixMillis(8)),
        Err(Refused::NotDestroying(Epoch(1)))
    );
    assert_eq!(life, before);
    // a certificate of another history of the vault says more
    life.was_destroyed(Epoch(1), UnixMillis(9)).unwrap();
    assert_eq!(life.state(Epoch(1)), Some(EpochState::Destroyed));
    assert_eq!(life.rotate(UnixMillis(10)), Ok(Epoch(3)), "it is not gone back to");
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    // one that is not there, too
    let epoch = || 0..=EPOCHS + 1;
    let step = prop_oneof![
        3 => Just(Step::Rotate),
        1 => epoch().prop_map(Step::Compromise),
        2 => epoch().prop_map(Step::Destroy),
        2 => epoch().prop_map(Step::Destroyed),
        1 => epoch().prop_map(Step::WasDestroyed),
    ];
    vec(step, 0..40)
}

/// The steps that there are (SP 800-57 part 1, figure 3, and the certificate of another history).
fn is_a_step(from: EpochState, to: EpochState) -> bool {
    use EpochState::{Active, Compromised, Deactivated, Destroyed, Destroying, PreActive};
    from == to
        || matches!(
            (from, to),
            (PreActive, Active | Compromised | Destroyed)
                | (Active, Deactivated | Compromised | Destroyed)
                | (Deactivated, Compromised | Destroying | Destroyed)
                | (Compromised, Destroying | Destroyed)
                | (Destroying, Destroyed)
        )
}

proptest! {
    /// Whatever is asked for in whatever order: states change by steps that there are, an epoch seals only while it is
    /// active and opens until its destruction, none comes back, and what is refused changes nothing.
    #[test]
    fn the_life_of_an_epoch_has_one_direction(steps in steps()) {
        let mut life = fresh();
        let mut now = 0;
        for step in steps {
            now += 1;
            let before = life.clone();
            let at = UnixMillis(now);
            let done = match step.clone() {
                Step::Rotate => life.rotate(at).map(drop),
                Step::Compromise(epoch) => life.compromise(Epoch(epoch), Some("why".to_owned()), at),
                Step::Destroy(epoch) => life.destroy(Epoch(epoch), at),
                Step::Destroyed(epoch) => life.destroyed(Epoch(epoch), at),
                Step::WasDestroyed(epoch) => life.was_destroyed(Epoch(epoch), at),
            };
            if done.is_err() {
                prop_assert_eq!(&before, &life);
            }
            match step {
                Step::Destroy(epoch) => prop_assert_eq!(
                    done.is_ok(),
                    Epoch(epoch) != before.in_use()
                        && matches!(before.state(Epoch(epoch)), Some(EpochState::Deactivated | EpochState::Compromised))
                ),
                Step::Destroyed(epoch) => {
                    prop_assert_eq!(done.is_ok(), before.state(Epoch(epoch)) == Some(EpochState::Destroying));
                }
                Step::Rotate => prop_assert_eq!(
                    done.is_ok(),
                    before.states().iter().any(|(_, state)| *state == EpochState::PreActive)
                ),
                Step::Compromise(_) | Step::WasDestroyed(_) => {}
            }
            prop_assert!(life.in_use() >= before.in_use());
            let mut active = Vec::new();
            for ((epoch, from), (_, to)) in before.states().into_iter().zip(life.states()) {
                prop_assert!(is_a_step(from, to), "{:?}: {:?} to {:?}", epoch, from, to);
                if to == EpochState::Active {
                    active.push(epoch);
                }
                let gone = matches!(to, EpochState::Destroying | EpochState::Destroyed);
                prop_assert_eq!(life.opens(epoch).is_err(), gone);
            }
            prop_assert!(active.len() <= 1);
            prop_assert_eq!(life.active().map(|epoch| epoch.epoch()), active.first().copied());
        }
    }
}

#[test]
fn a_compromised_epoch_in_use_is_left_at_once_or_seals_nothing() {
    let mut life = fresh();
    life.compromise(Epoch(2), None, UnixMillis(1)).unwrap();
    life.compromise(Epoch(1), None, UnixMillis(2)).unwrap();
    assert_eq!(
        (life.in_use(), life.since()),
        (Epoch(3), UnixMillis(2)),
        "2 is passed over"
    );
    life.rotate(UnixMillis(3)).unwrap();
    life.compromise(Epoch(4), None, UnixMillis(4)).unwrap();
    assert_eq!((life.in_use(), life.active()), (Epoch(4), None));
    assert_eq!(life.destroy(Epoch(4), UnixMillis(5)), Err(Refused::InUse(Epoch(4))));
    assert_eq!(life.rotate(UnixMillis(5)), Err(Refused::NoneLeft));
    assert!(life.opens(Epoch(4)).is_ok());
}
