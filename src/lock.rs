//! `orchestrator.lock`.
