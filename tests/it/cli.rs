//! One file per verb, then what concerns several of them.

mod apply;
mod binary;
mod config;
mod down;
mod history;
mod logs;
mod plan;
mod real;
mod roots;
mod secrets;
mod servers;
mod sources;
mod status;
mod trouble;
