//! The scanner's steps against the general parser, and its two forms against each other.

use super::lanes::{WINDOW, words};
use super::*;
use proptest::prelude::*;

/// A window before the text and one behind it, so that ends of messages are tried apart.
fn in_the_middle(text: &str) -> Vec<u8> {
    [&[b'#'; WINDOW][..], text.as_bytes(), &[b'#'; WINDOW]].concat()
}

fn at_the_end(text: &str) -> Vec<u8> {
    [&[b'#'; WINDOW][..], text.as_bytes()].concat()
}

fn cursor(bytes: &[u8]) -> Cursor<'_> {
    Cursor { bytes, at: WINDOW }
}

/// What the general path makes of a string of digits.
fn general(text: &str) -> Option<Decimal> {
    Decimal::parse(text.as_bytes()).ok()
}

fn check_decimal(text: &str) {
    let want = (!text.contains('"')).then(|| general(text)).flatten();
    let quoted = format!("{text}\"");
    for bytes in [in_the_middle(&quoted), at_the_end(&quoted)] {
        let mut cursor = cursor(&bytes);
        let got = cursor.decimal();
        if !text.contains('"') {
            assert_eq!(got, want, "{text}");
        }
        if got.is_some() {
            assert_eq!(cursor.at, WINDOW + quoted.len(), "{text}");
        }
    }
}

fn check_level(price: &str, qty: &str) {
    let want = general(price).zip(general(qty));
    let text = format!("{price}\",\"{qty}\"");
    for bytes in [in_the_middle(&text), at_the_end(&text)] {
        let mut cursor = cursor(&bytes);
        let mut levels = Vec::new();
        let got = cursor.level(&mut levels);
        let level = levels.pop().map(|level| (level.price, level.qty));
        assert_eq!((got.and(level), levels.len()), (want, 0), "{text}");
        if got.is_some() {
            assert_eq!(cursor.at, WINDOW + text.len(), "{text}");
        }
    }
}

#[test]
fn decimals_of_every_form() {
    for text in [
        "0",
        "7",
        "0.0",
        "65000.01",
        "65000.01000000",
        "0.00000001",
        "12345678.87654321",
        "123456789.1",
        "1.123456789",
        "123456789012345678",
        "9223372036854775807",
        "9223372036854775808",
        "-1",
        "-0.5",
        "-0",
        "00.50",
        "1e5",
        "1.5E-3",
        "1e-18",
        "1e19",
        "0.000000000000000001",
        "0.0000000000000000001",
        "",
        ".",
        ".5",
        "5.",
        "1..2",
        "1.2.3",
        "+1",
        " 1",
        "1 ",
        "1_0",
        "0x10",
        "1/",
        "1:",
        "\\u0031",
        "1\u{0}",
        "٣",
        "NaN",
        "--1",
        "00000000000000000000000000000000000000000000000001",
    ] {
        // Longer than any number of ours: given up where the general path would take the zeros.
        if text.len() < DECIMAL_MAX {
            check_decimal(text);
        }
    }
}

#[test]
fn integers_as_json_prints_them() {
    let json = |text: &str| {
        let mut doc = crate::json::Doc::new(64);
        let mut bytes = format!("[{text}]").into_bytes();
        let tree = doc.parse(&mut bytes).ok()?;
        tree.root().at(0)?.as_i64()
    };
    for text in [
        "0",
        "1",
        "12345678",
        "123456789",
        "1234567890123456",
        "12345678901234567",
        "123456789012345678",
        "1760000000123",
        "-1",
        "-123456789012345678",
    ] {
        for bytes in [in_the_middle(&format!("{text},")), at_the_end(text)] {
            let got = cursor(&bytes).int();
            assert_eq!(got, json(text), "{text}");
            assert_eq!(got, text.parse().ok());
        }
    }
    for text in [
        "",
        "-",
        "-0",
        "00",
        "01",
        "-01",
        "x",
        "1234567890123456789",
        ",1",
    ] {
        assert_eq!(cursor(&in_the_middle(text)).int(), None, "{text}");
    }
}

#[test]
fn text_ends_at_its_quote_and_has_no_escapes() {
    let read = |text: &str| cursor(&in_the_middle(text)).text().map(<[u8]>::to_vec);
    assert_eq!(read("BTCUSDT\",\"b"), Some(b"BTCUSDT".to_vec()));
    assert_eq!(read("\""), Some(Vec::new()));
    assert_eq!(
        read(&format!("{}\"", "x".repeat(TEXT_MAX))).map(|text| text.len()),
        Some(TEXT_MAX)
    );
    assert_eq!(read(&format!("{}\"", "x".repeat(TEXT_MAX + 1))), None);
    for text in ["a\\\"b\"", "a\u{1f}\"", "ä\"", "a\n\""] {
        assert_eq!(read(text), None, "{text:?}");
    }
    // What stands behind the quote is not the text's.
    assert_eq!(read("a\"\\ä\n"), Some(b"a".to_vec()));
    assert_eq!(Cursor::new(b"a\"").text(), None, "shorter than a window");
}

