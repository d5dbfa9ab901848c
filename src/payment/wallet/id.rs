//! Names of customers and payment methods: `<cell>_<entity>_<UUID of version 7, 32 hexadecimal digits>`.

use std::time::{Duration, SystemTime};

use data_encoding::HEXLOWER;

use crate::id::{NoRandom, fill_random};

/// Which deployment made a name: 1 to 16 letters and digits at the beginning of each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cell(String);

impl Cell {
    /// Takes 1 to 16 ASCII letters and digits.
    pub fn parse(text: &str) -> Option<Self> {
        let good = (1..=16).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
        good.then(|| Self(text.to_owned()))
    }

    /// A fresh name. One that is made three microseconds later sorts later.
    ///
    /// The audit trail masks 12 digits that stand together, so no name has them: one with such a run is drawn again, at
    /// the next time that is not itself one.
    pub(super) fn fresh(&self, entity: Entity) -> Result<String, NoRandom> {
        let mut at = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
        loop {
            let mut bytes = [0; 16];
            fill_random(&mut bytes)?;
            let hex = version_7(at, bytes);
            if !has_long_run(&hex) {
                return Ok(format!("{}_{}_{hex}", self.0, entity.as_str()));
            }
            // no later than it must be, or the name would overtake those that are made after it
            if hex.get(..TIME).is_some_and(has_long_run) {
                at += STEP;
            }
        }
    }
}

impl Default for Cell {
    fn default() -> Self {
        Self("0a".to_owned())
    }
}

/// What a name is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Entity {
    Customer,
    Method,
    Session,
}

impl Entity {
    fn as_str(self) -> &'static str {
        match self {
            Self::Customer => "cus",
            Self::Method => "pm",
            Self::Session => "pms",
        }
    }
}

/// Whether a token's name is a payment method's, of whatever cell.
pub(super) fn is_method(name: &str) -> bool {
    name.split_once("_pm_").is_some_and(|(cell, hex)| {
        Cell::parse(cell).is_some() && hex.len() == 32 && hex.bytes().all(|byte| byte.is_ascii_hexdigit())
    })
}

/// RFC 9562, 5.7 and 6.2 method 3: 48 bits of milliseconds, version, 12 bits of a millisecond's parts, variant, 62 random
/// bits.
fn version_7(at: Duration, mut bytes: [u8; 16]) -> String {
    let millis = u64::try_from(at.as_millis()).unwrap_or(u64::MAX);
    let time = millis.to_be_bytes().into_iter().skip(2);
    bytes.iter_mut().zip(time).for_each(|(to, from)| *to = from);
    let parts = u64::from(at.subsec_nanos() % 1_000_000) * 4_096 / 1_000_000;
    let [.., high, low] = parts.to_be_bytes();
    bytes[6] = high | 0x70;
    bytes[7] = low;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    HEXLOWER.encode(&bytes)
}

/// Digits of a name that are its time's, the version among them.
const TIME: usize = 16;

/// Less than the 4,096th part of a millisecond that a name's time is told in, so that none is passed over.
const STEP: Duration = Duration::from_nanos(200);

fn has_long_run(hex: &str) -> bool {
    hex.split(|c: char| !c.is_ascii_digit()).any(|run| run.len() >= 12)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_cell_is_letters_and_digits() {
        assert!(Cell::parse("12345").is_some());
        for bad in ["", "a_b", "a-b", "ä", &"a".repeat(17)] {
            assert_eq!(Cell::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn names_are_in_the_order_they_were_made() {
        let cell = Cell::default();
        let first = cell.fresh(Entity::Customer).unwrap();
        std::thread::sleep(Duration::from_micros(1));
        let second = cell.fresh(Entity::Customer).unwrap();
        assert!(first.starts_with("0a_cus_") && first.len() == 39, "{first}");
        assert!(first < second);
    }

    #[test]
    fn names_that_are_drawn_again_stay_in_their_order() {
        let cell = Cell::default();
        let names = (0..3_000).map(|_| {
            std::thread::sleep(Duration::from_micros(1));
            cell.fresh(Entity::Customer).unwrap()
        });
        assert!(names.is_sorted());
    }

    #[test]
    fn payment_methods_are_known_by_their_names() {
        let fresh = |entity| Cell::parse("12345").unwrap().fresh(entity).unwrap();
        assert!(is_method(&fresh(Entity::Method)));
        for other in [fresh(Entity::Session), fresh(Entity::Customer), "x_pm_y".to_owned()] {
            assert!(!is_method(&other), "{other}");
        }
    }

    proptest! {
        #[test]
        fn it_is_a_uuid_of_version_7(at in 0..1_u64 << 48, bytes in any::<[u8; 16]>()) {
            let hex = version_7(Duration::from_millis(at), bytes);
            prop_assert_eq!(u64::from_str_radix(&hex[..12], 16).unwrap(), at);
            prop_assert_eq!(&hex[12..13], "7");
            prop_assert!("89ab".contains(&hex[16..17]));
        }

        /// Wherever the time stands, a name is found.
        #[test]
        fn a_time_without_letters_is_passed_over(digits in "[0-9]{12}") {
            let mut at = Duration::from_millis(u64::from_str_radix(&digits, 16).unwrap());
            while has_long_run(&version_7(at, [0xff; 16])) {
                at += Duration::from_millis(1);
            }
            let first = u128::from_str_radix(&digits, 16).unwrap();
            prop_assert!(at.as_millis() - first <= 10);
        }
    }
}
