//! How deep JSON may be nested.

/// Objects and lists within each other, at most.
pub(crate) const DEPTH: usize = 100;

/// Whether a JSON value's text is nested deeper than [`DEPTH`].
pub(crate) fn is_too_deep(text: &str) -> bool {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = in_string,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > DEPTH {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_is_counted_outside_strings() {
        let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert!(!is_too_deep(&nested(DEPTH)));
        assert!(is_too_deep(&nested(DEPTH + 1)));
        assert!(is_too_deep(&r#"{"a":"#.repeat(DEPTH + 1)));
        assert!(!is_too_deep(&format!("[{}]", vec!["{}"; 500].join(","))));
        assert!(!is_too_deep(&format!(r#"{{"a":"\"{}"}}"#, "[".repeat(500))));
        assert!(is_too_deep(&format!(r#"["\\",{}]"#, nested(DEPTH))));
    }
}