#[test]
fn small_counts_are_passed_over() {
    for (text, is_passed) in [
        ("3\"", true),
        ("1234567\"", true),
        ("0\"", true),
        ("12345678\"", false),
        ("\"", false),
        ("1a\"", false),
        ("-1\"", false),
        ("1", false),
        ("\\\"", false),
    ] {
        let bytes = in_the_middle(text);
        let mut cursor = cursor(&bytes);
        assert_eq!(cursor.pass_digits().is_some(), is_passed, "{text}");
        assert!(!is_passed || cursor.at == WINDOW + text.len());
    }
    assert_eq!(
        Cursor::new(b"3\"").pass_digits(),
        None,
        "shorter than a word"
    );
}

#[test]
fn literals_are_taken_whole_or_not_at_all() {
    let mut cursor = Cursor::new(br#"{"e":1"#);
    assert!(!cursor.eat(br#"{"E""#));
    assert!(cursor.eat(br#"{"e":"#) && !cursor.is_done());
    assert_eq!(cursor.need(b"12"), None);
    assert!(cursor.eat(b"1") && cursor.is_done() && !cursor.eat(b"1") && cursor.eat(b""));
}

/// Numbers as venues print them, and as they do not.
fn number() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => "[0-9]{1,9}\\.[0-9]{1,9}",
        2 => "[0-9]{1,10}",
        1 => "-?[0-9]{1,19}(\\.[0-9]{1,18})?([eE][+-]?[0-9]{1,2})?",
        1 => "[0-9.eE+\\-/:;, \\\\]{0,12}",
    ]
}

proptest! {
    #[test]
    fn decimals_equal_the_general_path(text in number()) {
        check_decimal(&text);
    }

    #[test]
    fn levels_equal_the_general_path(price in number(), qty in number()) {
        check_level(&price, &qty);
    }

    #[test]
    fn any_bytes_from_any_place_are_read_or_given_up(bytes: Vec<u8>, at in 0usize..80) {
        let cursor = Cursor { bytes: &bytes, at };
        let (mut read, mut passed) = (cursor, cursor);
        // What may be passed over is what may be read, and it ends there.
        prop_assert_eq!(read.uint().is_some(), passed.pass_uint().is_some());
        prop_assert_eq!(read.at, passed.at);
        let _ = (cursor.clone().int(), cursor.clone().text(), cursor.clone().pair());
        let _ = (cursor.clone().decimal(), cursor.clone().level(&mut Vec::new()), cursor.clone().eat(b"\""), cursor.clone().pass_digits());
    }

    /// However it is read, and wherever in its window it lies.
    #[test]
    fn a_pair_is_two_texts(
        name in "[ -~]{0,20}|[a-zA-Z]{0,31}", text in "[ -~]{0,20}|[a-zA-Z0-9]{0,33}",
        between in prop_oneof![4 => Just("\":\"".to_owned()), 1 => "[\":, ]{0,4}"]
    ) {
        let bytes = in_the_middle(&format!("{name}{between}{text}\""));
        let (mut got, mut want) = (cursor(&bytes), cursor(&bytes));
        let pair = got.pair();
        prop_assert_eq!(pair, want.any_pair());
        prop_assert!(pair.is_none() || got.at == want.at);
    }

    #[test]
    fn integers_of_any_length(value: u64, digits in 1usize..20) {
        let value = value % 10u64.pow(digits as u32);
        let text = value.to_string();
        let got = cursor(&in_the_middle(&text)).uint();
        prop_assert_eq!(got, (text.len() <= DIGITS_MAX).then_some(value));
        let bytes = in_the_middle(&text);
        let (mut read, mut passed) = (cursor(&bytes), cursor(&bytes));
        prop_assert_eq!(read.uint().is_some(), passed.pass_uint().is_some());
        prop_assert_eq!(read.at, passed.at);
    }

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn both_forms_see_the_same(
        window in prop::array::uniform32(prop_oneof![
            Just(b'"'), Just(b'.'), Just(b'\\'), any::<u8>(), 0x1eu8..0x24, 0x7eu8..0x82, 0x2eu8..0x3c
        ]),
        words in prop::array::uniform4(prop_oneof![
            any::<u64>(),
            prop::array::uniform8(0u8..10).prop_map(u64::from_le_bytes),
            prop::array::uniform8(8u8..12).prop_map(u64::from_le_bytes),
        ])
    ) {
        use super::wide;
        prop_assert_eq!(wide::marks(&window), words::marks(&window));
        prop_assert_eq!(wide::specials(&window), words::specials(&window));
        prop_assert_eq!(wide::others(&window), words::others(&window));
        let slow = window.iter().rev().fold(0u32, |bits, byte| bits << 1 | u32::from(!byte.is_ascii_digit()));
        prop_assert_eq!(wide::others(&window), slow);
        let slow = window.map(|byte| !(0x20..0x80).contains(&byte) || byte == b'\\');
        let slow = slow.iter().rev().fold(0u32, |bits, is| bits << 1 | u32::from(*is));
        prop_assert_eq!(wide::specials(&window), slow);
        prop_assert_eq!(wide::digits(words), words::digits(words));
    }

    #[test]
    fn eight_digits_are_worth_their_number(digits in prop::array::uniform8(0u8..10)) {
        let want = digits.iter().fold(0u32, |value, digit| value * 10 + u32::from(*digit));
        let word = u64::from_le_bytes(digits);
        prop_assert_eq!(words::value(word), Some(want));
        prop_assert_eq!(lanes::digits([word; 4]), Some([want; 4]));
    }
}
