//! Key material: in pages of its own that are locked, never in a core dump, wiped when done with, and out of
//! anyone's reach but this process's where the kernel has such pages.
//!
//! ```text
//!   keys file ─▶ Secret (text) ─▶ Locked<hmac key>, Locked<key pair>     one page or more each
//!                                   └─ memfd_secret(2): not even the kernel maps it; a debugger reads nothing
//!                                   └─ else: mlock(2), MADV_DONTDUMP, MADV_DONTFORK
//! ```
//!
//! What signing leaves on the stack is overwritten by [`scrub`]. `tests/system`: `secrets` reads all the memory of a
//! trading node and finds neither a secret nor what is made of it.

mod keys;
mod locked;
mod page;
mod text;

pub use keys::Keys;
pub use locked::{Locked, scrub};
pub use page::{Kind, SecretError};
pub use text::Secret;
pub use zeroize::{Zeroize, Zeroizing};
