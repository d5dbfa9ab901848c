//! Reading a body member by member, so that one answer says all that is wrong with it. Unknown members are left alone: the
//! vendor's schemas close no object.

use zeroize::Zeroizing;

use super::error::not_json;
use super::refusal::{Fault, Refusal};
use crate::api::json::{self, Tree};

/// A body being read.
pub(super) struct Reading {
    faults: Vec<Fault>,
}

/// A value in a body, and where it stands.
#[derive(Clone)]
pub(super) struct Value<'a> {
    tree: &'a Tree,
    path: String,
}

/// An object in a body.
#[derive(Clone)]
pub(super) struct Object<'a> {
    members: &'a [(Zeroizing<String>, Tree)],
    path: String,
}

/// What a text must be.
pub(super) struct Text {
    /// What it is called in messages.
    pub(super) label: &'static str,
    /// Characters, at least.
    pub(super) min: usize,
    /// Characters, at most.
    pub(super) max: usize,
    pub(super) allowed: fn(char) -> bool,
}

impl Text {
    /// Whether a text is one.
    pub(super) fn fits(&self, text: &str) -> bool {
        (self.min..=self.max).contains(&text.chars().count()) && text.chars().all(self.allowed)
    }
}

/// Reads JSON.
///
/// # Errors
/// An empty body, or one that is not JSON.
pub(super) fn parse(text: &[u8]) -> Result<Tree, Refusal> {
    if text.iter().all(u8::is_ascii_whitespace) {
        return Err(Refusal::new(
            axum::http::StatusCode::BAD_REQUEST,
            "bodyIsEmpty",
            "The body within the request is empty",
        ));
    }
    json::read(text).map_err(|_| not_json())
}

impl Reading {
    pub(super) fn new() -> Self {
        Self { faults: Vec::new() }
    }

    /// # Errors
    /// All that was found wrong.
    pub(super) fn finish(self) -> Result<(), Refusal> {
        match self.faults.is_empty() {
            true => Ok(()),
            false => Err(Refusal::schema(self.faults)),
        }
    }

    pub(super) fn fault(&mut self, name: &'static str, path: &str, message: impl Into<String>) {
        self.faults.push(Fault {
            error_name: name,
            message: message.into(),
            json_path: path.to_owned(),
        });
    }

    /// The body itself as an object.
    pub(super) fn root<'a>(&mut self, tree: &'a Tree) -> Option<Object<'a>> {
        let whole = self.whole(tree)?;
        self.object(whole)
    }

    /// The body itself.
    pub(super) fn whole<'a>(&mut self, tree: &'a Tree) -> Option<Value<'a>> {
        self.given(tree, "$".to_owned())
    }

    pub(super) fn object<'a>(&mut self, value: Value<'a>) -> Option<Object<'a>> {
        match value.tree {
            Tree::Members(members) => Some(Object {
                members,
                path: value.path,
            }),
            _ => {
                self.fault(
                    "fieldMustBeObject",
                    &value.path,
                    "The identified field must be an object",
                );
                None
            }
        }
    }

    /// A member that must be there.
    pub(super) fn required<'a>(&mut self, object: &Object<'a>, name: &str, label: &str) -> Option<Value<'a>> {
        if object.members.iter().all(|(member, _)| member.as_str() != name) {
            let path = object.member(name);
            self.fault("fieldIsMissing", &path, format!("{label} must be supplied"));
            return None;
        }
        self.optional(object, name)
    }

    /// A member that may be there.
    pub(super) fn optional<'a>(&mut self, object: &Object<'a>, name: &str) -> Option<Value<'a>> {
        let mut found = object.members.iter().filter(|(member, _)| member.as_str() == name);
        let (_, tree) = found.next()?;
        let path = object.member(name);
        if found.next().is_some() {
            self.fault("fieldIsNotAllowed", &path, "The identified field is given twice");
            return None;
        }
        self.given(tree, path)
    }

    fn given<'a>(&mut self, tree: &'a Tree, path: String) -> Option<Value<'a>> {
        if matches!(tree, Tree::Null) {
            self.fault("fieldIsNull", &path, "The identified field is null");
            return None;
        }
        Some(Value { tree, path })
    }

    /// A text within its rule.
    pub(super) fn text<'a>(&mut self, value: Option<Value<'a>>, rule: &Text) -> Option<&'a str> {
        let Value { tree, path } = value?;
        let Tree::Text(text) = tree else {
            self.fault("fieldMustBeString", &path, "The identified field must be a string");
            return None;
        };
        let Text { label, min, max, .. } = rule;
        let length = text.chars().count();
        let bounds = format!("must be between {min} & {max} characters");
        if length < *min {
            self.fault("stringIsTooShort", &path, format!("{label} too short - {bounds}"));
            return None;
        }
        if length > *max {
            self.fault("stringIsTooLong", &path, format!("{label} too long - {bounds}"));
            return None;
        }
        if !text.chars().all(rule.allowed) {
            let message = format!("{} has a character that is not allowed", label.trim_end_matches(" is"));
            self.fault("stringFailedRegexCheck", &path, message);
            return None;
        }
        Some(text)
    }

    /// A whole number within bounds.
    pub(super) fn integer(&mut self, value: Option<Value<'_>>, label: &str, min: u64, max: u64) -> Option<u64> {
        let Value { tree, path } = value?;
        let (number, side) = match tree {
            Tree::Unsigned(number) if *number < min => (None, "small"),
            Tree::Unsigned(number) if *number > max => (None, "large"),
            Tree::Unsigned(number) => (Some(*number), ""),
            Tree::Signed(_) => (None, "small"),
            _ => {
                self.fault("fieldMustBeInteger", &path, "The identified field must be an integer");
                return None;
            }
        };
        if number.is_none() {
            let message = format!("{label} too {side} - must be between {min} & {max}");
            self.fault("fieldHasInvalidValue", &path, message);
        }
        number
    }
}

impl Object<'_> {
    /// Where a member of it stands.
    pub(super) fn member(&self, name: &str) -> String {
        format!("{}.{name}", self.path)
    }
}
