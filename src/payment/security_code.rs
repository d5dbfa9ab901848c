//! The card security code: used once, never stored (PCI DSS 3.3.1.2).

use zeroize::Zeroizing;

/// A security code of 3 or 4 digits. It has no serializer, no `Debug`, no `Clone`, and is wiped when dropped.
pub struct SecurityCode(Zeroizing<String>);

impl SecurityCode {
    /// Takes 3 or 4 digits.
    pub fn parse(text: &str) -> Option<Self> {
        let good = matches!(text.len(), 3 | 4) && text.bytes().all(|byte| byte.is_ascii_digit());
        good.then(|| Self(Zeroizing::new(text.to_owned())))
    }

    /// The digits, for the acquirer.
    pub fn expose(&self) -> &str {
        &self.0
    }
}
