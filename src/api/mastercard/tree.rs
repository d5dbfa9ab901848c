//! An answer: fields by their paths, written as nested JSON or as name-value pairs. Groups are in the order of their names.

use std::borrow::Cow;
use std::collections::BTreeMap;

/// An answer's fields, in the order of their names.
#[derive(Default)]
pub(super) struct Tree(Vec<(Cow<'static, str>, Node)>);

enum Node {
    Text(Cow<'static, str>),
    /// As it stands in JSON: digits and at most one point.
    Number(Cow<'static, str>),
    Group(Tree),
    /// By index. Gaps close in JSON.
    List(BTreeMap<u16, Self>),
}

impl Tree {
    pub(super) fn new() -> Self {
        Self::default()
    }

    /// Sets a text; `path` is dotted.
    pub(super) fn text(&mut self, path: &'static str, value: impl Into<Cow<'static, str>>) {
        self.set(path, Cow::Borrowed, Node::Text(value.into()));
    }

    /// Sets a text that may be absent.
    pub(super) fn maybe(&mut self, path: &'static str, value: Option<impl Into<Cow<'static, str>>>) {
        if let Some(value) = value {
            self.text(path, value);
        }
    }

    /// Sets a text under a path that came with the request; there, `[3]` after a name stands for one of a list.
    pub(super) fn echo(&mut self, path: &str, value: &str) {
        self.set(
            path,
            |name| Cow::Owned(name.to_owned()),
            Node::Text(value.to_owned().into()),
        );
    }

    /// Sets a number, written as the caller of this wrote it: digits and at most one point, nothing else.
    pub(super) fn number(&mut self, path: &'static str, digits: String) {
        self.set(path, Cow::Borrowed, Node::Number(digits.into()));
    }

    /// Sets a group.
    pub(super) fn group(&mut self, path: &'static str, group: Self) {
        self.set(path, Cow::Borrowed, Node::Group(group));
    }

    /// Sets a list of groups.
    pub(super) fn list(&mut self, path: &'static str, items: Vec<Self>) {
        let items = (0..).zip(items.into_iter().map(Node::Group)).collect();
        self.set(path, Cow::Borrowed, Node::List(items));
    }

    /// Nested JSON.
    pub(super) fn to_json(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(512);
        self.write_json(&mut out);
        out
    }

    /// `a.b=c&d[0].e=f`, percent-encoded.
    pub(super) fn to_form(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(512);
        self.write_form(&mut String::new(), &mut out);
        out
    }

    /// `keep` makes a name to keep of a part of the path.
    fn set<'p>(&mut self, path: &'p str, keep: impl Fn(&'p str) -> Cow<'static, str>, node: Node) {
        // names are short: a plain walk beats a search that sets out
        let dot = path.bytes().position(|byte| byte == b'.');
        let halves = dot.and_then(|dot| Some((path.get(..dot)?, path.get(dot + 1..)?)));
        let (name, rest) = halves.map_or((path, None), |(name, rest)| (name, Some(rest)));
        let (name, index) = match name.ends_with(']') {
            false => (name, None),
            true => name.split_once('[').map_or((name, None), |(name, index)| {
                (name, index.trim_end_matches(']').parse().ok())
            }),
        };
        let found = self.0.binary_search_by(|(known, _)| known.as_ref().cmp(name));
        let at = found.unwrap_or_else(|at| at);
        if found.is_err() {
            if self.0.is_empty() {
                self.0.reserve(ROOM);
            }
            self.0.insert(at, (keep(name), Node::Group(Self::new())));
        }
        let Some((_, found)) = self.0.get_mut(at) else { return };
        let mut place = found;
        if let Some(index) = index {
            if !matches!(place, Node::List(_)) {
                *place = Node::List(BTreeMap::new());
            }
            let Node::List(items) = place else { return };
            place = items.entry(index).or_insert_with(|| Node::Group(Self::new()));
        }
        match (rest, place) {
            (None, place) => *place = node,
            (Some(rest), Node::Group(tree)) => tree.set(rest, keep, node),
            (Some(rest), place) => {
                let mut tree = Self::new();
                tree.set(rest, keep, node);
                *place = Node::Group(tree);
            }
        }
    }

    fn write_json(&self, out: &mut Vec<u8>) {
        out.push(b'{');
        for (at, (name, node)) in self.0.iter().enumerate() {
            if at > 0 {
                out.push(b',');
            }
            write_string(name, out);
            out.push(b':');
            node.write_json(out);
        }
        out.push(b'}');
    }

    /// `path` is what stands before the names of this group.
    fn write_form(&self, path: &mut String, out: &mut Vec<u8>) {
        let length = path.len();
        for (name, node) in &self.0 {
            path.push_str(name);
            node.write_form(path, out);
            path.truncate(length);
        }
    }
}

impl Node {
    fn write_json(&self, out: &mut Vec<u8>) {
        match self {
            Self::Text(text) => write_string(text, out),
            Self::Number(digits) => out.extend_from_slice(digits.as_bytes()),
            Self::Group(tree) => tree.write_json(out),
            Self::List(items) => {
                out.push(b'[');
                for (at, item) in items.values().enumerate() {
                    if at > 0 {
                        out.push(b',');
                    }
                    item.write_json(out);
                }
                out.push(b']');
            }
        }
    }

    /// `path` is the node's own.
    fn write_form(&self, path: &mut String, out: &mut Vec<u8>) {
        match self {
            Self::Text(value) | Self::Number(value) => {
                if !out.is_empty() {
                    out.push(b'&');
                }
                out.extend_from_slice(path.as_bytes());
                out.push(b'=');
                write_encoded(value, out);
            }
            Self::Group(tree) => {
                path.push('.');
                tree.write_form(path, out);
            }
            Self::List(items) => {
                let length = path.len();
                for (at, item) in items {
                    path.push_str(&format!("[{at}]"));
                    item.write_form(path, out);
                    path.truncate(length);
                }
            }
        }
    }
}

/// Names in a group, mostly: more than a `Vec` begins with.
const ROOM: usize = 8;

fn write_string(text: &str, out: &mut Vec<u8>) {
    // writing a text into memory does not fail
    let _ = serde_json::to_writer(out, text);
}

/// As HTML forms are encoded.
fn write_encoded(text: &str, out: &mut Vec<u8>) {
    for byte in text.bytes() {
        match byte {
            b' ' => out.push(b'+'),
            b'*' | b'-' | b'.' | b'_' => out.push(byte),
            _ if byte.is_ascii_alphanumeric() => out.push(byte),
            _ => out.extend_from_slice(format!("%{byte:02X}").as_bytes()),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::api::mastercard::fields::Fields;

    fn sample() -> Tree {
        let token = |id: &str| {
            let mut tree = Tree::new();
            tree.text("token", id.to_owned());
            tree.text("usage.lastUpdatedBy", "TEST & sons");
            tree
        };
        let mut tree = Tree::new();
        tree.text("result", "SUCCESS");
        tree.number("order.amount", "1.00".to_owned());
        tree.text("order.id", "a\"b");
        tree.maybe("order.status", None::<String>);
        tree.list("page.token", vec![token("1"), token("2")]);
        tree
    }

    #[test]
    fn both_forms_say_the_same() {
        assert_eq!(
            String::from_utf8(sample().to_json()).unwrap(),
            r#"{"order":{"amount":1.00,"id":"a\"b"},"page":{"token":[{"token":"1","usage":{"lastUpdatedBy":"TEST & sons"}},{"token":"2","usage":{"lastUpdatedBy":"TEST & sons"}}]},"result":"SUCCESS"}"#
        );
        assert_eq!(
            String::from_utf8(sample().to_form()).unwrap(),
            "order.amount=1.00&order.id=a%22b&page.token[0].token=1&page.token[0].usage.lastUpdatedBy=TEST+%26+sons\
             &page.token[1].token=2&page.token[1].usage.lastUpdatedBy=TEST+%26+sons&result=SUCCESS"
        );
    }

    #[test]
    fn indexes_make_lists() {
        let mut tree = Tree::new();
        for (path, value) in [
            ("item[10].name", "c"),
            ("item[2].name", "b"),
            ("item[2].tax[0].type", "t"),
            ("plans[0]", "p"),
            ("plans[1]", "q"),
        ] {
            tree.echo(path, value);
        }
        assert_eq!(
            String::from_utf8(tree.to_json()).unwrap(),
            r#"{"item":[{"name":"b","tax":[{"type":"t"}]},{"name":"c"}],"plans":["p","q"]}"#
        );
        assert_eq!(
            String::from_utf8(tree.to_form()).unwrap(),
            "item[2].name=b&item[2].tax[0].type=t&item[10].name=c&plans[0]=p&plans[1]=q"
        );
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(values in prop::collection::btree_map("[a-z]{1,3}(\\.[A-Z]{1,3}){0,3}", "\\PC{1,20}", 0..12)) {
            let mut tree = Tree::new();
            for (path, value) in &values {
                tree.echo(path, value);
            }
            let (mut from_json, mut from_form) = (Fields::default(), Fields::default());
            from_json.read_json(&tree.to_json()).unwrap();
            from_form.read_form(&tree.to_form()).unwrap();
            let list = |fields: &Fields| fields.iter().map(|(n, v)| (n.to_owned(), v.to_owned())).collect::<Vec<_>>();
            prop_assert_eq!(list(&from_json), list(&from_form));
            prop_assert!(list(&from_json).iter().all(|(name, value)| values.get(name) == Some(value)));
        }
    }
}
