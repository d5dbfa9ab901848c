//! As much of Rust's grammar as it takes to find every path that a source file names.

/// A path as a file names it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Path {
    /// `crate`, `super`, names; `*` for a glob; without a trailing `self`.
    pub(crate) segments: Vec<String>,
    /// It starts with `::`, so with a crate's name.
    pub(crate) global: bool,
    /// It stands in a `use`.
    pub(crate) imported: bool,
    /// The modules opened in braces around it.
    pub(crate) inside: Vec<String>,
    /// From 1.
    pub(crate) line: usize,
}

/// A name, or one other character.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Token {
    /// The name or the character; `::` counts as one.
    pub(crate) text: String,
    /// From 1.
    pub(crate) line: usize,
}

impl Token {
    fn is_name(&self) -> bool {
        self.text.starts_with(|c: char| c.is_alphabetic() || c == '_')
    }
}

/// Cuts a source text into tokens; comments, texts, characters, lifetimes and numbers are left out.
pub(crate) fn tokens(source: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = source;
    let mut line = 1;
    while let Some(first) = rest.chars().next() {
        let name: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        let behind_name = rest.get(name.len()..).unwrap_or_default();
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            block_comment(rest)
        } else if let Some(length) = text_literal(rest, &name, behind_name) {
            length
        } else if name == "r" && behind_name.starts_with('#') {
            // a raw name: `r#type`
            2
        } else if first.is_numeric() {
            name.len()
        } else if !name.is_empty() {
            tokens.push(Token {
                text: name.clone(),
                line,
            });
            name.len()
        } else if first == '\'' {
            quote(rest)
        } else if rest.starts_with("::") {
            tokens.push(Token {
                text: "::".to_owned(),
                line,
            });
            2
        } else {
            if !first.is_whitespace() {
                tokens.push(Token {
                    text: first.to_string(),
                    line,
                });
            }
            first.len_utf8()
        };
        let (read, behind) = rest.split_at_checked(length).unwrap_or((rest, ""));
        line += read.matches('\n').count();
        rest = behind;
    }
    tokens
}

/// The length of the block comment at the start; they nest.
fn block_comment(text: &str) -> usize {
    let mut depth = 0usize;
    let mut at = 0;
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        if rest.starts_with("/*") {
            depth += 1;
            at += 2;
        } else if rest.starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += rest.chars().next().map_or(1, char::len_utf8);
        }
    }
    text.len()
}

/// The length of the text literal at the start, if there is one: `"…"`, `b"…"`, `r#"…"#` and their kin.
fn text_literal(text: &str, prefix: &str, behind: &str) -> Option<usize> {
    if !matches!(prefix, "" | "b" | "c" | "r" | "br" | "cr") {
        return None;
    }
    let hashes = if prefix.ends_with('r') {
        behind.chars().take_while(|c| *c == '#').count()
    } else {
        0
    };
    let body = behind.get(hashes..)?.strip_prefix('"')?;
    let start = text.len() - body.len();
    if prefix.ends_with('r') {
        let end = format!("\"{}", "#".repeat(hashes));
        return Some(body.find(&end).map_or(text.len(), |at| start + at + end.len()));
    }
    let mut escaped = false;
    let end = body.find(|c| {
        let ends = c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        ends
    });
    Some(end.map_or(text.len(), |at| start + at + 1))
}

/// The length of the character or the lifetime's mark at the start.
fn quote(text: &str) -> usize {
    let mut inside = text.chars().skip(1);
    match (inside.next(), inside.next()) {
        // '\'' and '\u{1f600}': to the quote behind the escaped character
        (Some('\\'), Some(escaped)) => {
            let from = 2 + escaped.len_utf8();
            text.get(from..)
                .and_then(|rest| rest.find('\''))
                .map_or(text.len(), |at| from + at + 1)
        }
        (Some(c), Some('\'')) => 2 + c.len_utf8(),
        _ => 1,
    }
}

/// Every path in `tokens`: those of `use` trees one by one, and names joined by `::` anywhere else.
pub(crate) fn paths(tokens: &[Token]) -> Vec<Path> {
    let text = |at: usize| tokens.get(at).map_or("", |token| token.text.as_str());
    let mut paths = Vec::new();
    let mut braces = 0usize;
    let mut inside: Vec<(String, usize)> = Vec::new();
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        let modules = || inside.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
        match token.text.as_str() {
            "{" => braces += 1,
            "}" => {
                braces = braces.saturating_sub(1);
                inside.retain(|(_, depth)| *depth <= braces);
            }
            "mod" if text(at + 2) == "{" => {
                inside.push((text(at + 1).to_owned(), braces + 1));
                at += 1;
            }
            // `use<'a>` says what a type captures
            "use" if text(at + 1) != "<" => {
                let global = text(at + 1) == "::";
                let mut tree = Tree {
                    tokens,
                    at: at + 1 + usize::from(global),
                    leaves: Vec::new(),
                };
                tree.read(&[]);
                at = tree.at;
                let imported = |(segments, line)| Path {
                    segments,
                    global,
                    imported: true,
                    inside: modules(),
                    line,
                };
                paths.extend(tree.leaves.into_iter().map(imported));
                continue;
            }
            _ if token.is_name() => {
                let joined = at.checked_sub(1).is_some_and(|before| text(before) == "::");
                let start = at.checked_sub(2).and_then(|before| tokens.get(before));
                let global = joined && !start.is_some_and(|before| before.is_name() || before.text == ">");
                let mut segments = vec![token.text.clone()];
                while text(at + 1) == "::" && tokens.get(at + 2).is_some_and(Token::is_name) {
                    segments.push(text(at + 2).to_owned());
                    at += 2;
                }
                if !joined || global {
                    paths.push(Path {
                        segments,
                        global,
                        imported: false,
                        inside: modules(),
                        line: token.line,
                    });
                }
            }
            _ => {}
        }
        at += 1;
    }
    paths
}

/// Reads a `use` tree.
struct Tree<'a> {
    tokens: &'a [Token],
    at: usize,
    leaves: Vec<(Vec<String>, usize)>,
}

impl Tree<'_> {
    fn read(&mut self, before: &[String]) {
        let mut segments = before.to_vec();
        while let Some(token) = self.tokens.get(self.at) {
            self.at += 1;
            match token.text.as_str() {
                "::" => {}
                "{" => return self.group(&segments),
                "self" if !segments.is_empty() => {}
                name => segments.push(name.to_owned()),
            }
            if token.text != "::" && self.next() != "::" {
                self.leaves.push((segments, token.line));
                break;
            }
        }
        if self.next() == "as" {
            self.at += 2;
        }
    }

    fn group(&mut self, before: &[String]) {
        while !matches!(self.next(), "}" | "") {
            if self.next() == "," {
                self.at += 1;
            } else {
                self.read(before);
            }
        }
        self.at += 1;
    }

    fn next(&self) -> &str {
        self.tokens.get(self.at).map_or("", |token| token.text.as_str())
    }
}
