//! One file per verb, then what concerns several of them.

mod apply;
mod binary;
mod binary_install;
mod binary_latest;
mod binary_register;
mod binary_verify;
mod config;
mod disk_full;
mod down;
mod drain;
mod health;
mod history;
mod logs;
mod older;
mod own;
mod plan;
mod real;
mod rollback;
mod roots;
mod secrets;
mod servers;
mod services;
mod sources;
mod status;
mod status_truth;
mod trouble;
