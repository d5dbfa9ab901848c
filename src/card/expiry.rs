//! Expiry dates.

use serde::{Deserialize, Serialize};

/// Month and year of expiry; a card is good through the last day of that month.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "Unchecked", into = "Unchecked")]
pub struct Expiry {
    // first, so that the derived order is the order in time
    year: u16,
    month: u8,
}

impl Expiry {
    /// `month` 1 to 12; `year` 2000 to 2099, or 0 to 99 counted from 2000.
    ///
    /// # Errors
    /// [`BadExpiry`].
    pub fn new(month: u8, year: u16) -> Result<Self, BadExpiry> {
        if !(1..=12).contains(&month) {
            return Err(BadExpiry::Month);
        }
        let year = match year {
            0..=99 => 2000 + year,
            2000..=2099 => year,
            _ => return Err(BadExpiry::Year),
        };
        Ok(Self { year, month })
    }

    /// Parses a month of one or two digits and a year of two or four.
    ///
    /// # Errors
    /// [`BadExpiry`].
    pub fn parse(month: &str, year: &str) -> Result<Self, BadExpiry> {
        let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
        if !(1..=2).contains(&month.len()) || !digits(month) {
            return Err(BadExpiry::Month);
        }
        if !matches!(year.len(), 2 | 4) || !digits(year) {
            return Err(BadExpiry::Year);
        }
        let year_number: u16 = year.parse().map_err(|_| BadExpiry::Year)?;
        // `0027` is no way to write a year
        if year.len() == 4 && year_number < 100 {
            return Err(BadExpiry::Year);
        }
        Self::new(month.parse().map_err(|_| BadExpiry::Month)?, year_number)
    }

    /// 1 to 12.
    pub fn month(self) -> u8 {
        self.month
    }

    /// 2000 to 2099.
    pub fn year(self) -> u16 {
        self.year
    }

    /// The last day of the month, 28 to 31: the last day on which the card is good.
    pub fn last_day(self) -> u8 {
        match self.month {
            2 if self.year.is_multiple_of(4) => 29,
            2 => 28,
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        }
    }

    /// Whether the card is past its last day at `unix_millis` (milliseconds since 1970 in UTC). The day ends at
    /// midnight UTC.
    pub fn expired_at(self, unix_millis: u64) -> bool {
        const DAYS_1970_TO_2000: u32 = 10_957;
        let years = u32::from(self.year - 2000);
        let leap_days = years.div_ceil(4);
        let whole_months: u32 = (1..=self.month)
            .map(|month| u32::from(Self { month, ..self }.last_day()))
            .sum();
        let days = DAYS_1970_TO_2000 + 365 * years + leap_days + whole_months;
        unix_millis >= u64::from(days) * 86_400_000
    }
}

/// Why a month and a year are no expiry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadExpiry {
    /// The month.
    #[error("month is not 1 to 12")]
    Month,
    /// The year.
    #[error("year is not 2000 to 2099, or 00 to 99")]
    Year,
}

/// As it is written; read back only through [`Expiry::new`].
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Unchecked {
    year: u16,
    month: u8,
}

impl TryFrom<Unchecked> for Expiry {
    type Error = BadExpiry;
    fn try_from(read: Unchecked) -> Result<Self, BadExpiry> {
        Self::new(read.month, read.year)
    }
}

impl From<Expiry> for Unchecked {
    fn from(expiry: Expiry) -> Self {
        Self {
            year: expiry.year,
            month: expiry.month,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn texts_are_parsed_or_refused_by_name() {
        let may_2027 = Expiry::new(5, 2027);
        assert_eq!(Expiry::parse("5", "27"), may_2027);
        assert_eq!(Expiry::parse("05", "2027"), may_2027);
        for month in ["", "0", "00", "13", "005", "-1", "+1", " 5", "٥"] {
            assert_eq!(Expiry::parse(month, "27"), Err(BadExpiry::Month), "{month}");
        }
        for year in ["", "7", "027", "0027", "1999", "2100", "+27", "-227", "20 7"] {
            assert_eq!(Expiry::parse("05", year), Err(BadExpiry::Year), "{year}");
        }
    }

    #[test]
    fn an_invalid_one_is_not_read_back() {
        let json = r#"{"year":2027,"month":5}"#;
        let expiry: Expiry = serde_json::from_str(json).unwrap();
        assert_eq!((expiry.month(), expiry.year()), (5, 2027));
        assert_eq!(serde_json::to_string(&expiry).unwrap(), json);
        for json in [
            r#"{"year":2027,"month":13}"#,
            r#"{"year":2100,"month":5}"#,
            r#"{"year":2027}"#,
            r#"{"year":2027,"month":5,"day":1}"#,
        ] {
            assert!(serde_json::from_str::<Expiry>(json).is_err(), "{json}");
        }
        assert!(postcard::from_bytes::<Expiry>(&postcard::to_stdvec(&(2027u16, 0u8)).unwrap()).is_err());
    }

    #[test]
    fn a_card_is_good_through_its_last_day() {
        let february = Expiry::new(2, 2028).unwrap();
        assert_eq!(february.last_day(), 29);
        assert_eq!(Expiry::new(2, 2026).unwrap().last_day(), 28);
        // 2028-03-01T00:00:00Z
        assert!(!february.expired_at(1_835_481_599_999));
        assert!(february.expired_at(1_835_481_600_000));
    }

    proptest! {
        #[test]
        fn it_agrees_with_the_calendar(month in 1u8..=12, year in 2000u16..=2099) {
            let expiry = Expiry::new(month, year).unwrap();
            let last = jiff::civil::date(year.try_into().unwrap(), month.try_into().unwrap(), 1).last_of_month();
            prop_assert_eq!(i16::from(expiry.last_day()), i16::from(last.day()));
            let end = last.tomorrow().unwrap().to_zoned(jiff::tz::TimeZone::UTC).unwrap().timestamp().as_millisecond();
            let end = u64::try_from(end).unwrap();
            prop_assert!(!expiry.expired_at(end - 1));
            prop_assert!(expiry.expired_at(end));
        }

        #[test]
        fn the_order_is_the_order_in_time(a in (1u8..=12, 0u16..100), b in (1u8..=12, 2000u16..2100)) {
            let (earlier, later) = (Expiry::new(a.0, a.1).unwrap(), Expiry::new(b.0, b.1).unwrap());
            prop_assert_eq!(earlier < later, (2000 + a.1, a.0) < (b.1, b.0));
        }
    }
}
