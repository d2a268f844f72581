//! Looks at a root: what lives in it, what is installed, what is held, and how much room there is.

use std::collections::{BTreeMap, BTreeSet};

use camino::{Utf8Path, Utf8PathBuf};
use jiff::Timestamp;

use super::reading::Reading;
use super::wanted::Pins;
use super::{access, first_line, os};
use crate::backend::local::{Local, read_state};
use crate::desired::Desired;
use crate::desired::resolve::Terms;
use crate::doctor::facts::{Build, Home, Lacking, Life, Pass, Wanted};
use crate::durable;
use crate::history::chain;
use crate::install::{self, Shortfall};
use crate::instance::folder::{self, InstanceFolder};
use crate::instance::supervisor::Program;
use crate::instance::{BinaryId, InstanceName, identity, is_socket, listener};
use crate::observed::{ListensAt, Pulse, Seen, Stranger, Unseen, Vitals};
use crate::reconcile::Parts;
use crate::registry::{Entry, Registry};
use crate::release::host::{Host, Libc};
use crate::root::Root;

/// What is alive of an instance, as its locks and its state say.
pub(super) struct Live {
    /// The instance.
    pub(super) name: InstanceName,
    /// What is told of it.
    server: Life,
    /// The build its server runs from.
    binary: Option<BinaryId>,
    /// The processes that are its server, as far as known.
    pids: Vec<u32>,
    /// The devices its server says that it computes on.
    pub(super) devices: Option<Vec<String>>,
}

/// Looks at a root, and names its youngest file.
pub(super) async fn look(root: &Root, parts: Parts) -> (Home, Option<(String, Timestamp)>) {
    let names = folder::list(root.path());
    let known = names.as_deref().unwrap_or_default();
    let mut reading = Reading::of(root, &parts, known);
    if let Err(error) = &names {
        reading.cannot_list(error);
    }
    let live = lives(root, known);
    let manifest = parts.manifest.as_ref().ok().cloned();
    let unread = parts.manifest.as_ref().err().map(first_line);
    let lock = parts.lock.as_ref().ok().cloned();
    let registry = match &parts.registry {
        Ok(registry) => Ok(registry.clone()),
        Err(error) => Err(Unseen(chain(error))),
    };
    let host = parts.host.clone();
    let desired = resolve(root, parts).await;
    let pins = Pins {
        desired: desired.as_ref(),
        lock: lock.as_ref(),
        registry: registry.as_ref().ok(),
    };
    let wanted = match &manifest {
        Some(manifest) => Seen::Known(pins.instances(root, manifest, &live)),
        None => Seen::Unknown(Unseen(unread.unwrap_or_default())),
    };
    let strangers = strangers(root, wanted.known().map_or(&[][..], Vec::as_slice), &live);
    let builds = match &registry {
        Ok(registry) => {
            let users = users(desired.as_ref(), &live);
            Seen::Known(builds(root, registry, host.as_ref(), &users))
        }
        Err(why) => Seen::Unknown(why.clone()),
    };
    let home = Home {
        root: root.path().to_owned(),
        wanted,
        official: manifest
            .as_ref()
            .is_none_or(|manifest| manifest.source.is_official()),
        whole: reading.whole,
        unread: reading.unread,
        builds,
        access: access::look(root, manifest.as_ref()),
        free: free(root),
        needed: pins.needed(),
        pass: pass(root),
        servers: live.into_iter().map(|live| live.server).collect(),
        strangers,
    };
    (home, reading.youngest)
}

/// What the manifest comes to without asking anybody.
async fn resolve(root: &Root, parts: Parts) -> Option<Desired> {
    let loaded = parts.whole(root).ok()?;
    let terms = Terms {
        locked: true,
        offline: true,
        ..Terms::default()
    };
    let source = loaded.source(terms);
    let (resolved, _) = loaded.resolve(&source, terms).await;
    Some(resolved.desired)
}

