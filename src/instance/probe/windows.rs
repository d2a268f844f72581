//! Windows: sockets that do not block, each with an event that is set when something can be done
//! with it, so that it can be waited for together with other handles (`WSAEventSelect`).

#![expect(unsafe_code, reason = "the system is called")]
#![expect(
    clippy::disallowed_types,
    reason = "a connected socket is read and written"
)]

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::windows::io::{AsHandle as _, AsRawHandle as _, AsRawSocket as _, OwnedHandle};
use std::os::windows::io::{FromRawSocket as _, OwnedSocket, RawSocket};
use std::sync::Once;
use std::time::{Duration, Instant};

use windows_sys::Win32::Networking::WinSock::{
    AF_INET, AF_INET6, AF_UNIX, FD_CLOSE, FD_CONNECT, FD_CONNECT_BIT, FD_READ, FD_WRITE,
    INVALID_SOCKET, SOCK_STREAM, SOCKADDR, SOCKADDR_IN, SOCKADDR_IN6, SOCKADDR_UN, SOCKET,
    WSA_FLAG_NO_HANDLE_INHERIT, WSA_FLAG_OVERLAPPED, WSADATA, WSAEWOULDBLOCK, WSAEnumNetworkEvents,
    WSAEventSelect, WSANETWORKEVENTS, WSASocketW, WSAStartup, connect,
};
use windows_sys::Win32::System::Threading::CreateEventW;

use super::{Address, Need, Ready};
use crate::instance::object::owned;
use crate::instance::waiting::{self, Awaited};

/// The version of the socket interface that is asked for: 2.2.
const VERSION: u16 = 0x0202;

/// A socket that never blocks.
#[derive(Debug)]
pub(super) struct Socket {
    /// The calls for a connected stream are the same for every family.
    stream: TcpStream,
    event: OwnedHandle,
}

impl Socket {
    /// Begins to connect. `false` where that is not over yet: it is once the socket can be written
    /// to, and [`Socket::connected`] tells how it went.
    pub(super) fn connect(address: &Address) -> io::Result<(Self, bool)> {
        match address {
            Address::Tcp(SocketAddr::V4(address)) => {
                let mut to = SOCKADDR_IN {
                    sin_family: AF_INET,
                    sin_port: address.port().to_be(),
                    ..SOCKADDR_IN::default()
                };
                to.sin_addr.S_un.S_addr = u32::from_ne_bytes(address.ip().octets());
                begin(AF_INET, &to)
            }
            Address::Tcp(SocketAddr::V6(address)) => {
                let mut to = SOCKADDR_IN6 {
                    sin6_family: AF_INET6,
                    sin6_port: address.port().to_be(),
                    sin6_flowinfo: address.flowinfo(),
                    ..SOCKADDR_IN6::default()
                };
                to.sin6_addr.u.Byte = address.ip().octets();
                to.Anonymous.sin6_scope_id = address.scope_id();
                begin(AF_INET6, &to)
            }
            Address::Unix(path) => {
                let mut to = SOCKADDR_UN {
                    sun_family: AF_UNIX,
                    sun_path: [0; 108],
                };
                // One byte has to stay zero.
                if path.len() >= to.sun_path.len() {
                    return Err(io::Error::other("the path is too long for a socket"));
                }
                for (at, byte) in path.bytes().enumerate() {
                    to.sun_path[at] = byte.cast_signed();
                }
                begin(AF_UNIX, &to)
            }
        }
    }

    /// How a connection that was begun came out, where [`Socket::ready_within`] has not told.
    pub(super) fn connected(&self) -> io::Result<()> {
        self.stream.take_error()?.map_or(Ok(()), Err)
    }

    pub(super) fn send(&self, bytes: &[u8]) -> io::Result<usize> {
        (&self.stream).write(bytes)
    }

    pub(super) fn receive(&self, into: &mut [u8]) -> io::Result<usize> {
        (&self.stream).read(into)
    }

