//! Keeps a machine's llama.cpp servers in the state that a file in git says.
//!
//! ```text
//! manifest + lock + registry --resolve--> Desired --+
//!                                                   +--plan--> Plan --apply--> Backend
//! records, states, locks -----observe--> Observed --+
//! ```
//!
//! [`plan::plan`] is pure and decides everything; a [`backend::Backend`] looks and does:
//!
//! ```
//! use llama_orch::desired::Desired;
//! use llama_orch::observed::{Observed, ObservedInstance};
//! use llama_orch::plan::plan;
//!
//! // A server that is no longer in the manifest, and nobody who agreed to removing everything.
//! let desired = Desired::nothing();
//! let mut observed = Observed::nothing("2026-11-23T12:00:00Z".parse()?);
//! observed.instances.insert("chat".parse()?, ObservedInstance::absent());
//!
//! let plan = plan(&desired, &observed);
//! assert!(!plan.has_changes());
//! assert_eq!(plan.holds().len(), 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Words
//!
//! | word | meaning |
//! | --- | --- |
//! | manifest | what the user wrote |
//! | lock | `orchestrator.lock`: what floating pins stand for, and the digests of assets |
//! | desired | the manifest with every choice made; a question is a fact that resolving still needs |
//! | observed | a snapshot of what is there; drift is a difference between the two |
//! | plan | a graph of steps, with holds and blockers; a step is an action with a reason |
//! | hold, blocker | not done now, waits for time or a person; wanted and cannot be done |
//! | pass | one reconcile: load, resolve, observe, plan, apply, report |
//! | release, tag, asset, variant | a published build, its name, one of its files, one of its flavours |
//! | pin | what an instance asks for |
//! | binary | one installed build, identified by a UUID |
//! | abilities | what a binary's server says it can do: its options, the devices it sees |
//! | prune, remove | take a build away; stop an instance that left the manifest |
//! | instance, launch, inputs | one server; how to start it; what that is compared by |
//! | record, state, exit | `record.json`, `state.json` and `exit.json` of an instance |
//! | supervisor | the small process that owns one server |
//! | gate, verdict | what a start must pass, and what came of it |
//! | proven, fallback, rollback | stayed healthy long enough; what follows a failed gate; going back to it |
//! | replace | stop and start as one gated step; people read `restart` |
//! | adopt | a new supervisor takes over a server that is alive |
//! | watch, snapshot | pass after pass, woken by what changes; everything there is to see at one moment |
//! | notice | one event somebody is told about |
//! | finding | something `doctor` says is wrong, with what to do about it |

pub mod abilities;
pub mod apply;
pub mod backend;
pub mod binaries;
pub mod describe;
pub mod desired;
pub mod doctor;
pub mod durable;
pub mod gguf;
pub mod health;
pub mod history;
pub mod install;
pub mod instance;
pub mod kill_point;
mod linkage;
pub mod lock;
pub mod manifest;
pub mod migrate;
pub mod observed;
pub mod plan;
pub mod reconcile;
pub mod registry;
pub mod release;
pub mod root;
pub mod service;
pub mod status;
pub mod watch;
