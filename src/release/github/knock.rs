//! Whether the API and the downloads can be reached, and with which token: for people who look, not for
//! resolving.

use super::{GitHub, below};
use crate::release::http::Knock;
use crate::release::shown;
use crate::release::source::SourceError;

impl GitHub {
    /// The API's address, for people.
    pub(crate) fn api(&self) -> String {
        shown(&self.api)
    }

    /// Asks the API how many requests it still answers, which costs none of them.
    pub(crate) async fn knock(&self) -> Result<Knock, SourceError> {
        let url = below(&self.api, &["rate_limit"]);
        let token = self.token();
        let knock = self.http.knock(&url, token.as_ref(), "API").await?;
        if knock.json {
            return Ok(knock);
        }
        Err(SourceError::NotAnApi {
            url: shown(&url),
            why: "what it sent is no JSON".to_owned(),
        })
    }

    /// Asks whether anybody answers where downloads come from.
    pub(crate) async fn knock_at_downloads(&self) -> Result<(), SourceError> {
        match self.http.knock(&self.downloads, None, "mirror").await {
            // Whoever refuses to list a folder may serve the files in it.
            Ok(_) | Err(SourceError::Refused { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// The variable a token is taken from, and those one is looked for in.
    pub(crate) fn token_from(&self) -> (Option<String>, Vec<String>) {
        let places = self.token_variables().map(str::to_owned).collect();
        (self.token().map(|token| token.from), places)
    }
}
