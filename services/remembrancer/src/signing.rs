//! Who signs for the log: its key in a file that only the service can read, and the bond between that file and the log
//! in the database.
//!
//! - [`KeyFolder`]: the key, and beside it the last checkpoint that it signed; and the witness's key.
//! - [`open`]: the log is opened only when folder and database belong together.
//! - [`HeadSigner`]: nothing is signed before both sides know of it.
//! - [`rotate`]: another key, which the log records.

mod bond;
mod key_error;
mod key_folder;
mod rotate;
mod signer;

pub(crate) use bond::last_signed;
pub use bond::{OpenError, Refusal, current_key, open};
pub use key_error::{KeyFileError, Role};
pub use key_folder::KeyFolder;
pub use rotate::{RotateError, Rotated, former_keys, rotate};
pub use signer::HeadSigner;