    /// Waits until the socket is ready or one of `others` has happened, which comes first where
    /// both are so.
    pub(super) fn ready_within(
        &self,
        need: Need,
        others: &[Awaited<'_>],
        patience: Duration,
    ) -> io::Result<Ready> {
        let deadline = Instant::now() + patience;
        let wanted = match need {
            Need::Read => FD_READ | FD_CLOSE,
            Need::Write => FD_WRITE | FD_CONNECT | FD_CLOSE,
        };
        let mut awaited = others.to_vec();
        awaited.push(self.event.as_handle());
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match waiting::first_of(&awaited, left)? {
                None => return Ok(Ready::TooLate),
                Some(index) if index < others.len() => return Ok(Ready::Other),
                Some(_) => {}
            }
            let mut events = WSANETWORKEVENTS::default();
            // SAFETY: socket and event are open as long as `self` lives; the event is set back and
            // what has happened goes to `events`.
            let asked = unsafe {
                WSAEnumNetworkEvents(
                    raw(&self.stream),
                    self.event.as_raw_handle().addr().cast_signed(),
                    &raw mut events,
                )
            };
            if asked != 0 {
                return Err(io::Error::last_os_error());
            }
            let happened = events.lNetworkEvents.cast_unsigned();
            let refused = events.iErrorCode[FD_CONNECT_BIT as usize];
            if happened & FD_CONNECT != 0 && refused != 0 {
                return Err(io::Error::from_raw_os_error(refused));
            }
            if happened & wanted != 0 {
                return Ok(Ready::Socket);
            }
        }
    }
}

fn raw(stream: &TcpStream) -> SOCKET {
    // Both are numbers as wide as a pointer.
    usize::try_from(stream.as_raw_socket()).unwrap_or(INVALID_SOCKET)
}

/// Opens a socket and begins to connect it.
fn begin<A>(family: u16, to: &A) -> io::Result<(Socket, bool)> {
    start_up();
    // SAFETY: no attributes and no name are given. The event is set back by hand.
    let event = owned(unsafe { CreateEventW(std::ptr::null(), 1, 0, std::ptr::null()) })?;
    let flags = WSA_FLAG_OVERLAPPED | WSA_FLAG_NO_HANDLE_INHERIT;
    // SAFETY: nothing but numbers is given, and no description of a protocol.
    let socket = unsafe { WSASocketW(family.into(), SOCK_STREAM, 0, std::ptr::null(), 0, flags) };
    if socket == INVALID_SOCKET {
        return Err(io::Error::last_os_error());
    }
    let number = RawSocket::try_from(socket).map_err(io::Error::other)?;
    // SAFETY: the call has just returned it to us alone, to be closed by us.
    let stream = TcpStream::from(unsafe { OwnedSocket::from_raw_socket(number) });
    let events = (FD_READ | FD_WRITE | FD_CONNECT | FD_CLOSE).cast_signed();
    let handle = event.as_raw_handle().addr().cast_signed();
    // SAFETY: socket and event are open. The socket does not block from here on.
    if unsafe { WSAEventSelect(raw(&stream), handle, events) } != 0 {
        return Err(io::Error::last_os_error());
    }
    let length = i32::try_from(size_of::<A>()).map_err(io::Error::other)?;
    let address: *const SOCKADDR = std::ptr::from_ref(to).cast();
    // SAFETY: `to` is an address of this family, and as long as is said.
    let begun = unsafe { connect(raw(&stream), address, length) };
    let socket = Socket { stream, event };
    if begun == 0 {
        return Ok((socket, true));
    }
    match io::Error::last_os_error() {
        error if error.raw_os_error() == Some(WSAEWOULDBLOCK) => Ok((socket, false)),
        error => Err(error),
    }
}

/// Has the system make sockets ready for this process, once.
fn start_up() {
    static STARTED: Once = Once::new();
    STARTED.call_once(|| {
        let mut about = WSADATA::default();
        // SAFETY: `about` is where the result goes. A failure shows with the first socket.
        unsafe { WSAStartup(VERSION, &raw mut about) };
    });
}
