//! Futures messages print prices as bare numbers, `31528.00000000`. The parser would make doubles of them and
//! lose what was printed, so those are put in quotes first: what comes out is the shape spot has.
//!
//! Cold: live, only spot is followed, and its numbers are strings.

/// Whether a message is of futures: the first slash of any message begins its topic.
pub(crate) fn is_futures(text: &[u8]) -> bool {
    let slash = text.iter().position(|byte| *byte == b'/');
    let topic = slash.and_then(|at| text.get(at..));
    topic.is_some_and(|topic| topic.starts_with(b"/contract"))
}

const fn is_of_number(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E')
}

/// Copies `text` with every bare number that has a fraction or an exponent in quotes. Integers stay as they
/// are, and so does whatever stands in a string. Cost: one pass; `out` grows to the longest message seen.
pub(crate) fn quote<'a>(text: &[u8], out: &'a mut Vec<u8>) -> &'a mut [u8] {
    out.clear();
    let mut rest = text;
    while let Some((&byte, behind)) = rest.split_first() {
        let len = match byte {
            b'"' => string_len(behind) + 1,
            b'-' | b'0'..=b'9' => rest.iter().take_while(|byte| is_of_number(**byte)).count(),
            _ => 1,
        };
        let (token, behind) = rest.split_at_checked(len).unwrap_or((rest, &[]));
        let is_number = byte != b'"' && len > 1;
        if is_number && token.iter().any(|byte| matches!(byte, b'.' | b'e' | b'E')) {
            out.push(b'"');
            out.extend_from_slice(token);
            out.push(b'"');
        } else {
            out.extend_from_slice(token);
        }
        rest = behind;
    }
    out
}

/// Bytes of a string behind its opening quote, the closing one included; all there are if it has none.
fn string_len(text: &[u8]) -> usize {
    let mut is_escaped = false;
    let end = text.iter().position(|&byte| {
        let is_end = byte == b'"' && !is_escaped;
        is_escaped = byte == b'\\' && !is_escaped;
        is_end
    });
    end.map_or(text.len(), |end| end + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn quoted(text: &str) -> String {
        let mut out = Vec::new();
        String::from_utf8(quote(text.as_bytes(), &mut out).to_vec()).unwrap()
    }

    #[test]
    fn fractions_and_exponents_are_quoted_and_nothing_else() {
        for (text, want) in [
            (
                "[[31528.00000000,2856],[-3.92e-06,-7]]",
                r#"[["31528.00000000",2856],["-3.92e-06",-7]]"#,
            ),
            (
                r#"{"a1.5":"1.5 \" 2.5","b":1.5}"#,
                r#"{"a1.5":"1.5 \" 2.5","b":"1.5"}"#,
            ),
            (
                r#"{"sequence":1709294294670}"#,
                r#"{"sequence":1709294294670}"#,
            ),
            ("[true,null,false]", "[true,null,false]"),
            ("\"open", "\"open"),
            ("1e5", "\"1e5\""),
            ("", ""),
        ] {
            assert_eq!(quoted(text), want, "{text}");
        }
    }

    #[test]
    fn futures_are_known_by_their_topic_wherever_it_stands() {
        for (text, is) in [
            (r#"{"topic":"/contractMarket/level2:X","data":{}}"#, true),
            (r#"{"data":{"a":1.5},"topic":"/contract/position:X"}"#, true),
            (r#"{"topic":"/market/level2:X","data":"/contract"}"#, false),
            (r#"{"id":"1","type":"ack"}"#, false),
            ("", false),
        ] {
            assert_eq!(is_futures(text.as_bytes()), is, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_copied_but_for_quotes(text: Vec<u8>) {
            let mut out = Vec::new();
            let bare = |text: &[u8]| text.iter().copied().filter(|byte| *byte != b'"').collect::<Vec<_>>();
            prop_assert_eq!(bare(quote(&text, &mut out)), bare(&text));
        }
    }
}
