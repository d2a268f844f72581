//! Windows: two named events of each supervisor, told by its pid and when it was started.
//!
//! They lie in the global namespace, where events need no privilege: a command may run in another
//! session than the one a supervisor was started from, such as over SSH or as a scheduled task
//! (Kernel object namespaces, Microsoft Learn).

#![expect(unsafe_code, reason = "the system is called")]

use std::io;
use std::os::windows::io::{AsHandle as _, AsRawHandle as _, OwnedHandle};
use std::time::Duration;

use windows_sys::Win32::Foundation::ERROR_ALREADY_EXISTS;
use windows_sys::Win32::System::Threading::{
    CreateEventW, EVENT_MODIFY_STATE, OpenEventW, ResetEvent, SetEvent,
};

use super::Order;
use crate::instance::identity::Running;
use crate::instance::object::{done, owned, wide};
use crate::instance::waiting::{self, Awaited};

/// Gives an order to a supervisor; nothing happens when it has ended already.
pub(crate) fn give(supervisor: &Running, order: Order) -> io::Result<()> {
    let name = name_of(supervisor, order);
    // SAFETY: the name is text that ends in a zero.
    let event = owned(unsafe { OpenEventW(EVENT_MODIFY_STATE, 0, name.as_ptr()) });
    let given = event.and_then(|event| {
        // SAFETY: the handle is open as long as `event` lives.
        done(unsafe { SetEvent(event.as_raw_handle()) })
    });
    match given {
        Err(_) if supervisor.ended_within(Duration::ZERO)? => Ok(()),
        given => given,
    }
}

fn name_of(supervisor: &Running, order: Order) -> Vec<u16> {
    let what = match order {
        Order::End => "end",
        Order::Refresh => "refresh",
    };
    wide(&format!(
        r"Global\llama-orch-{}-{:x}-{what}",
        supervisor.pid(),
        supervisor.started()
    ))
}

/// The events of this supervisor.
#[derive(Debug)]
pub(crate) struct Orders {
    end: OwnedHandle,
    refresh: OwnedHandle,
}

impl Orders {
    /// Starts to listen.
    pub(crate) fn listen() -> io::Result<Self> {
        let me = Running::child(std::process::id())?;
        Ok(Self {
            end: create(&name_of(&me, Order::End))?,
            refresh: create(&name_of(&me, Order::Refresh))?,
        })
    }

    /// What to wait for: each happens with its order.
    pub(crate) fn awaited(&self) -> [Awaited<'_>; 2] {
        [self.end.as_handle(), self.refresh.as_handle()]
    }

    /// The most pressing order that has arrived.
    pub(crate) fn next(&mut self) -> Option<Order> {
        if take(&self.end) {
            return Some(Order::End);
        }
        take(&self.refresh).then_some(Order::Refresh)
    }
}

/// Creates an event that stays set until it is set back: waiting for it does not use it up.
fn create(name: &[u16]) -> io::Result<OwnedHandle> {
    // SAFETY: no attributes are given, and the name is text that ends in a zero.
    let event = owned(unsafe { CreateEventW(std::ptr::null(), 1, 0, name.as_ptr()) })?;
    // It must be ours: an event that was there before has been made by somebody else.
    if io::Error::last_os_error().raw_os_error() == Some(ERROR_ALREADY_EXISTS.cast_signed()) {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    Ok(event)
}

/// Whether an event is set, and sets it back.
fn take(event: &OwnedHandle) -> bool {
    let is_set = waiting::first_of(&[event.as_handle()], Duration::ZERO)
        .is_ok_and(|happened| happened.is_some());
    // SAFETY: the handle is open as long as `event` is borrowed.
    is_set && done(unsafe { ResetEvent(event.as_raw_handle()) }).is_ok()
}