/// Looks at the locks and states of instances.
fn lives(root: &Root, names: &[InstanceName]) -> Vec<Live> {
    if names.is_empty() {
        return Vec::new();
    }
    let survey = Local::bare(root).survey(&Desired::nothing());
    let mut own = BTreeMap::new();
    let live = names.iter().map(|name| {
        let folder = InstanceFolder::new(root.path(), name);
        let locked = |path: &Utf8Path| match durable::is_locked(path) {
            Ok(held) => Seen::Known(held),
            Err(error) => Seen::Unknown(Unseen(chain(&error))),
        };
        let server = locked(&folder.server_lock());
        let supervisor = locked(&folder.supervisor_lock());
        let state = read_state(&folder);
        let runs = server == Seen::Known(true);
        let known = state.as_ref().ok().and_then(Option::as_ref);
        let process = known
            .and_then(|state| state.server.as_ref())
            .and_then(|server| server.process.as_ref());
        let is_known = known.is_some_and(|state| state.server.is_some());
        let holders: Vec<u32> = if runs && !is_known {
            let held = identity::holding(&folder.server_lock(), &["/".into()]);
            let held = held.unwrap_or_default().into_iter();
            held.map(|(identity, _)| identity.pid).collect()
        } else {
            Vec::new()
        };
        let pids = process.map(|process| process.pid);
        let vitals = survey.vitals.get(name);
        let pulse = |of: fn(&Vitals) -> Pulse| vitals.map_or(Pulse::Unknown, of);
        let program = known
            .filter(|_| supervisor == Seen::Known(true))
            .map(|state| state.program);
        Live {
            name: name.clone(),
            binary: known
                .filter(|_| runs)
                .map(|state| state.launch.launch.binary),
            devices: known
                .filter(|_| runs)
                .and_then(|state| Some(state.loaded.as_ref()?.devices.clone())),
            pids: pids.into_iter().chain(holders.clone()).collect(),
            server: Life {
                name: name.clone(),
                has_state: state.is_ok().then_some(is_known),
                server,
                supervisor,
                holders,
                server_pulse: pulse(|vitals| vitals.server),
                supervisor_pulse: pulse(|vitals| vitals.supervisor),
                protocol: known.map(|state| state.protocol),
                other_program: program.and_then(|digest| {
                    let is_own = own.entry(digest);
                    let is_own = is_own.or_insert_with(|| Program::is_own(root.path(), digest));
                    is_own.map(|is_own| !is_own)
                }),
            },
        }
    });
    live.collect()
}

/// The instances that are pinned to a build or run it.
fn users(desired: Option<&Desired>, live: &[Live]) -> BTreeMap<BinaryId, BTreeSet<InstanceName>> {
    let mut users: BTreeMap<BinaryId, BTreeSet<InstanceName>> = BTreeMap::new();
    let wanted = desired.into_iter().flat_map(|desired| &desired.instances);
    for (name, wanted) in wanted {
        if let crate::desired::WantedInstance::Resolved(wanted) = wanted {
            let of = users.entry(wanted.launch.binary).or_default();
            of.insert(name.clone());
        }
    }
    for live in live {
        if let Some(id) = live.binary {
            users.entry(id).or_default().insert(live.name.clone());
        }
    }
    users
}

fn builds(
    root: &Root,
    registry: &Registry,
    host: Option<&Host>,
    users: &BTreeMap<BinaryId, BTreeSet<InstanceName>>,
) -> Vec<Build> {
    let one = |entry: &Entry| {
        let ids = std::iter::once(&entry.id).chain(&entry.aliases);
        let used_by: BTreeSet<&InstanceName> =
            ids.filter_map(|id| users.get(id)).flatten().collect();
        let build = Build {
            name: format!("{} {}", entry.version, entry.variant.short()),
            id: entry.id.to_string().chars().take(8).collect(),
            used_by: used_by.into_iter().map(ToString::to_string).collect(),
            damage: install::damage(&root.bins(), entry),
            ..Build::default()
        };
        match entry.folder() {
            Ok(folder) if build.damage.is_none() => {
                looked_into(build, &root.bins().join(folder), entry, host)
            }
            Ok(_) | Err(_) => build,
        }
    };
    registry.entries().iter().map(one).collect()
}

