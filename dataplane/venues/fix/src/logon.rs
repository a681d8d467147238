//! What every dialect's session is made with.

/// How far a venue's sending time may be from ours, seconds: FIX's usual two minutes.
pub const CLOCK_SKEW_S: u32 = 120;

/// What is configured, else the venue's own.
pub fn or_else(configured: &str, usual: &str) -> String {
    if configured.is_empty() {
        usual.to_owned()
    } else {
        configured.to_owned()
    }
}

/// As [`or_else`], for an interval: 0 is the venue's own.
pub const fn seconds(configured: u32, usual: u32) -> u32 {
    if configured == 0 { usual } else { configured }
}
