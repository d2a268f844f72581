//! Why there is no page, and what to do about it.

use std::io;
use std::net::SocketAddr;

use camino::Utf8PathBuf;

use crate::durable::FileError;

use super::access::TOKEN_LENGTH;

/// Why a page cannot be served.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PageError {
    /// Others can reach the address, and nobody said that they may.
    #[error("`--listen {0}` is an address that other machines can reach")]
    Public(SocketAddr),
    /// Others can reach the address, and anybody could read the page.
    #[error(
        "`--listen {0}` is an address that other machines can reach, and no token is asked for"
    )]
    NoToken(SocketAddr),
    /// There is no such file.
    #[error("there is no token file `{0}`")]
    TokenMissing(Utf8PathBuf),
    /// It cannot be read.
    #[error("cannot read the token file")]
    TokenUnreadable(#[source] FileError),
    /// Others on this machine may read it.
    #[error("the token file `{path}` can be read by others (mode {mode:o})")]
    TokenOpen {
        /// The file.
        path: Utf8PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// What is in it can be no token.
    #[error("the token file `{path}` {why}")]
    TokenUnfit {
        /// The file.
        path: Utf8PathBuf,
        /// What is wrong with it; the token itself is never told.
        why: &'static str,
    },
    /// Somebody else listens there.
    #[error("cannot listen on `{0}`: the port is in use")]
    InUse(SocketAddr),
    /// The system refuses the address.
    #[error("cannot listen on `{address}`")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The system refuses what the page runs on.
    #[error("cannot start the status page")]
    Start(#[source] io::Error),
}

impl PageError {
    /// Whether what was typed is wrong, whatever the machine is like.
    pub const fn is_wrong_usage(&self) -> bool {
        matches!(self, Self::Public(_) | Self::NoToken(_))
    }

    /// What a person can do about it.
    pub fn hint(&self) -> Option<String> {
        let text = match self {
            Self::Public(_) => "listen on `127.0.0.1` and come through SSH, or say `--allow-public` and name a `--token-file`"
                .to_owned(),
            Self::NoToken(_) => "`--token-file FILE` names a file with the token that readers have to show".to_owned(),
            Self::TokenMissing(path) => {
                format!("`(umask 077; openssl rand -hex 24 > {path})` makes one")
            }
            Self::TokenUnreadable(error) => return error.hint(),
            Self::TokenOpen { path, .. } => format!("`chmod 600 {path}` keeps it from others"),
            Self::TokenUnfit { .. } => format!(
                "it has to hold one line of at least {TOKEN_LENGTH} characters of ASCII without spaces, as `openssl rand -hex 24` prints"
            ),
            Self::InUse(_) => "`--listen HOST:PORT` takes another one; port 0 takes any that is free".to_owned(),
            Self::Bind { .. } => "`--listen` has to name an address of this machine and a port this user may take".to_owned(),
            Self::Start(_) => return None,
        };
        Some(text)
    }

    /// Whether it is about what was written on the command line, rather than about the system.
    pub const fn is_usage(&self) -> bool {
        matches!(self, Self::Public(_) | Self::NoToken(_))
    }
}
