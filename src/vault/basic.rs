//! A name and a password, as HTTP Basic carries them (RFC 7617).

use data_encoding::BASE64;
use secrecy::SecretString;
use zeroize::Zeroizing;

/// A name and a password, not believed yet.
pub struct BasicLogin {
    /// What stands before the first colon.
    pub user: String,
    /// All after it.
    pub password: SecretString,
}

impl BasicLogin {
    /// Reads the value of an `Authorization` header: `Basic`, then base64 of `user:password` in UTF-8, at most 1,024
    /// characters in all. `None` for anything else: a credential that is not good, and not none.
    pub fn parse(authorization: &str) -> Option<Self> {
        if authorization.len() > MAX {
            return None;
        }
        let (scheme, encoded) = authorization.split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("basic") {
            return None;
        }
        let encoded = encoded.trim_matches(' ').as_bytes();
        // of its full size from the start: a buffer that grows leaves copies behind
        let mut raw = Zeroizing::new(vec![0; BASE64.decode_len(encoded.len()).ok()?]);
        let length = BASE64.decode_mut(encoded, &mut raw).ok()?;
        let (user, password) = std::str::from_utf8(raw.get(..length)?).ok()?.split_once(':')?;
        Some(Self {
            user: user.to_owned(),
            password: SecretString::from(password),
        })
    }
}

const MAX: usize = 1_024;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use secrecy::ExposeSecret;

    use super::*;

    fn read(value: &str) -> Option<(String, String)> {
        let login = BasicLogin::parse(value)?;
        Some((login.user, login.password.expose_secret().to_owned()))
    }

    #[test]
    fn name_and_password_are_split_at_the_first_colon() {
        let pair = |user: &str, password: &str| Some((user.to_owned(), password.to_owned()));
        // the example of RFC 7617, 2
        assert_eq!(
            read("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="),
            pair("Aladdin", "open sesame")
        );
        assert_eq!(
            read("bAsIc  QWxhZGRpbjpvcGVuIHNlc2FtZQ== "),
            pair("Aladdin", "open sesame")
        );
        assert_eq!(read("Basic Og=="), pair("", ""));
        assert_eq!(read("Basic YTpiOmM="), pair("a", "b:c"));
    }

    #[test]
    fn anything_else_is_no_login() {
        let long = format!("Basic {}", "YTpi".repeat(300));
        for value in [
            "",
            "Basic",
            "Basic ",
            "Basic YWI=",
            "Bearer YTpi",
            "Basic YTpi=",
            "Basic YTp iYg==",
            "Basic YTpiOmN=",
            "Basic YTpiOmM",
            "Basic _w==",
            "Basic Ov8=",
            long.as_str(),
        ] {
            assert!(read(value).is_none(), "{value:?}");
        }
    }

    proptest! {
        #[test]
        fn what_was_encoded_is_read_back(user in "[^:]{0,40}", password in "\\PC{0,60}") {
            let value = format!("Basic {}", BASE64.encode(format!("{user}:{password}").as_bytes()));
            prop_assert_eq!(read(&value), Some((user, password)));
        }

        #[test]
        fn any_text_is_answered(value in "(Basic )?\\PC{0,80}") {
            let _ = BasicLogin::parse(&value);
        }
    }
}
