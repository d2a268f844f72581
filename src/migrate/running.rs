//! Whether an old instance runs: somebody listens at its port, and that is a server of the old tool.
//! Where it cannot be told, nothing is started.

use std::collections::BTreeMap;

use super::{Listener, Old};
use crate::instance::InstanceName;

/// Whether an instance runs now, and how that is known.
pub(super) struct Running {
    pub(super) runs: bool,
    pub(super) why: String,
}

/// Judges one instance. `sharing` is how many configs have its port.
pub(super) fn judge(old: &Old, name: &InstanceName, port: u16, sharing: usize) -> Running {
    let not = |why: String| Running { runs: false, why };
    let listeners: &BTreeMap<u16, Vec<Listener>> = match &old.listeners {
        Ok(listeners) => listeners,
        Err(why) => return not(format!("whether it runs was not seen: {why}")),
    };
    let here = listeners.get(&port).map(Vec::as_slice).unwrap_or_default();
    let mut servers = here.iter().filter(|one| one.is_old_server);
    if let Some(own) = servers
        .clone()
        .find(|one| one.alias.as_deref() == Some(name.as_str()))
    {
        return Running {
            runs: true,
            why: format!("{} serves it on port {port}", own.who),
        };
    }
    match (servers.next(), here.first()) {
        (Some(server), _) => match &server.alias {
            Some(other) => not(format!("{} serves `{other}` on port {port}", server.who)),
            None if sharing == 1 => Running {
                runs: true,
                why: format!("{} listens on port {port}", server.who),
            },
            None => not(format!(
                "{} listens on port {port}, for which of {sharing} instances is not known",
                server.who
            )),
        },
        (None, Some(stranger)) => not(format!(
            "{} listens on port {port}, and is no server of the old tool",
            stranger.who
        )),
        (None, None) => not(format!("nobody listens on port {port}")),
    }
}
