//! What can happen to a message on its way.

/// What may be done to a message, by numbers that say what and where: everything a proxy, a new version of
/// the venue or an enemy could do to its bytes.
pub fn mutate(text: &mut Vec<u8>, edits: &[(u8, u16, u8)]) {
    const WORDS: [&[u8]; 12] = [
        b" ",
        b"\n",
        b"\\u0030",
        b"\\\"",
        b"e2",
        b"E-1",
        b"-",
        b"0",
        b".",
        b",\"x\":1",
        b"null",
        b"[]",
    ];
    for &(what, place, with) in edits {
        if text.is_empty() {
            return;
        }
        let at = usize::from(place) % text.len();
        match what % 6 {
            0 => text[at] ^= with.max(1),
            1 => text[at] = with,
            2 => {
                text.remove(at);
            }
            3 => text.truncate(at),
            4 => {
                let word = WORDS[usize::from(with) % WORDS.len()];
                text.splice(at..at, word.iter().copied());
            }
            // A piece again further on.
            _ => {
                let piece = text[at..text.len().min(at + usize::from(with % 32))].to_vec();
                let to = usize::from(place.rotate_left(8)) % text.len();
                text.splice(to..to, piece);
            }
        }
    }
}

/// Each byte of a message made another, for each byte that means something in JSON and two that mean nothing,
/// and each left out.
pub fn each_byte(text: &[u8], mut check: impl FnMut(&[u8])) {
    for at in 0..text.len() {
        let mut copy = text.to_vec();
        for byte in *b" \"\\09-.e,]}\0\x80" {
            copy[at] = byte;
            check(&copy);
        }
        copy.remove(at);
        check(&copy);
    }
}