/// Adds what the files of a build need and do not find.
fn looked_into(mut build: Build, folder: &Utf8Path, entry: &Entry, host: Option<&Host>) -> Build {
    let libc = match (host, entry.variant.os()) {
        (Some(host), Some(os)) if os == host.os => host.libc,
        (Some(host), None) => host.libc,
        _ => Libc::Unknown,
    };
    let shortfall = Shortfall::of(folder, &entry.executables, libc);
    // What was registered where it lies may find its libraries elsewhere.
    if !entry.is_referenced() {
        let missing = shortfall.missing.into_iter();
        build.missing = missing
            .map(|(file, library)| Lacking {
                of_cuda: install::is_of_cuda(&library),
                file,
                library,
            })
            .collect();
    }
    build.too_new = shortfall.too_new;
    build.backend_too_new = shortfall.backend_too_new;
    build.unread = shortfall.unread;
    build
}

/// Who listens where instances are to, our own servers left out.
fn strangers(root: &Root, wanted: &[Wanted], live: &[Live]) -> Seen<Vec<Stranger>> {
    let ours: BTreeSet<u32> = live.iter().flat_map(|live| live.pids.clone()).collect();
    let is_ours = |pid: Option<u32>| pid.is_some_and(|pid| ours.contains(&pid));
    let enabled = || wanted.iter().filter(|one| one.enabled);
    let sockets = enabled().filter(|one| is_socket(&one.host));
    let mut strangers: Vec<Stranger> = sockets
        .filter_map(|one| {
            let holder = listener::socket_holder(&root.path().join(&one.host))?;
            (!is_ours(holder.pid)).then(|| Stranger {
                at: ListensAt::Socket(one.host.clone()),
                who: holder.to_string(),
            })
        })
        .collect();
    let ports: BTreeSet<u16> = enabled()
        .filter(|one| !is_socket(&one.host))
        .map(|one| one.port)
        .collect();
    if ports.is_empty() {
        return Seen::Known(strangers);
    }
    match listener::holders(&ports) {
        Ok(holders) => {
            let others = holders.into_iter();
            let others = others.filter(|(_, holder)| !is_ours(holder.pid));
            strangers.extend(others.map(|(at, holder)| Stranger {
                at: ListensAt::Port(at.ip(), at.port()),
                who: holder.to_string(),
            }));
            Seen::Known(strangers)
        }
        Err(error) => Seen::Unknown(Unseen(format!("cannot list listeners: {error}"))),
    }
}

/// Free bytes where builds go and, if that is another file system, in the root.
fn free(root: &Root) -> Vec<(Utf8PathBuf, Seen<u64>)> {
    let bins = root.bins();
    let device = |path: &Utf8Path| {
        durable::place(path)
            .ok()
            .flatten()
            .map(|(device, _)| device)
    };
    let mut folders = Vec::new();
    if bins.is_dir() && device(&bins) != device(root.path()) {
        folders.push((Utf8PathBuf::from("bins"), bins));
    }
    folders.push((Utf8PathBuf::from("the root"), root.path().to_owned()));
    let free = |(shown, path): (Utf8PathBuf, Utf8PathBuf)| {
        let free = install::free_bytes(&path);
        let free = match free {
            Ok(free) => Seen::Known(free),
            Err(error) => Seen::Unknown(Unseen(error.to_string())),
        };
        (shown, free)
    };
    folders.into_iter().map(free).collect()
}

fn pass(root: &Root) -> Pass {
    let held = match durable::is_locked(&root.pass_lock()) {
        Ok(held) => Seen::Known(held),
        Err(error) => Seen::Unknown(Unseen(chain(&error))),
    };
    let path = root.state().join("pass.holder");
    let holder = durable::read_text(&path).ok().flatten();
    let holder = holder
        .map(|text| text.trim().to_owned())
        .filter(|text| !text.is_empty());
    let pid = holder.as_ref().and_then(|text| {
        let (_, rest) = text.split_once("(pid ")?;
        rest.split_once(')')?.0.parse().ok()
    });
    Pass {
        held,
        since: std::fs::metadata(&path)
            .ok()
            .and_then(|metadata| metadata.modified().ok())
            .and_then(|time| Timestamp::try_from(time).ok()),
        alive: pid.and_then(os::is_there),
        holder,
    }
}
