//! The token every request bears. Only its digest is kept, and compared in constant time.

use crate::fail::Usage;
use sha2::{Digest, Sha256};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use subtle::ConstantTimeEq;

/// Shortest token: 128 bits where it is 32 hexadecimal digits.
const LEN_MIN: usize = 32;
/// Longest file that is read.
const FILE_MAX: u64 = 4_096;

/// A token's digest.
#[derive(Clone)]
pub struct Token([u8; 32]);

impl Token {
    /// Reads it from a file. Errors: [`Usage`], with the mend: the file is not there, others can read it, it is somebody
    /// else's, or it holds no token.
    pub fn load(path: &Path) -> Result<Self, Usage> {
        Self::read(path).map_err(|why| Usage(format!("api.token_file: {}: {why}", path.display())))
    }

    fn read(path: &Path) -> Result<Self, String> {
        let cannot = |error: std::io::Error| format!("cannot be read: {error}");
        // What is open is what is looked at: a name may come to mean another file.
        let file = std::fs::File::open(path).map_err(cannot)?;
        let about = file.metadata().map_err(cannot)?;
        if !about.is_file() {
            return Err("not a file".into());
        }
        if about.mode() & 0o077 != 0 {
            let mode = about.mode() & 0o777;
            return Err(format!("mode {mode:03o}: others can read it; chmod 600"));
        }
        let us = nix::unistd::geteuid().as_raw();
        if about.uid() != us && about.uid() != 0 {
            return Err(format!(
                "belongs to user {}: chown it to {us}, who runs this",
                about.uid()
            ));
        }
        let mut text = String::new();
        let mut file = file.take(FILE_MAX);
        file.read_to_string(&mut text).map_err(cannot)?;
        let token = text.trim();
        if token.len() < LEN_MIN || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(format!(
                "holds no token: one line of at least {LEN_MIN} letters and digits, as `openssl rand -hex 32` makes"
            ));
        }
        Ok(Self::of(token.as_bytes()))
    }

    fn of(token: &[u8]) -> Self {
        Self(Sha256::digest(token).into())
    }

    /// Whether an `Authorization` header bears it.
    pub fn is_borne_by(&self, header: &[u8]) -> bool {
        let scheme = header.get(..7).unwrap_or_default();
        let token = header.get(7..).unwrap_or_default();
        scheme.eq_ignore_ascii_case(b"bearer ") && bool::from(Self::of(token).0.ct_eq(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    const GOOD: &str = "0123456789abcdef0123456789abcdef";

    #[test]
    fn a_token_is_long_and_ours_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        let load = |text: &str, mode: u32| {
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
            Token::load(&path).map_err(|error| error.0)
        };
        let token = load(&format!("{GOOD}\n"), 0o600).unwrap();
        for (header, is_it) in [
            (format!("Bearer {GOOD}"), true),
            (format!("bearer {GOOD}"), true),
            (format!("Bearer {GOOD}0"), false),
            (format!("Bearer {}", &GOOD[1..]), false),
            (format!("Basic {GOOD}"), false),
            (GOOD.to_owned(), false),
            (String::new(), false),
            ("Bearer ".to_owned(), false),
        ] {
            assert_eq!(token.is_borne_by(header.as_bytes()), is_it, "{header}");
        }
        for (text, mode, want) in [
            (GOOD, 0o640, "chmod 600"),
            (GOOD, 0o604, "chmod 600"),
            (&GOOD[1..], 0o600, "at least 32"),
            ("", 0o600, "at least 32"),
            ("two words two words two words two words", 0o600, "one line"),
        ] {
            let error = load(text, mode).err().unwrap();
            assert!(
                error.contains(want) && error.contains("api.token_file"),
                "{error}"
            );
            assert!(!error.contains("0123456789"), "the token is told: {error}");
        }
        assert!(Token::load(&dir.path().join("none")).is_err());
        assert!(Token::load(dir.path()).is_err(), "a directory");
    }
}
