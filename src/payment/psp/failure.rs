//! Why a provider made no token, classed by whose fault it is, and what may be passed on of its words.

/// Why a provider made no token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The card's: the provider or the issuer refuses it.
    #[error("the provider refuses the card")]
    Card(Refusal),
    /// The request's: the provider does not take something that was sent beside the card.
    #[error("the provider refuses the request")]
    Request(Refusal),
    /// The operator's: the provider does not know the account's key, or does not let the account do this.
    #[error("the provider refuses the merchant's account")]
    Account,
    /// The provider's: too many requests, or the same one is under way there. This one made nothing.
    #[error("the provider takes no more requests now")]
    Busy {
        /// Wait this long, where it says so.
        retry_after_s: Option<u64>,
    },
    /// The provider's: it has a failure of its own.
    #[error("the provider has a failure")]
    Unavailable,
    /// Nobody's in particular: no connection, none that can be trusted, or no answer in time. It is not known whether a token
    /// was made.
    #[error("the provider cannot be reached")]
    Unreachable,
    /// The provider's: it answered something else than its interface promises.
    #[error("the provider's answer is not understood")]
    Answer,
}

impl Failure {
    /// Its word in the audit trail and the log.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Card(_) => "refused",
            Self::Request(_) => "rejected",
            Self::Account => "account-refused",
            Self::Busy { .. } => "busy",
            Self::Unavailable => "unavailable",
            Self::Unreachable => "unreachable",
            Self::Answer => "not-understood",
        }
    }

    /// What the provider says, where that may be passed on.
    pub fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Card(refusal) | Self::Request(refusal) => Some(refusal),
            Self::Account | Self::Busy { .. } | Self::Unavailable | Self::Unreachable | Self::Answer => None,
        }
    }
}

/// A provider's words about a refusal. Providers repeat in them what they were sent, so no text with more than two digits
/// is taken over: neither a card number nor a security code is ever in them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Refusal {
    code: Option<String>,
    decline_code: Option<String>,
    message: Option<String>,
}

impl Refusal {
    /// Takes over what can be.
    pub fn new(code: Option<&str>, decline_code: Option<&str>, message: Option<&str>) -> Self {
        Self {
            code: code.and_then(clean_code),
            decline_code: decline_code.and_then(clean_code),
            message: message.and_then(clean_message),
        }
    }

    /// The provider's code, e.g. `incorrect_cvc`: small letters, digits and `_`.
    pub fn code(&self) -> Option<&str> {
        self.code.as_deref()
    }

    /// The issuer's code, where the provider tells it.
    pub fn decline_code(&self) -> Option<&str> {
        self.decline_code.as_deref()
    }

    /// A sentence for people, at most [`Self::MESSAGE_MAX`] characters. It may repeat a name or an e-mail address, so it goes
    /// to who sent those and not into a log.
    pub fn message(&self) -> Option<&str> {
        self.message.as_deref()
    }

    /// Characters of a message.
    pub const MESSAGE_MAX: usize = 300;
}

fn clean_code(text: &str) -> Option<String> {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    let good = (1..=64).contains(&text.len()) && text.bytes().all(allowed) && few_digits(text);
    good.then(|| text.to_owned())
}

fn clean_message(text: &str) -> Option<String> {
    let good = !text.is_empty() && !text.chars().any(char::is_control) && few_digits(text);
    good.then(|| text.chars().take(Refusal::MESSAGE_MAX).collect())
}

fn few_digits(text: &str) -> bool {
    text.chars().filter(|c| c.is_numeric()).count() <= 2
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_providers_words_are_taken_over_unless_they_hold_digits() {
        let refusal = Refusal::new(
            Some("card_declined"),
            Some("generic_decline"),
            Some("Your card was declined."),
        );
        assert_eq!(refusal.code(), Some("card_declined"));
        assert_eq!(refusal.decline_code(), Some("generic_decline"));
        assert_eq!(refusal.message(), Some("Your card was declined."));
        for message in [
            "4111111111111111 is no card",
            "the code 123 is wrong",
            "4 1 1 1",
            "٤١١١١١١١١١١١١١١١",
            "a\nb",
            "",
        ] {
            let refusal = Refusal::new(Some(message), Some(message), Some(message));
            assert_eq!(refusal, Refusal::default(), "{message:?}");
        }
        let long = Refusal::new(Some(&"a".repeat(65)), None, Some(&"ü".repeat(400)));
        assert_eq!(long.code(), None);
        assert_eq!(long.message().unwrap().chars().count(), Refusal::MESSAGE_MAX);
    }

    proptest! {
        #[test]
        fn no_three_digits_come_through(code in "[a-z0-9_]{0,80}", message in "\\PC{0,400}|[0-9a-z .]{0,40}") {
            let refusal = Refusal::new(Some(&code), Some(&code), Some(&message));
            let all = [refusal.code(), refusal.decline_code(), refusal.message()];
            for text in all.into_iter().flatten() {
                prop_assert!(text.chars().filter(|c| c.is_numeric()).count() <= 2, "{}", text);
            }
        }
    }
}
