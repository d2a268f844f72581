//! Who may reach the page: the address it listens on, and the token that is asked for there.

#[cfg_attr(unix, path = "access/unix.rs")]
#[cfg_attr(windows, path = "access/windows.rs")]
mod os;

use std::fmt;
use std::net::SocketAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use camino::{Utf8Path, Utf8PathBuf};
use sha2::{Digest, Sha256};

use super::PageError;
use crate::durable;

/// Characters a token has at least.
pub(super) const TOKEN_LENGTH: usize = 16;

/// Where the page listens, and for whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    /// The address; port 0 takes any that is free.
    pub listen: SocketAddr,
    /// Whether that may be one that other machines can reach.
    pub allow_public: bool,
    /// The file with the token that readers have to show.
    pub token_file: Option<Utf8PathBuf>,
}

impl Access {
    /// Whether everything is as it has to be, but for what may listen there already.
    ///
    /// # Errors
    /// What is not: the address without a leave, or the token.
    pub fn verify(&self) -> Result<(), PageError> {
        self.check().map(drop)
    }

    /// The token to ask for, if any, where everything is as it has to be.
    pub(super) fn check(&self) -> Result<Option<Token>, PageError> {
        if !self.listen.ip().to_canonical().is_loopback() {
            if !self.allow_public {
                return Err(PageError::Public(self.listen));
            }
            if self.token_file.is_none() {
                return Err(PageError::NoToken(self.listen));
            }
        }
        self.token_file.as_deref().map(Token::read).transpose()
    }
}

/// A secret readers have to show, kept as its hash: two hashes have one length, and comparing them tells
/// nothing of the secret.
#[derive(Clone)]
pub(super) struct Token([u8; 32]);

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

impl Token {
    fn read(path: &Utf8Path) -> Result<Self, PageError> {
        let text = durable::read_text(path).map_err(PageError::TokenUnreadable)?;
        let text = text.ok_or_else(|| PageError::TokenMissing(path.to_owned()))?;
        if let Some(mode) = os::open_mode(path).map_err(|source| {
            PageError::TokenUnreadable(durable::FileError::Read {
                path: path.to_owned(),
                source,
            })
        })? {
            return Err(PageError::TokenOpen {
                path: path.to_owned(),
                mode,
            });
        }
        Self::parse(&text).map_err(|why| PageError::TokenUnfit {
            path: path.to_owned(),
            why,
        })
    }

    /// A token from the text of its file.
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        let text = text.strip_suffix('\n').unwrap_or(text);
        let text = text.strip_suffix('\r').unwrap_or(text);
        if text.is_empty() {
            Err("is empty")
        } else if text.contains(['\n', '\r']) {
            Err("has more than one line")
        } else if !text.bytes().all(|letter| letter.is_ascii_graphic()) {
            Err("has characters that no header can carry")
        } else if text.len() < TOKEN_LENGTH {
            Err("is too short to keep anybody out")
        } else {
            Ok(Self(hash(text.as_bytes())))
        }
    }

    /// Whether an `Authorization` shows it: as a bearer token, or as the password of any user, which is what a
    /// browser can ask a person for.
    pub(super) fn is_shown_by(&self, authorization: &str) -> bool {
        let Some((scheme, shown)) = authorization.split_once(' ') else {
            return false;
        };
        let shown = shown.trim();
        if scheme.eq_ignore_ascii_case("bearer") {
            return self.is(shown.as_bytes());
        }
        if !scheme.eq_ignore_ascii_case("basic") {
            return false;
        }
        let Ok(shown) = STANDARD.decode(shown) else {
            return false;
        };
        let password = shown.splitn(2, |letter| *letter == b':').nth(1);
        password.is_some_and(|password| self.is(password))
    }

    /// Takes the same time wherever two hashes differ.
    fn is(&self, shown: &[u8]) -> bool {
        let differences = self.0.iter().zip(hash(shown)).map(|(ours, its)| ours ^ its);
        differences.fold(0, |all, one| all | one) == 0
    }
}

fn hash(text: &[u8]) -> [u8; 32] {
    Sha256::digest(text).into()
}
