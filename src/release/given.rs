//! Archives a person has at hand, before those of any other source.
//!
//! A file counts by its name, which has to be the archive's. What it is worth is for the digest to
//! say, like everything else that comes.

use camino::Utf8PathBuf;

use super::source::{Opened, Patience, ReleaseSource, Resume, SourceError};
use crate::desired::{Answer, Question, WantedArchive};

/// A source whose archives come from these files where they are among them.
#[derive(Debug)]
pub struct Given<'a, S> {
    files: Vec<Utf8PathBuf>,
    otherwise: &'a S,
}

impl<'a, S> Given<'a, S> {
    /// Puts files before a source.
    pub const fn new(files: Vec<Utf8PathBuf>, otherwise: &'a S) -> Self {
        Self { files, otherwise }
    }

    fn file(&self, archive: &WantedArchive) -> Option<&Utf8PathBuf> {
        self.files
            .iter()
            .find(|file| file.file_name() == Some(&archive.name))
    }
}

impl<S: ReleaseSource> ReleaseSource for Given<'_, S> {
    async fn answer(&self, question: &Question) -> Result<Answer, SourceError> {
        self.otherwise.answer(question).await
    }

    fn location(&self, archive: &WantedArchive) -> String {
        match self.file(archive) {
            Some(file) => file.to_string(),
            None => self.otherwise.location(archive),
        }
    }

    async fn open(
        &self,
        archive: &WantedArchive,
        resume: Option<&Resume>,
    ) -> Result<Opened, SourceError> {
        match self.file(archive) {
            Some(file) => Ok(Opened::File(file.clone())),
            None => self.otherwise.open(archive, resume).await,
        }
    }

    fn at_hand(&self, archive: &WantedArchive) -> Option<Utf8PathBuf> {
        self.file(archive).cloned()
    }

    fn patience(&self) -> Patience {
        self.otherwise.patience()
    }
}
