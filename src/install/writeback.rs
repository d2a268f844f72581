//! Gets what comes, and what is unpacked of it, onto the disk while the rest still comes, so that
//! making all of it last takes an instant in the end. Nothing depends on it.

use std::fs::File;
use std::sync::mpsc::{SyncSender, sync_channel};

/// Bytes that are written before the disk is given its next share.
const SHARE: u64 = 32 * 1024 * 1024;

/// Hands files to a thread that flushes them.
pub(super) struct Writeback {
    /// `None` once there is nobody to do it.
    to: Option<SyncSender<File>>,
    due: u64,
}

impl Writeback {
    pub(super) fn new() -> Self {
        let (to, files) = sync_channel::<File>(1);
        // It ends with the other end of the channel. What it cannot flush, the flush of everything
        // that comes before the build is used will tell.
        let started = std::thread::Builder::new()
            .name("writeback".to_owned())
            .spawn(move || files.into_iter().for_each(|file| drop(file.sync_data())));
        Self {
            to: started.is_ok().then_some(to),
            due: 0,
        }
    }

    /// So many more bytes were written to this file.
    pub(super) fn wrote(&mut self, file: &File, bytes: usize) {
        self.due += bytes as u64;
        if self.due >= SHARE
            && let (Some(to), Ok(file)) = (&self.to, file.try_clone())
            // The disk is busy with the last share: this one grows.
            && to.try_send(file).is_ok()
        {
            self.due = 0;
        }
    }
}
