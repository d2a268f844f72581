# Each recipe is a plain cargo line; `.ci/run` runs them all.
check:
    cargo check --all-targets
test:
    cargo test
lint:
    cargo fmt --all --check && cargo clippy --all-targets -- -D warnings
doc:
    RUSTDOCFLAGS="-D warnings" cargo doc --no-deps
snapshots:
    INSTA_UPDATE=always SCENARIOS=overwrite cargo test
ci:
    bash .ci/run
