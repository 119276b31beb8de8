//! The JSON of `errors.Error` in `grpc-message`, with the escapes of Go's encoder.

use micro_core::error::WireError;

pub(crate) fn encode(error: &WireError) -> String {
    let text = serde_json::to_string(error).unwrap_or_default();
    if !text.contains(['<', '>', '&', '\u{2028}', '\u{2029}']) {
        return text;
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for char in text.chars() {
        match char {
            '<' => escaped.push_str("\\u003c"),
            '>' => escaped.push_str("\\u003e"),
            '&' => escaped.push_str("\\u0026"),
            '\u{2028}' => escaped.push_str("\\u2028"),
            '\u{2029}' => escaped.push_str("\\u2029"),
            char => escaped.push(char),
        }
    }
    escaped
}

/// Reads the JSON, if it is one with a code: what Go accepts.
pub(crate) fn decode(text: &str) -> Option<WireError> {
    if !text.starts_with('{') {
        return None;
    }
    serde_json::from_str(text).ok().filter(|error: &WireError| error.code > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn html_is_escaped_as_go_does_and_read_back() {
        let error = WireError { id: "a".into(), code: 400, detail: "1 < 2 & 3".into(), status: "Bad Request".into() };
        let text = encode(&error);
        assert!(text.contains(r"1 \u003c 2 \u0026 3"), "{text}");
        assert_eq!(decode(&text), Some(error));
    }

    #[test]
    fn without_a_code_it_is_plain_text() {
        assert_eq!(decode(r#"{"id":"x"}"#), None);
        assert_eq!(decode("not found"), None);
    }
}
