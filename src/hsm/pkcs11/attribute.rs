//! Object templates with owned values.

use cryptoki_sys as sys;
use cryptoki_sys::{CK_ATTRIBUTE_TYPE, CK_BBOOL, CK_MECHANISM_TYPE, CK_ULONG};

/// An attribute's value, owned until the call is over.
#[derive(Clone)]
pub(crate) enum Value {
    Bool(CK_BBOOL),
    Bytes(Vec<u8>),
    Mechanisms(Vec<CK_MECHANISM_TYPE>),
    Nested(Template),
    Ulong(CK_ULONG),
}

/// Attributes in the order in which the module reads them. `CKA_MODIFIABLE` always stands last: SoftHSM refuses what
/// comes after `CKA_MODIFIABLE=0`.
#[derive(Clone, Default)]
pub(crate) struct Template(Vec<(CK_ATTRIBUTE_TYPE, Value)>);

impl Template {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// A secret key of this type.
    pub(crate) fn secret_key(kind: CK_ULONG) -> Self {
        Self::new()
            .ulong(sys::CKA_CLASS, sys::CKO_SECRET_KEY)
            .ulong(sys::CKA_KEY_TYPE, kind)
    }

    pub(crate) fn yes(self, kind: CK_ATTRIBUTE_TYPE) -> Self {
        self.set(kind, Value::Bool(sys::CK_TRUE))
    }

    pub(crate) fn no(self, kind: CK_ATTRIBUTE_TYPE) -> Self {
        self.set(kind, Value::Bool(sys::CK_FALSE))
    }

    pub(crate) fn flag(self, kind: CK_ATTRIBUTE_TYPE, on: bool) -> Self {
        match on {
            true => self.yes(kind),
            false => self.no(kind),
        }
    }

    pub(crate) fn ulong(self, kind: CK_ATTRIBUTE_TYPE, value: CK_ULONG) -> Self {
        self.set(kind, Value::Ulong(value))
    }

    pub(crate) fn bytes(self, kind: CK_ATTRIBUTE_TYPE, value: &[u8]) -> Self {
        self.set(kind, Value::Bytes(value.to_vec()))
    }

    /// The only mechanisms that the key may be used with.
    pub(crate) fn only_for(self, mechanisms: &[CK_MECHANISM_TYPE]) -> Self {
        self.set(sys::CKA_ALLOWED_MECHANISMS, Value::Mechanisms(mechanisms.to_vec()))
    }

    /// What every key unwrapped by this one must be.
    pub(crate) fn unwraps_only(self, template: Self) -> Self {
        self.set(sys::CKA_UNWRAP_TEMPLATE, Value::Nested(template))
    }

    pub(crate) fn without(mut self, kind: CK_ATTRIBUTE_TYPE) -> Self {
        self.0.retain(|(k, _)| *k != kind);
        self
    }

    /// The attribute a second time, with another value: some modules look at the first, some at the last.
    #[cfg(test)]
    pub(crate) fn again(mut self, kind: CK_ATTRIBUTE_TYPE, value: bool) -> Self {
        self.0.insert(
            self.0.len().saturating_sub(1),
            (kind, Value::Bool(CK_BBOOL::from(value))),
        );
        self
    }

    pub(crate) fn attributes(&self) -> &[(CK_ATTRIBUTE_TYPE, Value)] {
        &self.0
    }

    fn set(mut self, kind: CK_ATTRIBUTE_TYPE, value: Value) -> Self {
        if let Some((_, old)) = self.0.iter_mut().find(|(k, _)| *k == kind) {
            *old = value;
            return self;
        }
        self.0.push((kind, value));
        self.0.sort_by_key(|(k, _)| *k == sys::CKA_MODIFIABLE);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(template: &Template) -> Vec<CK_ATTRIBUTE_TYPE> {
        template.attributes().iter().map(|(kind, _)| *kind).collect()
    }

    #[test]
    fn modifiable_stays_last_and_nothing_is_said_twice() {
        let template = Template::new()
            .no(sys::CKA_MODIFIABLE)
            .yes(sys::CKA_TOKEN)
            .yes(sys::CKA_PRIVATE);
        assert_eq!(
            kinds(&template),
            [sys::CKA_TOKEN, sys::CKA_PRIVATE, sys::CKA_MODIFIABLE]
        );
        let changed = template.no(sys::CKA_TOKEN).without(sys::CKA_PRIVATE);
        assert_eq!(kinds(&changed), [sys::CKA_TOKEN, sys::CKA_MODIFIABLE]);
        assert!(matches!(changed.attributes()[0].1, Value::Bool(sys::CK_FALSE)));
    }
}
