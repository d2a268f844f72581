//! The files of one instance, as `describe` shows them: whatever of them can be read.

use super::Local;
use super::observe::Sight;
use crate::describe::NamedFile;
use crate::instance::InstanceName;
use crate::instance::census::Census;
use crate::instance::record::Record;
use crate::instance::state::State;

/// What the files and locks of one instance say.
#[derive(Debug)]
pub struct CloseUp {
    /// Its record.
    pub record: Option<Record>,
    /// Its state.
    pub state: Option<State>,
    /// Whether its supervisor lives.
    pub supervised: bool,
    /// Whether its server lives.
    pub runs: bool,
    /// Bytes of memory with what is shared divided among those who share it.
    pub memory_share_bytes: Option<u64>,
    /// Its files.
    pub files: Vec<NamedFile>,
    /// What could not be read of them.
    pub unread: Vec<String>,
}

impl Local {
    /// Looks at one instance closely.
    pub fn close_up(&self, name: &InstanceName) -> CloseUp {
        let folder = self.folder(name);
        let Sight {
            record,
            state,
            supervisor_lives,
            server_lives,
            ..
        } = Sight::of(&folder);
        let mut unread: Vec<String> = [&record.as_ref().err(), &state.as_ref().err()]
            .into_iter()
            .flatten()
            .map(ToString::to_string)
            .collect();
        unread.dedup();
        let state = state.ok().flatten();
        let runs = matches!(server_lives, Ok(true));
        let process = state
            .as_ref()
            .and_then(|state| state.server.as_ref()?.process.as_ref());
        let memory_share_bytes = process
            .filter(|_| runs)
            .and_then(|process| Census::take().proportional(process));
        let files = [
            ("record", folder.record()),
            ("state", folder.state()),
            ("log", folder.server_log()),
            ("supervisor log", folder.supervisor_log()),
        ];
        let files = files.into_iter().filter(|(_, path)| path.exists());
        CloseUp {
            record: record.ok().flatten(),
            supervised: matches!(supervisor_lives, Ok(true)),
            runs,
            memory_share_bytes,
            files: files
                .map(|(what, path)| NamedFile {
                    what: what.to_owned(),
                    path: path.into_string(),
                })
                .collect(),
            unread,
            state,
        }
    }
}
