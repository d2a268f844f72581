//! The status page: what `--listen` serves, read-only. The page itself, `/status.json`, `/events`, `/metrics`
//! and `/healthz`.
//!
//! It runs on a thread and a runtime of its own, so that no client can hold up the loop; the loop hands it
//! [`Snapshot`]s and learns by [`Interest`] that somebody looks. What there is to see is made by the loop. How
//! it reads is `page/index.html`'s business, and `metrics`'.

#![expect(clippy::disallowed_types, reason = "listens")]

mod access;
mod answers;
mod connections;
mod document;
mod error;
mod guard;
mod interest;
mod metrics;
mod routes;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::runtime::Runtime;
use tokio::sync::{oneshot, watch};

pub use access::Access;
pub use error::PageError;
pub use interest::Interest;

use super::snapshot::Snapshot;
use access::Token;
use answers::Answers;
use guard::Guard;

/// A page that is bound and not served yet.
#[derive(Debug)]
pub struct Page {
    listener: TcpListener,
    address: SocketAddr,
    token: Option<Token>,
    runtime: Own,
}

/// A runtime that can be given up wherever one is: dropping one as such would wait, which another one forbids.
#[derive(Debug)]
struct Own(Option<Runtime>);

impl Drop for Own {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// A page that is being served; dropping it ends every connection and waits for that.
#[derive(Debug)]
#[must_use = "dropping it ends the page"]
pub struct Served {
    address: SocketAddr,
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Page {
    /// Binds the address, where who may ask there is settled.
    ///
    /// # Errors
    /// An address others can reach without `--allow-public` and a token, a token file that is not kept from
    /// others, an address that cannot be had.
    pub fn open(access: &Access) -> Result<Self, PageError> {
        let token = access.check()?;
        let bound = |source: io::Error| match source.kind() {
            io::ErrorKind::AddrInUse => PageError::InUse(access.listen),
            _ => PageError::Bind {
                address: access.listen,
                source,
            },
        };
        let listener = TcpListener::bind(access.listen).map_err(bound)?;
        listener.set_nonblocking(true).map_err(bound)?;
        let address = listener.local_addr().map_err(bound)?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(PageError::Start)?;
        Ok(Self {
            listener,
            address,
            token,
            runtime: Own(Some(runtime)),
        })
    }

    /// Where it is bound; the port is never 0.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves what is published, on a thread of its own. Everything that is published counts as a sign of
    /// life for `/healthz`, whether it differs or not.
    ///
    /// # Errors
    /// No thread could be started, or the runtime does not take the socket.
    pub fn serve(
        self,
        latest: watch::Receiver<Arc<Snapshot>>,
        interest: Arc<Interest>,
    ) -> Result<Served, PageError> {
        let Self {
            listener,
            address,
            token,
            mut runtime,
        } = self;
        let listener = {
            let _entered = runtime.0.as_ref().map(Runtime::enter);
            tokio::net::TcpListener::from_std(listener).map_err(PageError::Start)?
        };
        let (end, ended) = oneshot::channel();
        let guard = Guard::new(address, token);
        let thread = std::thread::Builder::new()
            .name("status page".to_owned())
            .spawn(move || {
                let Some(own) = runtime.0.take() else { return };
                own.block_on(async {
                    let answers = Arc::new(Answers::new(latest, interest));
                    let alive = answers.clone();
                    tokio::select! {
                        () = connections::serve(listener, routes::router(answers, guard)) => {}
                        () = alive.listen() => {}
                        _ = ended => {}
                    }
                });
                // Connections are tasks of the runtime, which ends them as it goes.
                drop(own);
            })
            .map_err(PageError::Start)?;
        Ok(Served {
            address,
            end: Some(end),
            thread: Some(thread),
        })
    }
}

impl Served {
    /// Where it is served.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            // It has panicked at worst, and there is nobody to tell.
            let _ = thread.join();
        }
    }
}
