//! Windows: handles of kernel objects, and the jobs that hold a server together with what it starts.
//!
//! What is done with them is left to [`super::process`], [`super::identity`] and [`super::orders`].

#![expect(unsafe_code, reason = "the system is called")]

use std::io;
use std::os::windows::io::{AsRawHandle as _, FromRawHandle as _, OwnedHandle};

use uuid::Uuid;
use windows_sys::Win32::Foundation::{
    ERROR_FILE_NOT_FOUND, ERROR_MORE_DATA, HANDLE, HANDLE_FLAG_INHERIT, INVALID_HANDLE_VALUE,
    SetHandleInformation,
};
use windows_sys::Win32::System::JobObjects::{
    AssignProcessToJobObject, CreateJobObjectW, JobObjectBasicProcessIdList, OpenJobObjectW,
    QueryInformationJobObject, TerminateJobObject,
};
use windows_sys::Win32::System::SystemServices::{JOB_OBJECT_QUERY, JOB_OBJECT_TERMINATE};

/// How a process that was ended by force exits, as with `TerminateProcess` from elsewhere.
pub(super) const ENDED_BY_FORCE: u32 = 1;

/// A text as the system wants it, with a zero at its end.
pub(super) fn wide(text: &str) -> Vec<u16> {
    text.encode_utf16().chain([0]).collect()
}

/// A handle a call has returned, or why there is none.
pub(super) fn owned(handle: HANDLE) -> io::Result<OwnedHandle> {
    if handle.is_null() || handle == INVALID_HANDLE_VALUE {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a call has just returned it to us alone, to be closed by us.
    Ok(unsafe { OwnedHandle::from_raw_handle(handle) })
}

/// What a call that returns zero for a failure has come to.
pub(super) fn done(result: i32) -> io::Result<()> {
    if result == 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Whether processes that are started from now on get a copy of a handle.
pub(super) fn set_inherited(
    handle: &impl std::os::windows::io::AsHandle,
    is: bool,
) -> io::Result<()> {
    let flags = if is { HANDLE_FLAG_INHERIT } else { 0 };
    let handle = handle.as_handle().as_raw_handle();
    // SAFETY: the handle is open as long as it is borrowed.
    done(unsafe { SetHandleInformation(handle, HANDLE_FLAG_INHERIT, flags) })
}

/// A process and all it starts, under a name made of its nonce.
///
/// A name lasts as long as somebody has a handle of its object. The first process of a job inherits
/// one, so a job is found by its name until that process and whoever inherits from it have ended.
/// Closing the last handle ends nobody: no limit is set.
#[derive(Debug)]
pub(super) struct Job(OwnedHandle);

impl Job {
    fn name(nonce: Uuid) -> Vec<u16> {
        wide(&format!(r"Global\llama-orch-{nonce}"))
    }

    /// A new job without any process.
    pub(super) fn create(nonce: Uuid) -> io::Result<Self> {
        let name = Self::name(nonce);
        // SAFETY: no attributes are given, and the name is text that ends in a zero.
        owned(unsafe { CreateJobObjectW(std::ptr::null(), name.as_ptr()) }).map(Self)
    }

    /// The job of a process that was started earlier; `None` where nobody has it open any more.
    pub(super) fn open(nonce: Uuid) -> io::Result<Option<Self>> {
        let name = Self::name(nonce);
        // SAFETY: the name is text that ends in a zero.
        let handle =
            unsafe { OpenJobObjectW(JOB_OBJECT_QUERY | JOB_OBJECT_TERMINATE, 0, name.as_ptr()) };
        match owned(handle) {
            Ok(handle) => Ok(Some(Self(handle))),
            Err(error) if error.raw_os_error() == Some(ERROR_FILE_NOT_FOUND.cast_signed()) => {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Whether processes that are started from now on get a handle of it.
    pub(super) fn set_inherited(&self, is: bool) -> io::Result<()> {
        set_inherited(&self.0, is)
    }

    /// Takes a process in. What it starts from then on belongs to the job as well.
    pub(super) fn assign(&self, process: HANDLE) -> io::Result<()> {
        // SAFETY: the job is open as long as `self` lives; a handle that is not a process' is an error.
        done(unsafe { AssignProcessToJobObject(self.0.as_raw_handle(), process) })
    }

    /// Ends all its processes by force.
    pub(super) fn end(&self) -> io::Result<()> {
        // SAFETY: the job is open as long as `self` lives.
        done(unsafe { TerminateJobObject(self.0.as_raw_handle(), ENDED_BY_FORCE) })
    }

    /// The ids of its processes.
    pub(super) fn members(&self) -> io::Result<Vec<u32>> {
        // Two counts of 32 bits each, then the ids (JOBOBJECT_BASIC_PROCESS_ID_LIST).
        let head = size_of::<u64>() / size_of::<usize>();
        let mut list = vec![0_usize; 64];
        loop {
            let bytes = u32::try_from(size_of_val(list.as_slice())).map_err(io::Error::other)?;
            // SAFETY: `list` has room for as many bytes as are said, and is aligned like the ids.
            let asked = done(unsafe {
                QueryInformationJobObject(
                    self.0.as_raw_handle(),
                    JobObjectBasicProcessIdList,
                    list.as_mut_ptr().cast(),
                    bytes,
                    std::ptr::null_mut(),
                )
            });
            match asked {
                Ok(()) => {
                    let ids = list.get(head..).unwrap_or_default();
                    // No process has the id 0, which stands where the list is not filled.
                    let ids = ids.iter().filter_map(|id| u32::try_from(*id).ok());
                    return Ok(ids.filter(|id| *id != 0).collect());
                }
                Err(error) if error.raw_os_error() == Some(ERROR_MORE_DATA.cast_signed()) => {
                    list = vec![0; list.len() * 2];
                }
                Err(error) => return Err(error),
            }
        }
    }
}
